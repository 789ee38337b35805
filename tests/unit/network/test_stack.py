"""The simulated internet without a namespace: a kernel's clients against it, and frames that no kernel would send."""

from __future__ import annotations

import ast
import asyncio
import random
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Self

import dpkt
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from malkoha.config import Settings
from malkoha.machinery.command import MAC
from malkoha.network import addresses, stack
from malkoha.network import route as routes
from malkoha.network.authority import Authority
from malkoha.network.journal import Journal, Session
from malkoha.network.ports import Packet, Ports
from malkoha.network.route import Route
from malkoha.network.stack import Stack
from malkoha.store import Store
from tests import network_guest

GUEST_MAC = bytes.fromhex(MAC.replace(":", ""))
HOST = "203.0.113.9"
SYN, ACK, FIN, RST, PSH = 2, 16, 1, 4, 8

CLIENTS = """
import asyncio, hashlib, socket, ssl, subprocess, sys, urllib.request

def ping(host):
    with socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP) as s:
        s.settimeout(30)
        s.sendto(b"\\x08\\x00\\xf7\\xfd\\0\\1\\0\\1", (host, 0))
        return s.recv(100)[20:22]

def name(text):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        s.settimeout(30)
        parts = b"".join(bytes([len(part)]) + part.encode() for part in text.split("."))
        s.sendto(b"\\1\\2\\1\\0\\0\\1\\0\\0\\0\\0\\0\\0" + parts + b"\\0\\0\\1\\0\\1", ("10.20.0.2", 53))
        return socket.inet_ntoa(s.recv(512)[-4:])

def post(size):
    with socket.create_connection(("203.0.113.9", 80), 60) as s:
        s.sendall(b"POST /up HTTP/1.0\\r\\nContent-Length: %d\\r\\n\\r\\n" % size)
        s.sendall(bytes(range(256)) * (size // 256))
        return s.makefile("rb").read()[:15]

def get(path, context=None):
    host = ("203.0.113.9", 443 if context else 80)
    with socket.create_connection(host, 60) as s:
        if context:
            s = context.wrap_socket(s, server_hostname="www.example.org")
        s.sendall(b"GET %s HTTP/1.0\\r\\n\\r\\n" % path)
        return s.makefile("rb").read().split(b"\\r\\n\\r\\n", 1)[1]

def secret():
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return get(b"/a.txt", context)

def many(number):
    async def one(at):
        reader, writer = await asyncio.open_connection("198.51.100.%d" % (at % 200), 15000 + at)
        writer.write(b"line %d\\n" % at)
        said = await reader.readline()
        writer.close()
        return said == b"OK\\n"
    async def all_of_them():
        return sum(await asyncio.gather(*map(one, range(number))))
    return asyncio.run(all_of_them())

def banner(port):
    with socket.create_connection(("203.0.113.9", port), 60) as s:
        return s.recv(100)[:7]
"""


@pytest.fixture
def plain(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Route, Store]]:
    """A simulated internet on a host that makes no namespaces, with a file of 3 MB on it."""
    monkeypatch.setattr(routes, "_namespace", lambda: ["false"])
    (tmp_path / "http" / "any").mkdir(parents=True)
    (tmp_path / "http" / "any" / "big").write_bytes(random.Random(7).randbytes(3_000_000))
    Authority.make(tmp_path / "authority")
    store = Store(tmp_path / "analysis").create()
    settings = msgspec.convert({"network": {"answers": str(tmp_path)}}, Settings)
    with Route("sim", store, tmp_path / "authority", settings) as route:
        yield route, store


@pytest.mark.skipif(not network_guest.possible(), reason="this user makes no namespaces with taps in them")
def test_real_clients_are_content_with_it(plain: tuple[Route, Store]) -> None:
    import hashlib

    route, store = plain
    with route.take_wire() as wire:
        assert route.ready().way == routes.WAYS["frames"]
        said = network_guest.run(
            wire,
            CLIENTS
            + "\nprint(repr([ping('8.8.8.8'), name('www.360.com'), get(b'/a.txt'), secret(), post(1 << 20), many(300),"
            " hashlib.sha256(get(b'/big')).hexdigest(), banner(21), banner(22)]))",
        )
    result = route.finish()
    big = hashlib.sha256(random.Random(7).randbytes(3_000_000)).hexdigest()
    from malkoha.network.answers import fake_address

    assert ast.literal_eval(said) == [
        b"\0\0", fake_address("www.360.com"), b"ok\n", b"ok\n", b"HTTP/1.1 200 OK", 300, big, b"220 (vs", b"SSH-2.0",
    ]  # fmt: skip
    assert result.sessions >= 306
    assert [remark for remark in result.remarks if remark.startswith("network:")] == []
    sessions = [msgspec.json.decode(line) for line in store.sessions.read_bytes().splitlines()]
    upload = next(each for each in sessions if each["preview_sent"].startswith("POST"))
    assert [payload["size"] for payload in upload["payloads"] if payload["kind"] == "sent"] == [1 << 20]


