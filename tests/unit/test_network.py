"""The parts of the simulated internet that need no kernel: frames, answers, certificates, what is kept."""

from __future__ import annotations

import asyncio
import io
import json
import socket
import ssl
import struct
import subprocess
import sys
from pathlib import Path

import dpkt
import pytest

from malkoha.errors import ConfigError
from malkoha.network import addresses, drop, namespace
from malkoha.network.answers import Answers, fake_address
from malkoha.network.authority import Authority
from malkoha.network.capture import Capture
from malkoha.network.content import archive, content, machine_of, png, program
from malkoha.network.conversation import Conversation, EndedError
from malkoha.network.journal import Journal, Session, shown
from malkoha.network.pump import TCP, UDP, Pump, destination
from malkoha.network.reception import is_client_hello, server_name
from malkoha.network.services.sink import reply


def tcp_frame(port: int = 80, flags: int = dpkt.tcp.TH_SYN) -> bytes:
    segment = dpkt.tcp.TCP(sport=40000, dport=port, flags=flags)
    packet = dpkt.ip.IP(src=socket.inet_aton(addresses.GUEST), dst=b"\x08\x08\x08\x08", p=6, data=segment)
    packet.len = len(packet)
    return bytes(dpkt.ethernet.Ethernet(src=b"\2" * 6, dst=b"\4" * 6, data=packet))


def udp_frame(port: int = 53, *, six: bool = False) -> bytes:
    datagram = dpkt.udp.UDP(sport=40000, dport=port, data=b"x")
    datagram.ulen = len(datagram)
    if six:
        packet: object = dpkt.ip6.IP6(
            src=b"\1" * 16, dst=b"\2" * 16, nxt=17, hlim=64, data=datagram, plen=len(datagram)
        )
        return bytes(dpkt.ethernet.Ethernet(src=b"\2" * 6, dst=b"\4" * 6, type=0x86DD, data=packet))
    ip = dpkt.ip.IP(src=socket.inet_aton(addresses.GUEST), dst=b"\x08\x08\x08\x08", p=17, data=datagram)
    ip.len = len(ip)
    return bytes(dpkt.ethernet.Ethernet(src=b"\2" * 6, dst=b"\4" * 6, data=ip))


# -- frames ------------------------------------------------------------------------------------------------------------


def test_what_may_begin_something_is_told_by_its_first_frame() -> None:
    assert destination(tcp_frame(8080)) == (TCP, 8080)
    assert destination(udp_frame(123)) == (UDP, 123)
    assert destination(udp_frame(5353, six=True)) == (UDP, 5353)
    assert destination(tcp_frame(80, dpkt.tcp.TH_ACK)) is None
    assert destination(tcp_frame(80, dpkt.tcp.TH_SYN | dpkt.tcp.TH_ACK)) is None
    fragment = bytearray(udp_frame())
    fragment[21] = 4
    assert destination(bytes(fragment)) is None


@pytest.mark.parametrize("cut", range(54))
def test_torn_frames_begin_nothing_or_are_told_right(cut: int) -> None:
    assert destination(tcp_frame(8080)[:cut]) in (None, (TCP, 8080))
    assert destination(udp_frame(99, six=True)[:cut]) is None


def test_a_capture_can_be_read_and_is_bounded() -> None:
    file = io.BytesIO()
    capture = Capture(file, 24 + 2 * (16 + 60))
    for number in range(4):
        capture.write(bytes(60), at_ns=1_700_000_000_000_000_001 + number)
    assert (capture.frames, capture.dropped) == (2, 2)
    file.seek(0)
    frames = list(dpkt.pcap.Reader(file))
    assert [len(frame) for _, frame in frames] == [60, 60]
    assert abs(float(frames[0][0]) - 1_700_000_000) < 0.001


def framed(frame: bytes) -> bytes:
    return struct.pack(">I", len(frame)) + frame


