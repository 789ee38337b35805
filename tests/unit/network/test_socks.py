"""Routes through proxies: a SOCKS 5 server of our own that leads nowhere, asked by the process that leads out."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import dnslib
import pytest

from malkoha.errors import HostError
from malkoha.network import socks
from malkoha.network.dialling import Proxied, Tor
from malkoha.network.socks import Proxy
from tests.socks_server import Server

HOST = "93.184.215.14"


@contextlib.asynccontextmanager
async def server() -> AsyncIterator[Server]:
    made = Server()
    listening = await asyncio.start_server(made.serve, "127.0.0.1", 0)
    made.port = listening.sockets[0].getsockname()[1]
    async with listening:
        yield made


def scene(play: Callable[[Server], Awaitable[Any]]) -> Any:
    async def act() -> Any:
        async with server() as made, asyncio.timeout(30):
            return await play(made)

    return asyncio.run(act())


def test_a_connection_is_asked_for_by_address() -> None:
    async def play(made: Server) -> bytes:
        way = Proxied("a proxy", "9.9.9.9", Proxy("127.0.0.1", made.port))
        await way.check()
        reader, writer = await way.stream("2606:4700::1", 443)
        writer.write(b"hello")
        said = await reader.read()
        writer.close()
        assert made.asked == [(1, "2606:4700::1", 443)]
        return said

    assert scene(play) == b"echo hello"


def test_a_login_is_used_where_one_is_set() -> None:
    async def play(made: Server) -> None:
        made.method = 2
        _, writer = await socks.connect(Proxy.of(f"me:secret@127.0.0.1:{made.port}"), HOST, 80)
        writer.close()
        assert made.logins == [(b"me", b"secret")]
        with pytest.raises(OSError, match="does not take this user"):
            await socks.connect(Proxy("127.0.0.1", made.port, "me", "wrong"), HOST, 80)
        with pytest.raises(HostError, match="wants another way to log in"):
            await Proxied("a proxy", "", Proxy("127.0.0.1", made.port)).check()

    scene(play)


def test_a_refusal_of_the_host_is_told_from_other_troubles() -> None:
    async def play(made: Server) -> None:
        made.status = 5
        with pytest.raises(ConnectionRefusedError):
            await socks.connect(Proxy("127.0.0.1", made.port), HOST, 80)
        made.status = 4
        with pytest.raises(OSError, match="answers 4") as caught:
            await socks.connect(Proxy("127.0.0.1", made.port), HOST, 80)
        assert not isinstance(caught.value, ConnectionRefusedError)

    scene(play)


def test_a_proxy_that_is_not_there_is_no_refusal_of_a_host() -> None:
    async def play(made: Server) -> int:
        return made.port

    gone = scene(play)

    async def ask() -> None:
        with pytest.raises(HostError, match=f"the proxy 127.0.0.1:{gone} cannot be used"):
            await Tor("Tor", "", Proxy("127.0.0.1", gone)).check()

    asyncio.run(ask())


def test_names_go_to_the_resolver_through_the_proxy_and_the_question_only() -> None:
    async def play(made: Server) -> None:
        way = Proxied("a proxy", "9.9.9.9", Proxy("127.0.0.1", made.port))
        query = dnslib.DNSRecord.question("c2.example")
        query.add_ar(dnslib.RR("smuggled.example", rdata=dnslib.TXT("goods")))
        answer = await way.lookup(query.pack())
        assert answer is not None
        told = dnslib.DNSRecord.parse(answer)
        assert (told.header.id, str(told.rr[0].rdata), told.ar) == (query.header.id, HOST, [])
        assert made.asked == [(1, "9.9.9.9", 53)]
        for nonsense in (b"", b"x" * 11, answer, dnslib.DNSRecord.question("a", "AXFR").pack()):
            assert await way.lookup(nonsense) is None

    scene(play)


def test_tor_finds_names_itself() -> None:
    async def play(made: Server) -> None:
        way = Tor("Tor", "", Proxy("127.0.0.1", made.port))
        answer = await way.lookup(dnslib.DNSRecord.question("c2.example").pack())
        assert answer is not None
        assert str(dnslib.DNSRecord.parse(answer).rr[0].rdata) == "203.0.113.7"
        assert made.asked == [(socks.RESOLVE, "c2.example", 0)]
        mail = await way.lookup(dnslib.DNSRecord.question("c2.example", "MX").pack())
        assert mail is not None
        assert dnslib.DNSRecord.parse(mail).rr == []
        made.status = 4
        unknown = await way.lookup(dnslib.DNSRecord.question("no.example").pack())
        assert unknown is not None
        assert dnslib.DNSRecord.parse(unknown).header.rcode == dnslib.RCODE.NXDOMAIN
        with_resolver = Tor("Tor", "9.9.9.9", Proxy("127.0.0.1", made.port))
        made.status = 0
        await with_resolver.lookup(dnslib.DNSRecord.question("c2.example").pack())
        assert made.asked[-1] == (1, "9.9.9.9", 53)

    scene(play)


@pytest.mark.parametrize(
    ("text", "proxy"),
    [
        ("proxy.example:1080", Proxy("proxy.example", 1080)),
        ("[::1]:9050", Proxy("::1", 9050)),
        ("me:pa:ss@10.0.0.1:1080", Proxy("10.0.0.1", 1080, "me", "pa:ss")),
    ],
)
def test_a_setting_is_read(text: str, proxy: Proxy) -> None:
    assert Proxy.of(text) == proxy