def test_the_process_can_reach_nobody() -> None:
    probe = """
import socket
from malkoha.network.stack import confine
confine()
one, other = socket.socketpair()
one.sendmsg([b"x"])
tcp, udp = socket.socket(), socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
for attempt in (
    lambda: tcp.connect(("127.0.0.1", 9)), lambda: tcp.connect_ex(("127.0.0.1", 9)), lambda: tcp.bind(("", 0)),
    lambda: udp.sendto(b"x", ("127.0.0.1", 9)), lambda: udp.sendmsg([b"x"], [], 0, ("127.0.0.1", 9)),
    lambda: socket.getaddrinfo("localhost", 80), lambda: socket.gethostbyname("localhost"),
    lambda: socket.create_connection(("127.0.0.1", 9)),
):
    try:
        attempt()
    except OSError as error:
        if "no namespace of its own" in str(error):
            continue
    raise SystemExit("not refused")
"""
    done = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


class Wire:
    """Stands for the pump: keeps what the guest is sent."""

    def __init__(self) -> None:
        self.frames: list[Any] = []

    def answer(self, frame: bytes) -> None:
        self.frames.append(dpkt.ethernet.Ethernet(frame))

    def take(self) -> list[Any]:
        """Return the TCP segments that came since the last time."""
        taken, self.frames = self.frames, []
        return [frame.data.data for frame in taken]


class Echo(Ports):
    """Answers with the same, and ends when the guest does."""

    async def converse(self, connection: socket.socket, session: Session) -> None:
        del session
        loop = asyncio.get_running_loop()
        while data := await loop.sock_recv(connection, 65536):
            await loop.sock_sendall(connection, data)

    def datagram(self, packet: Packet) -> None:
        packet.reply(packet.data * 2)


class Guest:
    """Sends segments of one connection by hand."""

    def __init__(self, folder: Path) -> None:
        self.wire = Wire()
        self.journal = Journal(folder)
        self.ports = Echo(self.journal, lambda *_: None)
        self.stack = Stack(self.wire, self.ports)  # type: ignore[arg-type]

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        self.stack.close()
        await self.ports.close()
        self.journal.close()

    def send(self, flags: int, seq: int, ack: int = 0, data: bytes = b"", win: int = 1000) -> None:
        tcp = dpkt.tcp.TCP(sport=4000, dport=80, seq=seq, ack=ack, flags=flags, win=win, data=data)
        self.stack.frame(framed(tcp, 6))

    def open(self) -> int:
        """Shake hands; return the number of the first byte that will come."""
        self.send(SYN, 99)
        (greeting,) = self.wire.take()
        assert (greeting.flags, greeting.ack) == (SYN | ACK, 100)
        first: int = greeting.seq + 1 & 0xFFFFFFFF
        self.send(ACK, 100, first)
        return first

    async def comes(self, number: int = 1) -> list[Any]:
        """Return the next segments that bear content or an end."""
        found: list[Any] = []
        async with asyncio.timeout(30):
            while len(found) < number:
                found += [each for each in self.wire.take() if each.data or each.flags & (FIN | RST)]
                await asyncio.sleep(0.001)
        return found


def framed(payload: dpkt.Packet, protocol: int, target: str = HOST, **more: Any) -> bytes:
    packet = dpkt.ip.IP(
        src=socket.inet_aton(addresses.GUEST), dst=socket.inet_aton(target), p=protocol, data=payload, **more
    )
    packet.len = len(packet)
    return bytes(dpkt.ethernet.Ethernet(src=GUEST_MAC, dst=stack.MAC, data=packet))


def test_a_conversation_to_its_end(tmp_path: Path) -> None:
    async def scene() -> None:
        async with Guest(tmp_path) as guest:
            first = guest.open()
            guest.send(ACK | PSH, 100, first, b"hello")
            (echo,) = await guest.comes()
            assert (echo.data, echo.seq, echo.ack) == (b"hello", first, 105)
            guest.send(ACK | PSH, 100, first + 5, b"hello")  # once more: it is acknowledged and not echoed
            (again,) = guest.wire.take()
            assert (again.ack, again.data) == (105, b"")
            guest.send(ACK | PSH, 103, first + 5, b"lo, you")  # begins with what is known
            (rest,) = await guest.comes()
            assert rest.data == b", you"
            guest.send(ACK | PSH, 200, first + 10, b"from the future")
            assert [each.ack for each in guest.wire.take()] == [110]
            guest.send(FIN | ACK, 110, first + 10)
            (end,) = await guest.comes()
            assert (end.flags & FIN, end.seq, end.ack) == (FIN, first + 10, 111)
            guest.send(ACK, 111, first + 11)
            assert guest.stack._connections == {}

    asyncio.run(scene())