def test_the_pump_carries_frames_both_ways_and_tells_of_ports_first() -> None:
    async def scene() -> None:
        guest, wire = socket.socketpair()
        kernel, link = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        told: list[tuple[int, int]] = []
        capture = Capture(io.BytesIO(), 1 << 20)
        pump = Pump(wire, capture, lambda protocol, port: told.append((protocol, port)))
        pump.start(link.fileno())
        stream = framed(tcp_frame(22)) + framed(tcp_frame(22)) + framed(udp_frame(53))
        loop = asyncio.get_running_loop()
        kernel.setblocking(False)
        guest.setblocking(False)
        for at in range(0, len(stream), 7):
            await loop.sock_sendall(guest, stream[at : at + 7])
        got = [await loop.sock_recv(kernel, 65536) for _ in range(3)]
        assert got == [tcp_frame(22), tcp_frame(22), udp_frame(53)]
        assert told == [(TCP, 22), (UDP, 53)]
        await loop.sock_sendall(kernel, b"an answer")
        assert await loop.sock_recv(guest, 100) == framed(b"an answer")
        assert capture.frames == 4
        guest.close()
        await asyncio.wait_for(pump.ended.wait(), 10)
        kernel.close()
        link.close()

    asyncio.run(scene())


def test_a_broken_stream_ends_the_pump_and_is_counted() -> None:
    async def scene() -> None:
        guest, wire = socket.socketpair()
        pump = Pump(wire, Capture(io.BytesIO(), 1 << 20), lambda protocol, port: None)
        pump.start(None)
        guest.sendall(struct.pack(">I", 1 << 30) + b"x")
        await asyncio.wait_for(pump.ended.wait(), 10)
        assert pump.dropped == 1
        guest.close()

    asyncio.run(scene())


def arp(asked: str, sender: str = addresses.GUEST) -> bytes:
    body = dpkt.arp.ARP(sha=b"\2" * 6, spa=socket.inet_aton(sender), tpa=socket.inet_aton(asked))
    return bytes(dpkt.ethernet.Ethernet(src=b"\2" * 6, dst=b"\xff" * 6, type=0x806, data=body))


def test_in_drop_mode_only_the_gateway_is_there() -> None:
    answer = drop.answer(arp(addresses.GATEWAY))
    assert answer is not None
    told = dpkt.ethernet.Ethernet(answer).arp
    assert (told.op, told.sha, told.spa) == (2, bytes.fromhex("001c73a2041f"), socket.inet_aton(addresses.GATEWAY))
    assert drop.answer(arp("10.20.0.77")) is None
    assert drop.answer(arp(addresses.GATEWAY, "10.20.0.9")) is None
    assert drop.answer(tcp_frame()) is None
    assert drop.answer(b"") is None


def test_every_address_is_local_but_the_guests() -> None:
    lines = namespace.commands(pair=False).splitlines()
    assert "route add local 0.0.0.0/0 dev lo table local" in lines
    assert f"route add {addresses.GUEST}/32 dev guest0 table local" in lines
    assert not any("veth" in line or "netns" in line for line in lines)
    assert "link add guest0 type veth peer name guest1" in namespace.commands(pair=True)


def test_a_network_with_other_interfaces_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "if_nameindex", lambda: [(1, "lo"), (2, "eth0")])
    with pytest.raises(Exception, match="no namespace of its own"):
        namespace.open_link()


# -- answers -----------------------------------------------------------------------------------------------------------


def test_a_name_has_one_plausible_address() -> None:
    assert fake_address("c2.example.net") == fake_address("C2.Example.NET.")
    found = {fake_address(f"host{number}.example") for number in range(200)}
    assert len(found) > 195
    assert all(int(address.split(".")[0]) in {23, 45, 62, 77, 91, 104, 146, 185} for address in found)


