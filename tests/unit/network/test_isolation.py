"""No analysis can see another's traffic, with eight at once, and nothing gets to the host: on real namespaces."""

from __future__ import annotations

import contextlib
import socket
import uuid
from pathlib import Path

import pytest

from malkoha.config import Routes, Settings
from malkoha.network.authority import Authority
from malkoha.network.route import Route
from malkoha.store import Store
from tests import escapes, network_guest, witnesses, worlds

EIGHT = 8

pytestmark = pytest.mark.skipif(not network_guest.possible(), reason="this user makes no namespaces with taps in them")

TALK = """
import socket, struct, urllib.request
MARKER = @MARKER@
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
    s.settimeout(60)
    s.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
    name = b"".join(bytes([len(part)]) + part for part in (MARKER, b"example", b"org"))
    s.sendto(b"\\1\\2\\1\\0\\0\\1\\0\\0\\0\\0\\0\\0" + name + b"\\0\\0\\1\\0\\1", ("10.20.0.2", 53))
    assert s.recv(512)[:2] == b"\\1\\2"
    for host in ("255.255.255.255", "10.20.0.255", "224.0.0.1", "10.20.0.52"):
        s.sendto(MARKER, (host, 9999))
with socket.create_connection(("203.0.113.9", 80), 60) as s:
    s.sendall(b"GET /" + MARKER + b" HTTP/1.0\\r\\n\\r\\n")
    assert s.recv(100).startswith(b"HTTP/1.1 200")
with socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as s:
    s.bind(("eth0", 0))
    s.send(b"\\xff" * 6 + b"\\2" * 6 + b"\\x88\\xb5" + MARKER + bytes(60))
"""


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("authority")
    Authority.make(folder)
    return folder


def kept(store: Store) -> bytes:
    """Return all that one analysis has kept."""
    return b"".join(path.read_bytes() for path in sorted(store.root.rglob("*")) if path.is_file())


def test_eight_analyses_at_once_do_not_see_each_other(tmp_path: Path, authority: Path) -> None:
    markers = [f"only-{number}-{uuid.uuid4().hex[:12]}".encode() for number in range(EIGHT)]
    stores = [Store(tmp_path / str(number)).create() for number in range(EIGHT)]
    with contextlib.ExitStack() as stack:
        routes = [stack.enter_context(Route("sim", store, authority, Settings())) for store in stores]
        wires = [stack.enter_context(route.take_wire()) for route in routes]
        for route in routes:
            assert route.ready().mode == "sim"
        guests = [
            stack.enter_context(network_guest.begin(wire, TALK.replace("@MARKER@", repr(marker))))
            for wire, marker in zip(wires, markers, strict=True)
        ]
        for guest in guests:
            assert guest.wait(network_guest.PATIENCE_S) == 0
        for route in routes:
            route.finish()
    for marker, store in zip(markers, stores, strict=True):
        everything = kept(store)
        assert marker in store.pcap.read_bytes()
        assert marker in store.sessions.read_bytes()
        assert [other for other in markers if other != marker and other in everything] == []


@pytest.mark.skipif(not worlds.possible(), reason="this user makes no named namespaces")
@pytest.mark.parametrize("mode", ["sim", "frames", "drop", "internet"])
def test_nothing_that_a_guest_sends_gets_to_the_host_or_its_lan(
    mode: str, tmp_path: Path, authority: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if mode == "frames":
        monkeypatch.setattr("malkoha.network.route._namespace", lambda: ["false"])
    marker = uuid.uuid4().hex.encode()
    store = Store(tmp_path / "analysis").create()
    with contextlib.ExitStack() as stack:
        made = stack.enter_context(witnesses.witnesses(marker))
        routes = Routes()
        if mode == "internet":
            world = stack.enter_context(worlds.world(tmp_path))
            routes = Routes(internet=f"namespace:{world.route}", resolver=worlds.RESOLVER)
        asked = "sim" if mode == "frames" else mode
        with Route(asked, store, authority, Settings(routes=routes)) as route, route.take_wire() as wire:
            assert ("frame by frame" in route.ready().way) == (mode == "frames")
            code = escapes.program(marker, made.port, made.addresses, "'eth0'")
            assert network_guest.run(wire, code) == "tried everything\n"
    assert marker in store.pcap.read_bytes()
    assert (made.heard, made.seen) == ([], [])


@pytest.mark.skipif(not worlds.possible(), reason="this user makes no named namespaces")
def test_the_witnesses_notice_what_does_get_there() -> None:
    marker = uuid.uuid4().hex.encode()
    with witnesses.witnesses(marker) as made:
        with socket.create_connection((made.lan, made.port), 20) as sock, contextlib.suppress(OSError):
            sock.sendall(marker)
            sock.recv(1)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.sendto(marker, ("127.0.0.1", made.port))
    assert f"tcp from {made.here}" in made.heard
    assert any(entry.startswith("udp from") for entry in made.heard)
    assert "lo" in made.seen
