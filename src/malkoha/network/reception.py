"""Opens a port when the first packet to it comes, and gives each conversation to the service that it belongs to."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import logging
import resource
import socket
import ssl
import struct
from collections.abc import Callable

from malkoha.network.conversation import Conversation, EndedError
from malkoha.network.journal import Journal, Session
from malkoha.network.pump import TCP
from malkoha.network.services.base import Datagram, Service

log = logging.getLogger(__name__)

Address = tuple[str, int]

BACKLOG = 4096
CONVERSATIONS = 4000
"""TCP connections that are served at a time; further ones are closed at once and counted."""
DATAGRAM_SESSIONS = 5000
FIRST_WORD_S = 4.0
"""How long a client may think before the server of its port speaks, or the sink takes over."""
TLS_PORTS = {465: 25, 563: 119, 636: 389, 853: 53, 989: 20, 990: 21, 993: 143, 995: 110, 6697: 6667, 8883: 1883}
"""Ports whose protocol is that of another port within TLS."""
SPARE_FILES = 256
_IPV6_RECVPKTINFO, _IPV6_PKTINFO = 49, 50


class Reception:
    """All ports of all addresses of one namespace."""

    def __init__(self, services: list[Service], journal: Journal, forget: Callable[[int, int], None]) -> None:
        self.accepted = 0
        self.refused = 0
        self._services, self._journal, self._forget = services, journal, forget
        self._by_port = {port: service for service in reversed(services) for port in service.ports}
        self._by_datagram_port = {port: service for service in services for port in service.datagram_ports}
        self._sink = services[-1]
        self._listeners: dict[tuple[int, int], socket.socket] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._talks: dict[tuple[Address, Address], Session] = {}
        self._loop = asyncio.get_running_loop()
        limit, most = resource.getrlimit(resource.RLIMIT_NOFILE)
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
            limit = most
        self._room = max(limit - SPARE_FILES - CONVERSATIONS, 64)

    def expect(self, protocol: int, port: int) -> None:
        """Make sure that somebody listens on a port; beyond the limit of open files the kernel refuses."""
        if (protocol, port) in self._listeners:
            return
        if len(self._listeners) >= self._room:
            self.refused += 1
            return
        try:
            self._listeners[protocol, port] = self._listen(protocol, port)
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                return  # a service of ours listens there already, for one transfer
            log.warning("port %d is not served: %s", port, error)
            self.refused += 1
            self._forget(protocol, port)

    def _listen(self, protocol: int, port: int) -> socket.socket:
        kind = socket.SOCK_STREAM if protocol == TCP else socket.SOCK_DGRAM
        listener = socket.socket(socket.AF_INET6, kind)
        try:
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
            listener.setblocking(False)
            if protocol == TCP:
                listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                listener.bind(("::", port))
                listener.listen(BACKLOG)
                self._loop.add_reader(listener, self._accept, listener)
            else:
                listener.setsockopt(socket.IPPROTO_IPV6, _IPV6_RECVPKTINFO, 1)
                listener.bind(("::", port))
                self._loop.add_reader(listener, self._receive, listener, port)
        except OSError:
            listener.close()
            raise
        return listener

    # -- TCP -------------------------------------------------------------------------------------------------------

    def _accept(self, listener: socket.socket) -> None:
        for _ in range(64):
            try:
                connection, peer = listener.accept()
            except (BlockingIOError, ConnectionAbortedError):
                return
            except OSError as error:
                log.warning("a connection was lost: %s", error)
                return
            if len(self._tasks) >= CONVERSATIONS:
                self.refused += 1
                connection.close()
                continue
            self.accepted += 1
            connection.setblocking(False)
            source, target = _plain(peer), _plain(connection.getsockname())
            session = self._journal.begin("tcp", source, target)
            task = self._loop.create_task(self._serve(connection, session))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _serve(self, connection: socket.socket, session: Session) -> None:
        try:
            await self._converse(connection, session)
        except (EndedError, ConnectionError, TimeoutError, ssl.SSLError) as error:
            said = str(error)
            if said:
                self._journal.step(session, what="ended", why=f"{type(error).__name__}: {said}"[:300])
        except Exception as error:
            log.exception("a conversation failed")
            self._journal.step(session, what="failed", why=f"{type(error).__name__}: {error}"[:300])
        finally:
            connection.close()
            self._journal.end(session)

    async def _converse(self, connection: socket.socket, session: Session) -> None:
        known = self._by_port.get(session.dport)
        first = b""
        if known is None or not known.greets:
            first = await peek(self._loop, connection, FIRST_WORD_S)
        raw = known if known is not None and known.greets else self._recognise(first)
        if raw is not None and await raw.take(connection, session, self._journal):
            return
        reader, writer = await asyncio.open_connection(sock=connection, limit=1 << 20)
        talk = Conversation(reader, writer, session, self._journal)
        try:
            service = await self._choose(talk, known, session)
            session.service = service.name
            await service.serve(talk)
        finally:
            with contextlib.suppress(ConnectionError, TimeoutError):
                await talk.close()

    async def _choose(self, talk: Conversation, known: Service | None, session: Session) -> Service:
        """Find the service: by the guest's first bytes, behind TLS where it begins with that, else by the port."""
        if known is not None and known.greets:
            return known
        wait_s = FIRST_WORD_S
        first = await talk.peek(wait_s)
        if is_client_hello(first):
            name = server_name(first) or session.dst
            await talk.start_tls(self._services[0].world.tls(name))
            session.tls = {**(session.tls or {}), "server_name": server_name(first)}
            behind = self._by_port.get(TLS_PORTS.get(session.dport, 0))
            if behind is not None and behind.greets:
                return behind
            first = await talk.peek(wait_s)
        recognised = self._recognise(first)
        if known is not None and recognised is not None and known.speaks == recognised.name:
            return known
        return recognised or known or self._sink

    def _recognise(self, first: bytes) -> Service | None:
        if not first:
            return None
        return next((service for service in self._services if service.recognises(first)), None)

    # -- UDP -------------------------------------------------------------------------------------------------------

    def _receive(self, listener: socket.socket, port: int) -> None:
        service = self._by_datagram_port.get(port, self._sink)
        for _ in range(64):
            try:
                data, ancillary, _, peer = listener.recvmsg(65536, 256)
            except OSError:
                return
            local = next((body[:16] for _, kind, body in ancillary if kind == _IPV6_PKTINFO), bytes(16))
            source, target = _plain(peer), _plain((socket.inet_ntop(socket.AF_INET6, local), port))
            try:
                answers = service.datagram(Datagram(data, source, target))
            except Exception:
                log.exception("a datagram could not be answered")
                answers = []
            self._note(service, data, answers, source, target)
            control = [(socket.IPPROTO_IPV6, _IPV6_PKTINFO, local + struct.pack("i", 0))]
            for answer in answers:
                with contextlib.suppress(OSError):
                    listener.sendmsg([answer], control, 0, peer)

    def _note(self, service: Service, data: bytes, answers: list[bytes], source: Address, target: Address) -> None:
        if service.name == "dns":
            return  # every query is in the capture
        session = self._talks.get((source, target))
        if session is None:
            if len(self._talks) >= DATAGRAM_SESSIONS:
                self._journal.omitted += 1
                return
            session = self._talks[source, target] = self._journal.begin("udp", source, target)
            session.service = service.name
            if service is self._sink and data:
                self._journal.payload(session, "sent", data)
        self._journal.traffic(session, data, b"".join(answers))

    async def close(self) -> None:
        """End all conversations and write what they were."""
        for listener in self._listeners.values():
            self._loop.remove_reader(listener)
            listener.close()
        for task in list(self._tasks):
            task.cancel()
        if self._tasks:
            await asyncio.wait(list(self._tasks), timeout=1.0)


