"""Routes that lead out, end to end: a guest's TCP/IP on one side, hosts of our own in a namespace on the other."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dnslib
import msgspec
import pytest

from malkoha.config import Routes, Settings
from malkoha.errors import HostError
from malkoha.network import forwarding
from malkoha.network.authority import Authority
from malkoha.network.route import Route
from malkoha.store import Store
from tests import network_guest, socks_server, worlds
from tests.worlds import ADDRESS, ADDRESS6, HERE, LAN, OTHER, World

pytestmark = pytest.mark.skipif(
    not (worlds.possible() and network_guest.possible()), reason="this user makes no namespaces with taps in them"
)

CLIENT = """
import socket

def tcp(host, port, words=b"hello", wait=20):
    try:
        with socket.create_connection((host, port), wait) as s:
            s.sendall(words)
            got = b""
            while piece := s.recv(65536):
                got += piece
            return got.decode()
    except OSError as error:
        return type(error).__name__

def udp(host, port, words, wait=20):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        s.settimeout(wait)
        s.connect((host, port))
        s.send(words)
        try:
            return s.recv(65536)
        except OSError as error:
            return type(error).__name__

def ping(host):
    with socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP) as s:
        s.settimeout(1)
        s.sendto(b"\\x08\\x00\\xf7\\xfd\\0\\1\\0\\1", (host, 0))
        try:
            return s.recv(100)
        except OSError as error:
            return type(error).__name__

def name(text, kind="A", server="10.20.0.2", over=udp):
    import dnslib
    query = dnslib.DNSRecord.question(text, kind).pack()
    answer = dnslib.DNSRecord.parse(over(server, 53, query))
    return answer.header.rcode, [str(rr.rdata) for rr in answer.rr], answer.header.tc