def test_a_users_folder_comes_first_and_nothing_outside_it(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("no")
    folder = tmp_path / "answers"
    site = folder / "http" / "evil.example"
    site.mkdir(parents=True)
    (site / "stage").write_bytes(b"body")
    (site / "out").symlink_to(tmp_path / "secret")
    (folder / "dns.toml").write_text('["evil.example"]\nA = "203.0.113.9"\n["*.evil.example"]\nTXT = ["one", "two"]\n')
    answers = Answers(folder)
    assert answers.body("EVIL.example", "/stage?x=1") == b"body"
    for path in ("/../../secret", "/out", "/..%2f", "/missing", "/"):
        assert answers.body("evil.example", path) is None
    assert answers.body("../..", "/secret") is None
    assert answers.records("evil.example.", "A") == ["203.0.113.9"]
    assert answers.records("a.b.evil.example", "TXT") == ["one", "two"]
    assert answers.records("a.evil.example", "A") == []
    assert answers.records("other.example", "A") is None
    (folder / "dns.toml").write_text("A = 1")
    with pytest.raises(ConfigError, match="has to be a table"):
        Answers(folder)


@pytest.mark.parametrize(
    ("method", "host", "path", "headers", "type_", "start"),
    [
        ("GET", "c2", "/bins/agent.x86_64", {}, "application/octet-stream", b"\x7fELF"),
        ("GET", "c2", "/mirai.arm7", {}, "application/octet-stream", b"\x7fELF"),
        ("GET", "c2", "/a/install.sh", {}, "text/x-shellscript", b"#!/bin/sh"),
        ("GET", "c2", "/install", {"user-agent": "curl/8"}, "text/x-shellscript", b"#!/bin/sh"),
        ("GET", "c2", "/logo.png?x", {}, "image/png", b"\x89PNG"),
        ("GET", "c2", "/x.jpg", {}, "image/jpeg", b"\xff\xd8"),
        ("GET", "c2", "/api", {"accept": "application/json"}, "application/json", b"{"),
        ("POST", "c2", "/gate.php", {}, "application/json", b"{"),
        ("GET", "c2", "/a.tar.gz", {}, "application/gzip", b"\x1f\x8b"),
        ("GET", "c2", "/a.zip", {}, "application/zip", b"PK\x03\x04"),
        ("GET", "c2", "/", {}, "text/html; charset=utf-8", b"<!doctype"),
        ("GET", "api.ipify.org", "/?format=json", {}, "application/json", b'{"ip"'),
        ("GET", "ifconfig.me", "/", {}, "text/plain", b"185."),
    ],
)
def test_content_is_of_the_kind_that_its_name_promises(
    method: str, host: str, path: str, headers: dict[str, str], type_: str, start: bytes
) -> None:
    given = content(method, host, path, headers)
    assert given.type == type_
    assert given.body.startswith(start)


def test_the_program_is_a_whole_elf_for_each_machine() -> None:
    import lief

    for machine, name in (("x86-64", "X86_64"), ("i386", "I386"), ("aarch64", "AARCH64")):
        parsed = lief.ELF.parse(list(program(machine)))
        assert parsed is not None
        assert parsed.header.machine_type.name == name
    assert machine_of("payload.i686") == "i386"
    assert machine_of("bot.aarch64") == "aarch64"
    assert machine_of("readme") is None
    assert len(png()) > 50
    assert len(archive()) > 200


# -- certificates and conversations ------------------------------------------------------------------------------------


def test_an_authority_is_made_once_and_signs_every_name(tmp_path: Path) -> None:
    from cryptography import x509

    first = Authority.make(tmp_path / "authority")
    again = Authority.make(tmp_path / "authority")
    assert first.certificate_pem == again.certificate_pem
    assert (tmp_path / "authority" / "root.key").stat().st_mode & 0o077 == 0
    for name in ("a.example", "203.0.113.7", "2001:db8::7"):
        leaf = x509.load_pem_x509_certificate(first.sign(name))
        root = x509.load_pem_x509_certificate(first.certificate_pem)
        leaf.verify_directly_issued_by(root)
    assert first.context("bad name/..") is first.context("localhost")
    sent = addresses.wiring(tmp_path / "authority")
    assert sent["certificate"].encode() == first.certificate_pem
    assert "PRIVATE" not in json.dumps(sent)


async def _both(tmp_path: Path, journal: Journal) -> tuple[Conversation, socket.socket]:
    near, far = socket.socketpair()
    far.settimeout(20)
    reader, writer = await asyncio.open_connection(sock=near)
    session = journal.begin("tcp", ("10.0.0.1", 1), ("10.0.0.2", 2))
    return Conversation(reader, writer, session, journal), far


def test_a_conversation_looks_ahead_cuts_lines_and_ends(tmp_path: Path) -> None:
    async def scene() -> None:
        journal = Journal(tmp_path)
        talk, far = await _both(tmp_path, journal)
        far.sendall(b"one\r\ntwo" + b"x" * 40_000)
        assert (await talk.peek()).startswith(b"one")
        assert await talk.line() == b"one"
        assert len(await talk.line()) == 16 << 10
        assert await talk.exactly(3) == b"xxx"
        far.close()
        while True:
            try:
                await talk.some()
            except EndedError:
                break
        talk.note(what="test", word=b"\x01\xff")
        digest = talk.keep("sent", b"payload", "/x")
        await talk.close()
        journal.end(talk.session)
        journal.close()
        line = json.loads((tmp_path / "sessions.jsonl").read_text())
        assert line["sent"] == 5 + 3 + 40_000
        assert line["steps"][0]["word"] == "\\x01\\xff"
        assert line["payloads"][0]["sha256"] == digest
        assert (tmp_path / "payloads" / digest).read_bytes() == b"payload"

    asyncio.run(scene())


def test_tls_begins_at_any_point_with_the_name_that_is_asked_for(tmp_path: Path) -> None:
    authority = Authority.make(tmp_path / "authority")

    def client(sock: socket.socket) -> bytes:
        context = ssl.create_default_context(cadata=authority.certificate_pem.decode())
        with context.wrap_socket(sock, server_hostname="c2.example.net") as wrapped:
            wrapped.sendall(b"hello\n")
            return wrapped.recv(100)

    async def scene() -> None:
        journal = Journal(tmp_path / "kept")
        talk, far = await _both(tmp_path, journal)
        asking = asyncio.get_running_loop().run_in_executor(None, client, far)
        hello = await talk.peek()
        assert is_client_hello(hello)
        assert server_name(hello) == "c2.example.net"
        await talk.start_tls(authority.context("203.0.113.1", tmp_path / "keys"))
        assert await talk.line() == b"hello"
        await talk.send(b"world")
        assert await asking == b"world"
        assert talk.session.tls is not None
        assert talk.session.tls["version"].startswith("TLS")
        await talk.close()
        journal.close()

    asyncio.run(scene())
    assert "SECRET" in (tmp_path / "keys").read_text()


@pytest.mark.parametrize("hello", [b"", b"\x16\x03\x01\x00\x05\x01", b"\x16\x03\x01\xff\xff\x01" + b"\xff" * 60])
def test_a_torn_hello_names_nobody(hello: bytes) -> None:
    assert server_name(hello) == ""


def test_the_journal_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from malkoha.network import journal as module

    monkeypatch.setattr(module, "SESSIONS", 1)
    monkeypatch.setattr(module, "STEPS", 2)
    monkeypatch.setattr(module, "PAYLOADS", 1)
    journal = Journal(tmp_path)
    session = journal.begin("udp", ("1.1.1.1", 1), ("2.2.2.2", 2))
    for number in range(5):
        journal.step(session, number=number)
    assert journal.payload(session, "sent", b"a").stored
    assert journal.payload(session, "sent", b"a").stored
    assert not journal.payload(session, "sent", b"b").stored
    journal.end(session)
    journal.end(session)
    journal.begin("tcp", ("1.1.1.1", 1), ("2.2.2.2", 2))
    journal.close()
    assert (journal.sessions, journal.omitted) == (1, 1)
    kept = [Session(**json.loads(line)) for line in (tmp_path / "sessions.jsonl").read_text().splitlines()]
    assert (len(kept), len(kept[0].steps), kept[0].steps_total) == (1, 2, 5)
    assert shown("x" * 10_000) == "x" * 8192


def test_the_sink_says_little() -> None:
    assert reply(b"hello\n") == b"OK\n"
    assert reply(b"hello\r\n") == b"OK\r\n"
    assert reply(b"\0\0") == b"\0\0"
    assert reply(b"\x01\x02\n") == b""


def test_a_plan_that_is_none_ends_at_once() -> None:
    done = subprocess.run([sys.executable, "-m", "malkoha.network.simulator", "{}"], capture_output=True, check=False)
    assert done.returncode != 0
    assert b"missing required field" in done.stderr
