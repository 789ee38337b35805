"""The whole simulated internet in a namespace of its own, spoken to by frames as a guest's card would send them."""

from __future__ import annotations

import os
import socket
import struct
import subprocess
from collections.abc import Iterator
from pathlib import Path

import dnslib
import dpkt
import pytest

from malkoha.config import Routes, Settings
from malkoha.errors import HostError
from malkoha.machinery.command import MAC
from malkoha.network import addresses, namespace
from malkoha.network import route as routes
from malkoha.network.authority import Authority
from malkoha.network.route import Route
from malkoha.store import Store

HOST_MAC = bytes.fromhex(addresses.GATEWAY_MAC.replace(":", ""))
GUEST_MAC = bytes.fromhex(MAC.replace(":", ""))


def namespaces() -> bool:
    how = ["unshare", "--net", "true"] if os.geteuid() == 0 else ["unshare", "--map-root-user", "--net", "true"]
    return subprocess.run(how, capture_output=True, check=False).returncode == 0


needs_namespaces = pytest.mark.skipif(not namespaces(), reason="this host makes no network namespaces")


class Card:
    """A guest's network card: frames over the wire."""

    def __init__(self, wire: socket.socket) -> None:
        self.wire = wire
        wire.settimeout(30)

    def send(self, payload: dpkt.Packet, protocol: int, target: str) -> None:
        packet = dpkt.ip.IP(
            src=socket.inet_aton(addresses.GUEST), dst=socket.inet_aton(target), p=protocol, ttl=64, data=payload
        )
        packet.len = len(packet)
        frame = bytes(dpkt.ethernet.Ethernet(src=GUEST_MAC, dst=HOST_MAC, data=packet))
        self.wire.sendall(struct.pack(">I", len(frame)) + frame)

    def exactly(self, size: int) -> bytes:
        data = b""
        while len(data) < size:
            piece = self.wire.recv(size - len(data))
            assert piece
            data += piece
        return data

    def receive(self, source: str) -> dpkt.ip.IP:
        """Return the next packet that comes from an address."""
        while True:
            (size,) = struct.unpack(">I", self.exactly(4))
            frame = dpkt.ethernet.Ethernet(self.exactly(size))
            if isinstance(frame.data, dpkt.ip.IP) and frame.data.src == socket.inet_aton(source):
                return frame.data


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "analysis").create()


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("authority")
    Authority.make(folder)
    return folder


@pytest.fixture
def card(store: Store, authority: Path) -> Iterator[tuple[Card, Route]]:
    with Route("sim", store, authority, Settings()) as route:
        wire = route.take_wire()
        assert route.ready().mode == "sim"
        with wire:
            yield Card(wire), route


@needs_namespaces
def test_any_address_answers_ping_dns_and_tcp(card: tuple[Card, Route], store: Store) -> None:
    guest, route = card
    echo = dpkt.icmp.ICMP.Echo(id=7, seq=1, data=b"are you there")
    guest.send(dpkt.icmp.ICMP(type=8, data=echo), 1, "198.51.100.77")
    answer = guest.receive("198.51.100.77").icmp
    assert (answer.type, answer.echo.data) == (0, b"are you there")

    datagram = dpkt.udp.UDP(sport=4000, dport=53, data=dnslib.DNSRecord.question("www.360.com").pack())
    datagram.ulen = len(datagram)
    guest.send(datagram, 17, "9.9.9.9")
    told = guest.receive("9.9.9.9").udp
    assert (told.sport, told.dport) == (53, 4000)
    assert dnslib.DNSRecord.parse(told.data).rr[0].rtype == dnslib.QTYPE.A

    for port in (80, 31337):
        guest.send(
            dpkt.tcp.TCP(sport=5000 + port % 7, dport=port, seq=1, flags=dpkt.tcp.TH_SYN, win=65535), 6, "203.0.113.9"
        )
        assert guest.receive("203.0.113.9").tcp.flags & 0x12 == 0x12

    result = route.finish()
    assert result.way.startswith("a namespace of its own")
    assert result.frames >= 8
    assert result.remarks == []
    with store.pcap.open("rb") as file:
        assert len(list(dpkt.pcap.Reader(file))) == result.frames


