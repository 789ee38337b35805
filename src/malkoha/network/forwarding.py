"""The guest's side of a route that leads out: what it begins is asked for at the gate, and joined to what comes.

A packet that wants to open a connection waits here until the host outside has answered, so that a closed port is seen
as closed, a dead host as silent, and what a rule forbids as closed. Datagrams are passed on as they are; names are
asked of the administrator's resolver, whatever server the guest asks.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket

import msgspec

from malkoha.network.conversation import EndedError
from malkoha.network.joining import Streams, join
from malkoha.network.journal import Journal, Session
from malkoha.network.orders import Wish
from malkoha.network.ports import DATAGRAM, Address, Packet, Ports
from malkoha.network.pump import Pump
from malkoha.network.refusal import Ends, carried, opening, reset

log = logging.getLogger(__name__)

ACCEPT_S = 30.0
"""How long a connection that was dialled waits for the guest to complete its own."""
DIALS = 500
"""Connections at a time of which nobody knows yet what becomes of them."""
TALKS = 1000
"""UDP conversations at a time."""
LONGEST_ANSWER = 1232
"""Of a name server over UDP; a longer one is cut, and the guest asks again over TCP."""
DNS = 53


class Forwarding(Ports):
    """All conversations of a guest whose network leads out."""

    def __init__(self, gate: socket.socket, pump: Pump, journal: Journal) -> None:
        super().__init__(journal, pump.forget)
        self.unforwarded: dict[str, int] = {}
        self._gate, self._pump = gate, pump
        self._dialling: set[Ends] = set()
        self._dialled: dict[Ends, Streams] = {}
        self._talks: dict[tuple[Address, Address], _Talk] = {}
        gate.setblocking(False)

    def admit(self, frame: bytes) -> bool:
        """Tell whether the namespace may have a frame of the guest now."""
        kind = carried(frame)
        if kind:
            self.unforwarded[kind] = self.unforwarded.get(kind, 0) + 1
            return False
        ends = opening(frame)
        if ends is None or ends.dport == DNS or ends in self._dialled:
            return True
        if ends in self._dialling:
            return False
        if len(self._dialling) >= DIALS:
            self.refused += 1
            return False
        self._dialling.add(ends)
        self._begin(self._dial(ends, frame))
        return False

    def _ask(self, transport: str, host: str = "", port: int = 0) -> socket.socket:
        """Ask for a way out and return the socket that verdict and content come through; OSError when none is had."""
        kind = socket.SOCK_STREAM if transport == "tcp" else socket.SOCK_SEQPACKET
        near, far = socket.socketpair(socket.AF_UNIX, kind)
        near.setblocking(False)
        with far:
            try:
                wish = msgspec.json.encode(Wish(transport=transport, host=host, port=port))
                socket.send_fds(self._gate, [wish], [far.fileno()])
            except OSError:
                near.close()
                raise
        return near

    # -- TCP -------------------------------------------------------------------------------------------------------

    async def _dial(self, ends: Ends, frame: bytes) -> None:
        """Ask for the connection that a frame wants to open, and let the guest have what came of it."""
        verdict = "silent"
        try:
            near = self._ask("tcp", ends.dst, ends.dport)
            reader, writer = await asyncio.open_connection(sock=near)
            verdict = (await reader.readline()).decode("ascii", "replace").strip() or "silent"
        except OSError as error:
            log.info("%s: %s", ends, error)
        finally:
            self._dialling.discard(ends)
        if verdict == "open":
            self._dialled[ends] = reader, writer
            self._pump.deliver(frame)
            self._loop.call_later(ACCEPT_S, self._give_up, ends, writer)
            return
        session = self._journal.begin("tcp", (ends.src, ends.sport), (ends.dst, ends.dport))
        self._journal.step(session, what="not forwarded", why=verdict)
        self._journal.end(session)
        if verdict != "silent":
            self._pump.answer(reset(frame))

    def _give_up(self, ends: Ends, writer: asyncio.StreamWriter) -> None:
        if ends in self._dialled and self._dialled[ends][1] is writer:
            del self._dialled[ends]
            writer.close()

    async def converse(self, connection: socket.socket, session: Session) -> None:
        reader, writer = await asyncio.open_connection(sock=connection)
        with contextlib.closing(writer):
            if session.dport == DNS:
                session.service = "dns"
                await self._names(reader, writer)
                return
            ends = Ends(session.src, session.sport, session.dst, session.dport)
            found = self._dialled.pop(ends, None)
            if found is None:
                self._journal.step(session, what="not forwarded", why="nobody was dialled for it")
                writer.transport.abort()
                return
            session.service = "forwarded"

            async def keep(data: bytes, from_guest: bool) -> bool:
                self._journal.traffic(session, **{"sent" if from_guest else "received": data})
                return True

            await join((reader, writer), found, keep)

    # -- names -----------------------------------------------------------------------------------------------------

    async def _names(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer queries over TCP, one after the other."""
        try:
            while True:
                query = await reader.readexactly(int.from_bytes(await reader.readexactly(2)))
                answer = await self._lookup(query)
                writer.write(len(answer).to_bytes(2) + answer)
                await writer.drain()
        except asyncio.IncompleteReadError:
            raise EndedError from None

    async def _lookup(self, query: bytes) -> bytes:
        """Return what the resolver says; that it cannot be asked, when it does not say anything."""
        answer = b""
        try:
            with contextlib.closing(self._ask("dns")) as near:
                await self._loop.sock_sendall(near, query)
                answer = await self._loop.sock_recv(near, DATAGRAM)
        except OSError as error:
            log.info("a name could not be asked for: %s", error)
        return answer or failed(query)

    async def _answer(self, packet: Packet) -> None:
        answer = await self._lookup(packet.data)
        if answer:
            packet.reply(answer if len(answer) <= LONGEST_ANSWER else cut(answer))

    # -- UDP -------------------------------------------------------------------------------------------------------

    def datagram(self, packet: Packet) -> None:
        if packet.target[1] == DNS:
            self._begin(self._answer(packet))
            return
        key = packet.source, packet.target
        talk = self._talks.get(key)
        if talk is None:
            if len(self._talks) >= TALKS:
                self.refused += 1
                return
            session = self._journal.begin("udp", *key)
            try:
                talk = self._talks[key] = _Talk(self._ask("udp", *packet.target), session, packet)
            except OSError:
                self.refused += 1
                self._journal.end(session)
                return
            self._begin(self._listen_to(key, talk))
        self._journal.traffic(talk.session, sent=packet.data)
        if packet.data:
            with contextlib.suppress(OSError):
                talk.near.send(packet.data)

    async def _listen_to(self, key: tuple[Address, Address], talk: _Talk) -> None:
        """Give the guest what comes back, until the other side has forgotten it."""
        try:
            with contextlib.closing(talk.near) as near:
                verdict = (await self._loop.sock_recv(near, DATAGRAM)).decode("ascii", "replace").strip()
                if verdict != "open":
                    self._journal.step(talk.session, what="not forwarded", why=verdict or "silent")
                    return
                talk.session.service = "forwarded"
                while data := await self._loop.sock_recv(near, DATAGRAM):
                    self._journal.traffic(talk.session, received=data)
                    talk.packet.reply(data)
        finally:
            del self._talks[key]
            self._journal.end(talk.session)


class _Talk:
    """One conversation in datagrams."""

    def __init__(self, near: socket.socket, session: Session, packet: Packet) -> None:
        self.near, self.session, self.packet = near, session, packet


def failed(query: bytes) -> bytes:
    """Return the answer "server failure" to a query (RFC 1035, section 4.1.1), nothing to what is none."""
    return query[:2] + b"\x81\x82" + query[4:6] + bytes(6) + query[12:] if len(query) >= 12 else b""


def cut(answer: bytes) -> bytes:
    """Return an answer without its records, marked as cut."""
    from dnslib import DNSRecord
    from dnslib.dns import DNSError

    try:
        packed: bytes = DNSRecord.parse(answer).truncate().pack()
    except (DNSError, ValueError, IndexError):
        return failed(answer)
    return packed
