"""The ways out of this machine: through an interface, from within a prepared namespace, through a proxy, through Tor.

A way only dials. What may be dialled is decided before (allowance).
"""

from __future__ import annotations

import asyncio
import socket
from abc import ABC, abstractmethod
from typing import ClassVar

from malkoha.errors import HostError
from malkoha.network import socks
from malkoha.network.joining import Streams

DIAL_S = 30.0
LOOKUP_S = 10.0
_TRANSFERS = (251, 252)
"""IXFR and AXFR (RFC 1995, RFC 5936): whole zones."""


class Way(ABC):
    """One way out."""

    datagrams: ClassVar[bool] = False
    """Whether UDP can go along it."""

    def __init__(self, label: str, resolver: str) -> None:
        self.label, self.resolver = label, resolver

    @abstractmethod
    async def check(self) -> None:
        """Raise HostError when it cannot be gone now."""

    @abstractmethod
    async def stream(self, host: str, port: int) -> Streams:
        """Connect to an address; ConnectionRefusedError when it refuses, another OSError when it cannot be reached."""

    async def datagram(self, host: str, port: int) -> socket.socket:
        """Return a UDP socket that is connected to an address."""
        raise OSError(f"no datagrams go through {self.label} to {host}:{port}")

    async def lookup(self, query: bytes) -> bytes | None:
        """Ask the administrator's resolver over TCP (RFC 7766); None when the query is none that is passed on.

        Only the question is passed on, whatever else stands in the guest's packet.
        """
        asked = _question(query)
        if asked is None:
            return None
        reader, writer = await self.stream(self.resolver, 53)
        try:
            writer.write(len(asked).to_bytes(2) + asked)
            size = int.from_bytes(await reader.readexactly(2))
            return await reader.readexactly(size)
        except asyncio.IncompleteReadError as error:
            raise OSError("the resolver hung up") from error
        finally:
            writer.close()


class Direct(Way):
    """Sockets of the namespace in which this process is; with a device they can use that interface only."""

    datagrams = True

    def __init__(self, label: str, resolver: str, device: str = "") -> None:
        super().__init__(label, resolver)
        self._device = device

    async def check(self) -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            try:
                self._bind(probe)
            except OSError as error:
                why = f"{self._device}: {error.strerror}"
                raise HostError("the interface of the route cannot be used", why, "correct its setting") from error

    def _bind(self, sock: socket.socket) -> None:
        if self._device:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, self._device.encode() + b"\0")

    def _socket(self, host: str, kind: socket.SocketKind) -> socket.socket:
        sock = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, kind)
        try:
            sock.setblocking(False)
            self._bind(sock)
        except OSError:
            sock.close()
            raise
        return sock

    async def stream(self, host: str, port: int) -> Streams:
        sock = self._socket(host, socket.SOCK_STREAM)
        try:
            await asyncio.get_running_loop().sock_connect(sock, (host, port))
            return await asyncio.open_connection(sock=sock)
        except BaseException:
            sock.close()
            raise

    async def datagram(self, host: str, port: int) -> socket.socket:
        sock = self._socket(host, socket.SOCK_DGRAM)
        try:
            sock.connect((host, port))
        except OSError:
            sock.close()
            raise
        return sock


class Proxied(Way):
    """A SOCKS 5 proxy: it is given addresses, never names, so that it cannot be had to look up a private one."""

    def __init__(self, label: str, resolver: str, proxy: socks.Proxy) -> None:
        super().__init__(label, resolver)
        self._proxy = proxy

    async def check(self) -> None:
        where = f"{self._proxy.host}:{self._proxy.port}"
        try:
            async with asyncio.timeout(LOOKUP_S):
                await socks.greet(self._proxy)
        except (OSError, TimeoutError) as error:
            why = str(error) or "it does not answer"
            raise HostError(f"the proxy {where} cannot be used", why, "start it or correct the setting") from error

    async def stream(self, host: str, port: int) -> Streams:
        return await socks.connect(self._proxy, host, port)


class Tor(Proxied):
    """Tor's SOCKS port; without a resolver it finds the IPv4 addresses of names itself, and nothing else of them."""

    async def lookup(self, query: bytes) -> bytes | None:
        if self.resolver:
            return await super().lookup(query)
        from dnslib import QTYPE, RCODE, RR, A, DNSRecord

        cleaned = _question(query)
        if cleaned is None:
            return None
        asked = DNSRecord.parse(cleaned)
        reply = asked.reply(ra=1, aa=0)
        if asked.q.qtype == QTYPE.A:
            try:
                address = await socks.resolve(self._proxy, str(asked.q.qname).rstrip("."))
                reply.add_answer(RR(asked.q.qname, QTYPE.A, rdata=A(address), ttl=60))
            except (OSError, ValueError):
                reply.header.rcode = RCODE.NXDOMAIN
        packed: bytes = reply.pack()
        return packed


def _question(query: bytes) -> bytes | None:
    """Return a query with the one question of this one, None when it asks for no record of a name."""
    from dnslib import CLASS, QR, DNSHeader, DNSRecord
    from dnslib.dns import DNSError

    try:
        asked = DNSRecord.parse(query)
    except (DNSError, ValueError, IndexError):
        return None
    head = asked.header
    if head.qr != QR.QUERY or head.opcode or len(asked.questions) != 1:
        return None
    if asked.q.qclass != CLASS.IN or asked.q.qtype in _TRANSFERS:
        return None
    packed: bytes = DNSRecord(DNSHeader(id=head.id, rd=1), q=asked.q).pack()
    return packed