def test_the_guests_window_is_kept_and_what_it_lost_comes_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stack, "AGAIN_S", 0.05)

    async def scene() -> None:
        async with Guest(tmp_path) as guest:
            first = guest.open()
            guest.send(ACK | PSH, 100, first, b"x" * 2500)
            one, two = await guest.comes(2)
            assert (len(one.data), len(two.data)) == (536, 464)
            again = await guest.comes(2)
            assert {each.seq for each in again} == {one.seq, two.seq}
            guest.send(ACK, 2600, first + 1000, win=0)
            probe, *_ = await guest.comes()
            assert (probe.seq, len(probe.data)) == (first + 1000, 1)
            guest.send(ACK, 2600, first + 1001, win=60000)
            got = 1001
            while got < 2500:
                for each in await guest.comes():
                    got = max(got, each.seq - first + len(each.data))
            guest.send(ACK, 2600, first + 2500)
            guest.send(RST, 2600)
            assert guest.stack._connections == {}

    asyncio.run(scene())


def test_a_guest_that_never_answers_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stack, "AGAIN_S", 0.0001)

    async def scene() -> None:
        async with Guest(tmp_path) as guest:
            guest.send(SYN, 99)
            async with asyncio.timeout(30):
                seen = guest.wire.take()
                while guest.stack._connections:
                    await asyncio.sleep(0.001)
                    seen += guest.wire.take()
            assert [each.flags for each in seen] == [SYN | ACK] * (stack.TIMES + 1)

    asyncio.run(scene())


def test_what_belongs_to_no_connection_is_reset_and_a_port_can_be_used_again(tmp_path: Path) -> None:
    async def scene() -> None:
        async with Guest(tmp_path) as guest:
            guest.send(ACK, 5, 77, b"lost")
            (reset,) = guest.wire.take()
            assert (reset.flags, reset.seq) == (RST, 77)
            guest.open()
            guest.send(SYN, 5000)
            (greeting,) = guest.wire.take()
            assert greeting.ack == 5001
            assert len(guest.stack._connections) == 1

    asyncio.run(scene())


def test_neighbours_pings_and_datagrams(tmp_path: Path) -> None:
    async def scene() -> None:
        async with Guest(tmp_path) as guest:
            for asked in ("10.20.0.1", "10.20.0.200", addresses.GUEST):
                body = dpkt.arp.ARP(sha=GUEST_MAC, spa=socket.inet_aton(addresses.GUEST), tpa=socket.inet_aton(asked))
                guest.stack.frame(bytes(dpkt.ethernet.Ethernet(src=GUEST_MAC, dst=b"\xff" * 6, type=0x806, data=body)))
            told = [frame.data for frame in guest.wire.frames]
            assert [(each.op, socket.inet_ntoa(each.spa)) for each in told] == [(2, "10.20.0.1"), (2, "10.20.0.200")]
            guest.wire.frames.clear()
            datagram = dpkt.udp.UDP(sport=4000, dport=53, data=b"abc")
            datagram.ulen = len(datagram)
            guest.stack.frame(framed(datagram, 17))
            (answer,) = guest.wire.take()
            assert (answer.sport, answer.dport, answer.data) == (53, 4000, b"abcabc")
            echo = dpkt.icmp.ICMP(type=8, data=dpkt.icmp.ICMP.Echo(id=1, seq=2, data=b"x"))
            for target, mf in (("224.0.0.1", 0), ("255.255.255.255", 0), (addresses.GUEST, 0), (HOST, 1)):
                guest.stack.frame(framed(echo, 1, target, mf=mf))
            assert guest.wire.take() == []
            guest.stack.frame(framed(echo, 1))
            (pong,) = guest.wire.take()
            assert (pong.type, pong.echo.seq) == (0, 2)

    asyncio.run(scene())


@given(st.binary(max_size=80), st.sampled_from([1, 6, 17, 47]), st.integers(0, 80))
def test_torn_and_odd_frames_do_no_harm(
    tmp_path_factory: pytest.TempPathFactory, body: bytes, kind: int, cut: int
) -> None:
    async def scene() -> None:
        async with Guest(tmp_path_factory.mktemp("odd")) as guest:
            head = dpkt.ip.IP(
                src=socket.inet_aton(addresses.GUEST), dst=socket.inet_aton(HOST), p=kind, len=20 + len(body)
            )
            frame = bytes(dpkt.ethernet.Ethernet(src=GUEST_MAC, dst=stack.MAC, data=bytes(head)[:20] + body))
            guest.stack.frame(frame)
            guest.stack.frame(frame[:cut])

    asyncio.run(scene())