async def peek(loop: asyncio.AbstractEventLoop, connection: socket.socket, wait_s: float) -> bytes:
    """Look at what a connection begins with, without taking it; empty when nothing comes in time."""
    ready: asyncio.Future[None] = loop.create_future()

    def readable() -> None:
        if not ready.done():
            ready.set_result(None)

    loop.add_reader(connection, readable)
    try:
        await asyncio.wait_for(ready, wait_s)
        return connection.recv(2048, socket.MSG_PEEK)
    except (TimeoutError, OSError):
        return b""
    finally:
        loop.remove_reader(connection)


def _plain(address: tuple[str, int] | tuple[str, int, int, int]) -> Address:
    """Return an address as the guest knows it: IPv4 ones come in IPv6's clothes."""
    host = address[0]
    return (host.removeprefix("::ffff:") if host.startswith("::ffff:") and "." in host else host), address[1]


def is_client_hello(first: bytes) -> bool:
    """Tell whether bytes begin a TLS handshake (RFC 8446, section 5.1)."""
    return len(first) >= 6 and first[0] == 22 and first[1] == 3 and first[5] == 1


def server_name(hello: bytes) -> str:
    """Return the name that a ClientHello asks for (RFC 6066, section 3), "" when it names none or is cut."""
    try:
        at = 5 + 4 + 2 + 32
        at += 1 + hello[at]
        at += 2 + int.from_bytes(hello[at : at + 2])
        at += 1 + hello[at]
        end = min(at + 2 + int.from_bytes(hello[at : at + 2]), len(hello))
        at += 2
        while at + 4 <= end:
            kind, size = struct.unpack_from(">HH", hello, at)
            if kind == 0:
                length = int.from_bytes(hello[at + 7 : at + 9])
                return hello[at + 9 : at + 9 + length].decode("ascii", "replace")
            at += 4 + size
    except (IndexError, struct.error):
        pass
    return ""
