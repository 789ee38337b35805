"""Each simulated service in a conversation of its own, without a kernel between."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import dnslib
import pytest

from malkoha.network.answers import Answers, fake_address
from malkoha.network.conversation import Conversation
from malkoha.network.journal import Journal, Session
from malkoha.network.services import SERVICES
from malkoha.network.services.base import Datagram, Service, World
from malkoha.network.services.dns import Dns
from malkoha.network.services.http import Http
from malkoha.network.services.sink import Sink

HERE, THERE = ("10.20.0.51", 40000), ("203.0.113.7", 80)


def talk(service: Service, script: Callable[[socket.socket], Any], folder: Path) -> tuple[Any, Session]:
    """Hold one conversation; the script is the guest's side, in a thread."""

    async def scene() -> tuple[Any, Session]:
        journal = Journal(folder)
        near, far = socket.socketpair()
        far.settimeout(20)
        reader, writer = await asyncio.open_connection(sock=near)
        session = journal.begin("tcp", HERE, THERE)
        conversation = Conversation(reader, writer, session, journal)
        guest = asyncio.get_running_loop().run_in_executor(None, script, far)
        with contextlib.suppress(ConnectionError):
            await asyncio.wait_for(service.serve(conversation), 20)
        await conversation.close()
        result = await guest
        far.close()
        journal.close()
        return result, session

    return asyncio.run(scene())


@pytest.fixture
def world() -> World:
    return World(None, Answers())


def exchange(*words: bytes) -> Callable[[socket.socket], bytes]:
    def script(sock: socket.socket) -> bytes:
        got = b""
        for word in words:
            sock.sendall(word)
        sock.shutdown(socket.SHUT_WR)
        while piece := sock.recv(65536):
            got += piece
        return got

    return script


def query(world: World, name: str, kind: str) -> dnslib.DNSRecord:
    (answer,) = Dns(world).datagram(Datagram(dnslib.DNSRecord.question(name, kind).pack(), HERE, THERE))
    return dnslib.DNSRecord.parse(answer)


def test_every_service_is_listed_and_the_sink_is_last() -> None:
    from malkoha.network import services

    files = {path.stem for path in Path(services.__file__).parent.glob("*.py")} - {"__init__", "base"}
    assert {service.__module__.rpartition(".")[2] for service in SERVICES} == files
    assert SERVICES[-1] is Sink
    assert len({service.name for service in SERVICES}) == len(SERVICES)


def test_dns_answers_every_kind_of_question(world: World) -> None:
    assert str(query(world, "www.360.com", "A").rr[0].rdata) == fake_address("www.360.com")
    assert query(world, "www.360.com", "AAAA").rr == []
    assert "mail.example.org" in str(query(world, "example.org", "MX").rr[0].rdata)
    assert "spf1" in str(query(world, "example.org", "TXT").rr[0].rdata)
    assert "1-2-3-4" not in str(query(world, "4.3.2.1.in-addr.arpa", "A").rr[0].rdata)
    assert "1-2-3-4" in str(query(world, "4.3.2.1.in-addr.arpa", "PTR").rr[0].rdata)
    assert "443" in str(query(world, "_ldap._tcp.example.org", "SRV").rr[0].rdata)


def test_dns_takes_a_users_answers_first(tmp_path: Path) -> None:
    (tmp_path / "dns.toml").write_text('["c2.example"]\nA = ["203.0.113.9"]\nMX = ["5 mx.c2.example"]\nAAAA = "bad"\n')
    world = World(None, Answers(tmp_path))
    assert str(query(world, "c2.example", "A").rr[0].rdata) == "203.0.113.9"
    assert "mx.c2.example" in str(query(world, "c2.example", "MX").rr[0].rdata)
    assert query(world, "c2.example", "TXT").rr == []
    assert query(world, "c2.example", "AAAA").header.rcode == dnslib.RCODE.SERVFAIL


@pytest.mark.parametrize("data", [b"", b"x", b"\0" * 12, b"\xff" * 300, dnslib.DNSRecord.question("a").reply().pack()])
def test_what_is_no_query_gets_no_answer(world: World, data: bytes) -> None:
    assert Dns(world).datagram(Datagram(data, HERE, THERE)) == []


def test_dns_over_tcp(world: World, tmp_path: Path) -> None:
    packed = dnslib.DNSRecord.question("a.example").pack()
    got, _ = talk(Dns(world), exchange(len(packed).to_bytes(2) + packed), tmp_path)
    assert str(dnslib.DNSRecord.parse(got[2:]).rr[0].rdata) == fake_address("a.example")


def test_http_answers_keeps_bodies_and_stays_open(world: World, tmp_path: Path) -> None:
    words = (
        b"GET /bins/x86_64 HTTP/1.1\r\nHost: c2.example\r\n\r\n"
        b"POST /gate HTTP/1.1\r\nHost: c2.example\r\nTransfer-Encoding: chunked\r\n\r\n4\r\ndata\r\n0\r\n\r\n"
        b"HEAD / HTTP/1.1\r\nHost: c2.example\r\nConnection: close\r\n\r\n"
    )
    got, session = talk(Http(world), exchange(words), tmp_path)
    assert got.count(b"HTTP/1.1 200 OK") == 3
    assert b"\x7fELF" in got
    assert [step["method"] for step in session.steps] == ["GET", "POST", "HEAD"]
    assert session.steps[0]["host"] == "c2.example"
    assert [(payload.kind, payload.size) for payload in session.payloads if payload.kind == "sent"] == [("sent", 4)]


@pytest.mark.parametrize(
    "words",
    [
        b"\x00\x01\x02\n",
        b"GET\r\n\r\n",
        b"GET / HTTP/1.1\r\nContent-Length: -5\r\n\r\n",
        b"GET / HTTP/1.1\r\nContent-Length: 99999999999999999999\r\n\r\n",
        b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"GET http://[::1 HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\r\n" + b"A: b\r\n" * 1000 + b"\r\n",
    ],
)
def test_odd_requests_do_no_harm(world: World, tmp_path: Path, words: bytes) -> None:
    talk(Http(world), exchange(words), tmp_path)


def test_http_is_recognised_on_any_port(world: World) -> None:
    http = Http(world)
    assert http.recognises(b"GET / HTTP/1.0\r\n")
    assert http.recognises(b"CONNECT a:443 HTTP/1.1\r\n")
    assert not http.recognises(b"GETX")
    assert not Sink(world).recognises(b"GET / ")


def test_the_sink_drives_a_reverse_shell_and_keeps_what_it_says(world: World, tmp_path: Path) -> None:
    def script(sock: socket.socket) -> bytes:
        got = b""
        for _ in range(3):
            sock.sendall(b"root@web01:/tmp# ")
            got += sock.recv(100)
        sock.close()
        return got

    got, session = talk(Sink(world), script, tmp_path)
    assert got == b"id\nuname -a\nexit\n"
    assert [step["command"] for step in session.steps] == ["id\n", "uname -a\n", "exit\n"]
    assert session.payloads[0].size == 3 * 17