@needs_namespaces
def test_the_namespace_has_no_way_out(card: tuple[Card, Route]) -> None:
    _, route = card
    assert route._child is not None
    assert route._child.process is not None
    assert route._leading is None
    # what /proc shows there is what the process of the simulator sees
    devices = Path(f"/proc/{route._child.process.pid}/net/dev").read_text()
    names = {line.split(":")[0].strip() for line in devices.splitlines()[2:]}
    assert {"lo", "guest0"} <= names
    assert names - namespace._UNBORN <= {"lo", "guest0", "guest1"}


@needs_namespaces
def test_two_analyses_do_not_see_each_other(tmp_path: Path, authority: Path) -> None:
    stores = [Store(tmp_path / name).create() for name in ("one", "two")]
    with (
        Route("sim", stores[0], authority, Settings()) as first,
        Route("sim", stores[1], authority, Settings()) as second,
    ):
        cards = []
        for route in (first, second):
            cards.append(Card(route.take_wire()))
            route.ready()
        echo = dpkt.icmp.ICMP.Echo(id=7, seq=1, data=b"only for me")
        cards[0].send(dpkt.icmp.ICMP(type=8, data=echo), 1, addresses.GUEST)
        cards[0].send(dpkt.icmp.ICMP(type=8, data=echo), 1, "198.51.100.1")
        cards[0].receive("198.51.100.1")
        for card in cards:
            card.wire.close()
        first.finish()
        second.finish()
    assert b"only for me" in stores[0].pcap.read_bytes()
    assert b"only for me" not in stores[1].pcap.read_bytes()


def test_drop_mode_needs_no_namespace_and_answers_nobody(store: Store, authority: Path) -> None:
    with Route("drop", store, authority, Settings()) as route:
        card = Card(route.take_wire())
        assert route.ready().way == "no namespace, no answers"
        card.send(dpkt.icmp.ICMP(type=8, data=dpkt.icmp.ICMP.Echo(id=7, seq=1, data=b"hello")), 1, "8.8.8.8")
        body = dpkt.arp.ARP(
            sha=GUEST_MAC, spa=socket.inet_aton(addresses.GUEST), tpa=socket.inet_aton(addresses.GATEWAY)
        )
        frame = bytes(dpkt.ethernet.Ethernet(src=GUEST_MAC, dst=b"\xff" * 6, type=0x806, data=body))
        card.wire.sendall(struct.pack(">I", len(frame)) + frame)
        (size,) = struct.unpack(">I", card.exactly(4))
        assert dpkt.ethernet.Ethernet(card.exactly(size)).arp.op == 2
        card.wire.close()
        assert route.finish().frames == 3


REFUSED = ["sh", "-c", "echo unshare: Operation not permitted >&2; exit 1", "sh"]


def test_where_no_namespace_can_be_made_a_plainer_internet_answers_and_it_is_said(
    store: Store, authority: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(routes, "_namespace", lambda: REFUSED)
    with Route("sim", store, authority, Settings()) as route:
        wire = route.take_wire()
        result = route.ready()
        assert (result.mode, result.way) == ("sim", routes.WAYS["frames"])
        assert "Operation not permitted" in result.remarks[0]
        wire.close()


def test_where_that_fails_too_nothing_answers(store: Store, authority: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(routes, "_namespace", lambda: REFUSED)
    with Route("sim", store, authority / "of nobody", Settings()) as route:
        wire = route.take_wire()
        result = route.ready()
        assert (result.mode, result.way) == ("drop", routes.WAYS["none"])
        assert "nothing answers instead" in result.remarks[1]
        wire.close()


def test_a_route_that_leads_out_is_never_replaced(
    store: Store, authority: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(routes, "_namespace", lambda: REFUSED)
    settings = Settings(routes=Routes(vpn="interface:lo", resolver="9.9.9.9"))
    with Route("vpn", store, authority, settings) as route:
        route.take_wire().close()
        with pytest.raises(HostError, match="Operation not permitted"):
            route.ready()


def test_a_mode_that_cannot_be_had_is_an_error(store: Store, authority: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with Route("drop", store, authority, Settings()) as route:
        route.take_wire().close()
        with pytest.raises(HostError, match="taken already"):
            route.take_wire()
    monkeypatch.setattr("malkoha.network.child.sys.executable", "false")
    with Route("drop", store, authority, Settings()) as route, pytest.raises(HostError, match="could not be started"):
        route.take_wire().close()
        route.ready()
