"""Each simulated service in a conversation of its own, without a kernel between."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import socket
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import dnslib
import pytest

from malkoha.network.answers import Answers, fake_address
from malkoha.network.conversation import Conversation
from malkoha.network.journal import Journal, Session
from malkoha.network.services import SERVICES, shell
from malkoha.network.services.base import Datagram, Service, World
from malkoha.network.services.brokers import Irc, Mqtt, Ntp, Redis, Socks, Stratum
from malkoha.network.services.dns import Dns
from malkoha.network.services.docker import Docker
from malkoha.network.services.http import Http
from malkoha.network.services.mail import Smtp
from malkoha.network.services.shell import Ssh, Telnet
from malkoha.network.services.sink import Sink
from malkoha.network.services.transfer import Ftp, Tftp

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


# -- shells ------------------------------------------------------------------------------------------------------------


def test_telnet_takes_any_login_and_keeps_what_is_typed(world: World, tmp_path: Path) -> None:
    words = b"\xff\xfd\x01root\r\nvizxv\r\nuname -a\r\n/bin/busybox MIRAI\r\nexit\r\n"
    got, session = talk(Telnet(world), exchange(words), tmp_path)
    assert b"login: " in got
    assert b"x86_64 GNU/Linux" in got
    assert b"MIRAI: applet not found" in got
    assert {"user": "root", "password": "vizxv"}.items() <= session.steps[0].items()
    assert [step["command"] for step in session.steps[1:]] == ["uname -a", "/bin/busybox MIRAI", "exit"]


def test_what_the_shell_answers() -> None:
    assert shell.answer("id; whoami && echo 'hi'") == "uid=0(root) gid=0(root) groups=0(root)\r\nroot\r\nhi"
    assert shell.answer("rm -rf /") == ""
    assert shell.answer("") == ""


def test_ssh_takes_any_login_and_answers_a_command(world: World, tmp_path: Path) -> None:
    import asyncssh

    async def scene() -> tuple[str, Session]:
        journal = Journal(tmp_path)
        near, far = socket.socketpair()
        near.setblocking(False)
        far.setblocking(False)
        session = journal.begin("tcp", HERE, ("203.0.113.8", 22))
        serving = asyncio.create_task(Ssh(world).take(near, session, journal))
        options: dict[str, Any] = {
            "username": "root",
            "password": "toor",
            "known_hosts": None,
            "client_keys": [],
            "agent_path": None,
        }
        async with asyncssh.connect("server", sock=far, config=[], **options) as client:
            done = await client.run("uname -m")
        assert await asyncio.wait_for(serving, 30)
        journal.close()
        return str(done.stdout), session

    said, session = asyncio.run(scene())
    assert said == "x86_64\n"
    assert {"user": "root", "password": "toor"}.items() <= session.steps[0].items()
    assert session.steps[-1]["command"] == "uname -m"
    assert Ssh(world).recognises(b"SSH-2.0-x")


# -- mail and files ----------------------------------------------------------------------------------------------------


def test_mail_is_kept_with_its_login(world: World, tmp_path: Path) -> None:
    login = base64.b64encode(b"\0bob\0secret")
    words = (
        b"EHLO web01\r\nAUTH PLAIN " + login + b"\r\nAUTH LOGIN\r\nYm9i\r\ncHc=\r\n"
        b"MAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nDATA\r\nSubject: x\r\n\r\n..dot\r\n.\r\nQUIT\r\n"
    )
    got, session = talk(Smtp(world), exchange(words), tmp_path)
    assert got.startswith(b"220 ")
    assert b"STARTTLS" not in got
    assert got.endswith(b"221 2.0.0 Bye\r\n")
    logins = [(step["user"], step["password"]) for step in session.steps if step["what"] == "login"]
    assert logins == [("bob", "secret"), ("bob", "pw")]
    (mail,) = session.payloads
    assert (tmp_path / "payloads" / mail.sha256).read_bytes() == b"Subject: x\r\n\r\n.dot\r\n"


def test_ftp_gives_and_takes_files(world: World, tmp_path: Path) -> None:
    def script(control: socket.socket) -> bytes:
        stream = control.makefile("rwb")

        def ask(line: bytes) -> bytes:
            stream.write(line + b"\r\n")
            stream.flush()
            return stream.readline()

        def passive() -> socket.socket:
            port = int(ask(b"EPSV").split(b"|")[3])
            return socket.create_connection(("127.0.0.1", port), 20)

        stream.readline()
        assert ask(b"USER anonymous").startswith(b"331")
        assert ask(b"PASS x@y").startswith(b"230")
        with passive() as data:
            assert ask(b"RETR agent.x86_64").startswith(b"150")
            got = b"".join(iter(lambda: data.recv(4096), b""))
        stream.readline()
        with passive() as data:
            assert ask(b"STOR loot").startswith(b"150")
            data.sendall(b"stolen")
        stream.readline()
        assert ask(b"PORT 1,2,3,4,0,0").startswith(b"501")
        assert ask(b"RETR x").startswith(b"150")
        assert stream.readline().startswith(b"425")
        ask(b"QUIT")
        stream.close()
        return got

    got, session = talk(Ftp(world), script, tmp_path)
    assert got.startswith(b"\x7fELF")
    assert [(payload.kind, payload.name) for payload in session.payloads] == [
        ("received", "agent.x86_64"),
        ("sent", "loot"),
    ]


def test_tftp_in_blocks(world: World) -> None:
    tftp = Tftp(world)

    def ask(data: bytes) -> list[bytes]:
        return tftp.datagram(Datagram(data, HERE, THERE))

    (first,) = ask(b"\0\1agent.x86_64\0octet\0")
    assert first.startswith(b"\0\3\0\1\x7fELF")
    assert ask(b"\0\4\0\1") == []
    assert ask(b"\0\2loot\0octet\0") == [b"\0\4\0\0"]
    assert ask(b"\0\3\0\1stolen") == [b"\0\4\0\1"]
    assert ask(b"") == []


# -- brokers -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("service", "words", "wanted"),
    [
        (
            Irc,
            b"NICK bot\r\nUSER b 0 * :b\r\nPING :x\r\nJOIN #c2\r\nQUIT\r\n",
            [b"001 bot", b"PONG", b"JOIN #c2", b"ERROR"],
        ),
        (
            Redis,
            b"*1\r\n$4\r\nPING\r\nINFO\r\n*3\r\n$3\r\nSET\r\n$1\r\na\r\n$2\r\nbc\r\n",
            [b"+PONG", b"redis_version", b"+OK"],
        ),
        (
            Mqtt,
            b"\x10\x0c\0\x04MQTT\x04\x02\0\x3c\0\0\x82\x06\0\x01\0\x01a\0\xc0\0\xe0\0",
            [b"\x20\x02", b"\x90\x03\0\x01", b"\xd0\0"],
        ),
        (
            Stratum,
            b'{"id":1,"method":"login","params":{"login":"4A","pass":"x"}}\nbad\n{"id":2,"method":"submit"}\n',
            [b"seed_hash", b'"OK"'],
        ),
        (
            Docker,
            b"POST /v1.43/containers/create HTTP/1.1\r\nContent-Length: 2\r\n\r\n{}GET /version HTTP/1.1\r\n\r\n",
            [b"201 Created", b"ApiVersion"],
        ),
        (
            Socks,
            b"\x05\x01\0\x05\x01\0\x03\x02c2\0\x50GET / HTTP/1.1\r\nHost: c2\r\nConnection: close\r\n\r\n",
            [b"\x05\0\x05\0\0\x01", b"200 OK"],
        ),
        (Socks, b"\x04\x01\0\x50\0\0\0\x01me\0c2\0GET / HTTP/1.0\r\n\r\n", [b"\0\x5a", b"200 OK"]),
    ],
)
def test_each_speaks_its_protocol(
    world: World, tmp_path: Path, service: type[Service], words: bytes, wanted: list[bytes]
) -> None:
    got, session = talk(service(world), exchange(words), tmp_path)
    for word in wanted:
        assert word in got
    assert session.steps


NOISE = (b"", b"\n" * 50, b"\xff" * 4000, b"*99\r\n$9999999999\r\n", b"\x05", b"[" * 3000 + b"\n")


@pytest.mark.parametrize("service", [Irc, Redis, Mqtt, Stratum, Docker, Socks, Smtp, Ftp, Telnet, Http, Sink])
@pytest.mark.parametrize(
    "words", [b"", b"\n" * 50, b"\xff" * 4000, b"*99\r\n$9999999999\r\n", b"\x05", b"[" * 3000 + b"\n"]
)
def test_noise_does_no_harm(world: World, tmp_path: Path, service: type[Service], words: bytes) -> None:
    talk(service(world), exchange(words), tmp_path)


def test_who_is_recognised_by_its_first_words(world: World) -> None:
    first = {
        Irc: b"NICK bot\r\n",
        Redis: b"*1\r\n$4\r\nPING\r\n",
        Mqtt: b"\x10\x0c\0\x04MQTT",
        Stratum: b'{"id":1,"method":"mining.subscribe"}',
        Socks: b"\x05\x01\0",
        Http: b"GET / HTTP/1.1\r\n",
    }
    for service, words in first.items():
        found = [other for other in SERVICES if other(world).recognises(words)]
        assert found == [service]


def test_the_time_is_that_of_the_host(world: World) -> None:
    (answer,) = Ntp(world).datagram(Datagram(b"\x23" + bytes(39) + b"transmit", HERE, THERE))
    assert answer[24:32] == b"transmit"
    assert abs(int.from_bytes(answer[40:44]) - 2_208_988_800 - time.time()) < 60
    assert Ntp(world).datagram(Datagram(b"x", HERE, THERE)) == []