"""


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with worlds.world(tmp_path_factory.mktemp("world")) as made:
        yield made


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("authority")
    Authority.make(folder)
    return folder


class Analysis:
    """One network of one analysis, and a guest at its wire."""

    def __init__(self, folder: Path, authority: Path) -> None:
        self.store = Store(folder / "analysis").create()
        self._authority = authority

    def run(self, mode: str, routes: Routes, code: str) -> tuple[Any, Any]:
        """Return what an expression in the guest comes to, and the NetworkRun."""
        settings = Settings(routes=routes)
        with Route(mode, self.store, self._authority, settings) as route:
            with route.take_wire() as wire:
                route.ready()
                said = network_guest.run(wire, CLIENT + f"\nprint(repr({code}))\n")
            result = route.finish()
        return ast.literal_eval(said), result

    def sessions(self) -> list[dict[str, Any]]:
        return [msgspec.json.decode(line) for line in self.store.sessions.read_bytes().splitlines()]


@pytest.fixture
def analysis(tmp_path: Path, authority: Path) -> Analysis:
    return Analysis(tmp_path, authority)


def through(world: World, **more: Any) -> Routes:
    return Routes(internet=f"namespace:{world.route}", resolver=worlds.RESOLVER, **more)


def test_what_is_allowed_passes_both_ways_and_is_counted(world: World, analysis: Analysis) -> None:
    said, result = analysis.run(
        "internet",
        through(world),
        f"[tcp('{ADDRESS}', 4444), tcp('{ADDRESS6}', 80, b'six'), tcp('{ADDRESS}', 81),"
        f" udp('{ADDRESS}', 7000, b'datagram'), name('c2.example'), name('c2.example', server='8.8.8.8', over=udp)]",
    )
    found = (0, [ADDRESS], 0)
    assert said == ["echo hello", "echo six", "ConnectionRefusedError", b"echo datagram", found, found]
    heard = world.heard()
    assert ["tcp", ADDRESS, 4444, "hello"] in heard
    assert ["tcp", ADDRESS6, 80, "six"] in heard
    assert ["udp", "datagram"] in heard
    assert (result.mode, result.way) == (
        "internet",
        f"a namespace of its own (tap), forwarded through namespace {world.route}",
    )
    egress = result.egress
    assert (egress.flows, egress.lookups, egress.blocked, egress.limits) == (4, 2, {}, {})
    assert egress.sent > len("hello" + "six" + "datagram")
    assert egress.received > len("echo hello" + "echo six" + "echo datagram")
    assert result.remarks == []
    kept = {(session["dst"], session["dport"]): session for session in analysis.sessions()}
    talk = kept[ADDRESS, 4444]
    assert (talk["service"], talk["preview_sent"], talk["preview_received"]) == ("forwarded", "hello", "echo hello")
    assert kept[ADDRESS, 81]["steps"][0]["why"] == "closed"
    assert b"echo hello" in analysis.store.pcap.read_bytes()


def test_rules_stop_what_they_name_and_nobody_hears_of_it(world: World, analysis: Analysis) -> None:
    before = len(world.heard())
    said, result = analysis.run(
        "internet",
        through(world, blocked_networks=(f"{OTHER}/24",)),
        f"[tcp('{ADDRESS}', 25), tcp('{OTHER}', 80), tcp('{LAN}', 4444), tcp('{HERE}', 4444), tcp('10.20.0.1', 22),"
        " tcp('127.0.0.2', 80, wait=1), tcp('169.254.169.254', 80), tcp('::ffff:10.0.0.1', 80, wait=1),"
        " tcp('64:ff9b::7f00:1', 80), tcp('fe80::1%eth0', 80, wait=1), tcp('fd00:7::1', 4444),"
        " udp('192.168.77.5', 7000, b'x', 1),"
        f" tcp(name('lan.example')[1][0], 4444),"
        f" ping('{ADDRESS}')]",
    )
    assert said[:2] == ["ConnectionRefusedError"] * 2
    assert set(said[2:11]) <= {"ConnectionRefusedError", "TimeoutError", "OSError"}
    assert said[2:5] == ["ConnectionRefusedError"] * 3
    assert said[11:] == ["TimeoutError", "ConnectionRefusedError", "TimeoutError"]
    assert [entry[0] for entry in world.heard()[before:]] == ["dns"]
    blocked = result.egress.blocked
    assert (blocked["port 25"], blocked["blocked network"], blocked["icmp"]) == (1, 1, 1)
    assert blocked["private or reserved range"] >= 8
    assert (result.egress.flows, result.egress.lookups) == (0, 1)
    why = {(s["dst"], s["dport"]): s["steps"][0]["why"] for s in analysis.sessions() if s["steps"]}
    assert why[ADDRESS, 25] == "blocked port 25"


def test_own_networks_are_refused_even_if_they_are_public(world: World, analysis: Analysis) -> None:
    worlds.ip("-n", world.route, "address", "add", "93.184.215.200/24", "dev", "up0")
    try:
        said, result = analysis.run("internet", through(world), f"[tcp('{ADDRESS}', 4444), tcp('{OTHER}', 4444)]")
    finally:
        worlds.ip("-n", world.route, "address", "delete", "93.184.215.200/24", "dev", "up0")
    assert said[0] == "ConnectionRefusedError"
    assert result.egress.blocked == {"network of this host": 1}


def test_nothing_more_passes_when_a_limit_is_reached(world: World, analysis: Analysis) -> None:
    said, result = analysis.run(
        "internet",
        through(world, max_mb=1, rate_kbit=100_000),
        f"[len(tcp('{ADDRESS}', 4444, b'flood 3')), tcp('{ADDRESS}', 4444), name('a.example')]",
    )
    assert 0 < said[0] <= 1 << 20
    assert said[1] == "ConnectionRefusedError"
    assert said[2] == (2, [], 0)
    egress = result.egress
    assert egress.sent + egress.received <= 1 << 20
    assert egress.blocked == {"bytes": 2}
    assert list(egress.limits) == ["bytes"]
    assert "the limit of bytes was reached" in result.remarks[0]


def test_connections_are_limited(world: World, analysis: Analysis) -> None:
    said, result = analysis.run(
        "internet", through(world, max_connections=2), f"[tcp('{ADDRESS}', 4444) for _ in range(4)]"
    )
    assert said == ["echo hello"] * 2 + ["ConnectionRefusedError"] * 2
    assert result.egress.blocked == {"connections": 2}


def test_a_long_answer_is_asked_for_again_over_tcp(world: World, analysis: Analysis) -> None:
    said, _ = analysis.run(
        "internet",
        through(world),
        "[name('big.example')[1:], len(name('big.example', over=lambda host, port, query: "
        "bytes(tcp_bytes(host, port, len(query).to_bytes(2) + query))[2:])[1])]".replace(
            "tcp_bytes(",
            "(lambda h, p, q: (lambda s: (s.sendall(q), s.shutdown(1), s.makefile('rb').read())[2])"
            "(socket.create_connection((h, p), 20)))(",
        ),
    )
    assert said == [([], 1), 200]


def test_a_proxy_is_asked_for_what_is_allowed_and_for_nothing_else(analysis: Analysis) -> None:
    with socks_server.running() as proxy:
        proxy.method = 2
        said, result = analysis.run(
            "socks5",
            Routes(socks5=f"me:secret@127.0.0.1:{proxy.port}", resolver=worlds.RESOLVER),
            f"[name('c2.example'), tcp('{ADDRESS}', 4444, b'hello'), udp('{ADDRESS}', 7000, b'x', 1),"
            f" tcp('{LAN}', 80)]",
        )
    assert said == [(0, [socks_server.HOST], 0), "echo hello", "TimeoutError", "ConnectionRefusedError"]
    assert [ask for ask in proxy.asked if ask[2] != 53] == [(1, ADDRESS, 4444)]
    assert (1, worlds.RESOLVER, 53) in proxy.asked
    assert result.way.endswith(f"forwarded through the proxy 127.0.0.1:{proxy.port}")
    assert result.egress.blocked == {"udp": 1, "private or reserved range": 1}


def test_tor_is_asked_for_names_and_connections(analysis: Analysis) -> None:
    with socks_server.running() as proxy:
        said, _ = analysis.run(
            "tor", Routes(tor=f"127.0.0.1:{proxy.port}"), f"[name('c2.example'), tcp('{ADDRESS}', 80, b'hello')]"
        )
    assert said == [(0, ["203.0.113.7"], 0), "echo hello"]
    assert proxy.asked == [(0xF0, "c2.example", 0), (1, ADDRESS, 80)]


def test_an_interface_is_the_only_way_for_what_is_bound_to_it(world: World) -> None:
    probe = """
