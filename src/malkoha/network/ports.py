"""Every port of every address of one namespace: opened when the first packet to it comes, watched until the end."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import logging
import resource
import socket
import ssl
import struct
from abc import ABC, abstractmethod
from collections.abc import Callable, Coroutine
from typing import Any, NamedTuple

from malkoha.network.conversation import EndedError
from malkoha.network.journal import Journal, Session
from malkoha.network.pump import TCP

log = logging.getLogger(__name__)

Address = tuple[str, int]

BACKLOG = 4096
CONVERSATIONS = 4000
"""TCP connections that are served at a time; further ones are closed at once and counted."""
DATAGRAM_SESSIONS = 5000
SPARE_FILES = 256
DATAGRAM = 65536
_IPV6_RECVPKTINFO, _IPV6_PKTINFO = 49, 50


class Packet(NamedTuple):
    """One UDP packet of the guest, and what it takes to answer it."""

    data: bytes
    source: Address
    target: Address
    reply: Callable[[bytes], None]


class Ports(ABC):
    """All ports; what becomes of a connection or a datagram is the business of those who inherit."""

    def __init__(self, journal: Journal, forget: Callable[[int, int], None]) -> None:
        self.accepted = 0
        self.refused = 0
        self._journal, self._forget = journal, forget
        self._listeners: dict[tuple[int, int], socket.socket] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._loop = asyncio.get_running_loop()
        limit, most = resource.getrlimit(resource.RLIMIT_NOFILE)
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
            limit = most
        self._room = max(limit - SPARE_FILES - CONVERSATIONS, 64)

    @abstractmethod
    async def converse(self, connection: socket.socket, session: Session) -> None:
        """Hold a connection to its end."""

    @abstractmethod
    def datagram(self, packet: Packet) -> None:
        """Do what is to be done about one datagram."""

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

    def _accept(self, listener: socket.socket) -> None:
        for _ in range(64):
            try:
                connection, peer = listener.accept()
            except (BlockingIOError, ConnectionAbortedError):
                return
            except OSError as error:
                log.warning("a connection was lost: %s", error)
                return
            connection.setblocking(False)
            self.take(connection, plain(peer), plain(connection.getsockname()))

    def take(self, connection: socket.socket, source: Address, target: Address) -> None:
        """Take over one connection of the guest, or close it when there are too many."""
        if len(self._tasks) >= CONVERSATIONS:
            self.refused += 1
            connection.close()
            return
        self.accepted += 1
        task = self._begin(self._serve(connection, self._journal.begin("tcp", source, target)))
        # one that is cancelled before it has begun closes nothing itself
        task.add_done_callback(lambda _: connection.close())

    def _begin(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Do something beside the rest, until the end at most."""
        task = self._loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def _serve(self, connection: socket.socket, session: Session) -> None:
        try:
            await self.converse(connection, session)
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

    def _receive(self, listener: socket.socket, port: int) -> None:
        for _ in range(64):
            try:
                data, ancillary, _, peer = listener.recvmsg(DATAGRAM, 256)
            except OSError:
                return
            local = next((body[:16] for _, kind, body in ancillary if kind == _IPV6_PKTINFO), bytes(16))
            source, target = plain(peer), plain((socket.inet_ntop(socket.AF_INET6, local), port))
            control = [(socket.IPPROTO_IPV6, _IPV6_PKTINFO, local + struct.pack("i", 0))]

            def reply(answer: bytes, control: list[Any] = control, peer: Any = peer) -> None:
                # a listener that is closed, a queue that is full: datagrams may get lost
                with contextlib.suppress(OSError):
                    listener.sendmsg([answer], control, 0, peer)

            self.datagram(Packet(data, source, target, reply))

    async def close(self) -> None:
        """End all conversations and write what they were."""
        for listener in self._listeners.values():
            self._loop.remove_reader(listener)
            listener.close()
        for task in list(self._tasks):
            task.cancel()
        if self._tasks:
            await asyncio.wait(list(self._tasks), timeout=1.0)


def plain(address: tuple[str, int] | tuple[str, int, int, int]) -> Address:
    """Return an address as the guest knows it: IPv4 ones come in IPv6's clothes."""
    host = address[0]
    return (host.removeprefix("::ffff:") if host.startswith("::ffff:") and "." in host else host), address[1]