import asyncio, sys
from malkoha.network.dialling import Direct

async def ask(device):
    way = Direct("a way", "9.9.9.9", device)
    await way.check()
    try:
        async with asyncio.timeout(2):
            reader, writer = await way.stream(sys.argv[1], 4444)
            writer.write(b"bound")
            said = await reader.read()
            writer.close()
            return said.decode()
    except (OSError, TimeoutError) as error:
        return "none"

print(asyncio.run(ask("up0")), asyncio.run(ask("down9")))
"""
    worlds.ip("-n", world.route, "link", "add", "down9", "type", "veth", "peer", "name", "down8")
    try:
        words = world.inside(sys.executable, "-c", probe, ADDRESS)
        done = subprocess.run(words, capture_output=True, text=True, check=False)
    finally:
        worlds.ip("-n", world.route, "link", "delete", "down9")
    assert (done.stdout, done.stderr) == ("echo bound none\n", "")


def test_a_namespace_that_is_not_there_is_an_error(analysis: Analysis) -> None:
    with pytest.raises(HostError, match="no network namespace nowhere"):
        analysis.run("vpn", Routes(vpn="namespace:nowhere", resolver="9.9.9.9"), "1")


def test_an_interface_that_is_not_there_is_an_error(analysis: Analysis) -> None:
    with pytest.raises(HostError, match="nowhere0: No such device"):
        analysis.run("vpn", Routes(vpn="interface:nowhere0", resolver="9.9.9.9"), "1")


def test_answers_that_cannot_be_had_or_read_are_failures() -> None:
    query = dnslib.DNSRecord.question("a.example").pack()
    assert dnslib.DNSRecord.parse(forwarding.failed(query)).header.rcode == dnslib.RCODE.SERVFAIL
    assert forwarding.failed(b"short") == b""
    assert forwarding.cut(query[:12] + b"\xff" * 20)[3] & 15 == dnslib.RCODE.SERVFAIL
