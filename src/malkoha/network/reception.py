"""Gives each conversation with the simulated internet to the service that it belongs to."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import struct
from collections.abc import Callable

from malkoha.network.conversation import Conversation
from malkoha.network.journal import Journal, Session
from malkoha.network.ports import DATAGRAM_SESSIONS, Address, Packet, Ports
from malkoha.network.services.base import Datagram, Service

log = logging.getLogger(__name__)

FIRST_WORD_S = 4.0
"""How long a client may think before the server of its port speaks, or the sink takes over."""
TLS_PORTS = {465: 25, 563: 119, 636: 389, 853: 53, 989: 20, 990: 21, 993: 143, 995: 110, 6697: 6667, 8883: 1883}
"""Ports whose protocol is that of another port within TLS."""


class Reception(Ports):
    """The services behind all ports of all addresses."""

    def __init__(self, services: list[Service], journal: Journal, forget: Callable[[int, int], None]) -> None:
        super().__init__(journal, forget)
        self._services = services
        self._by_port = {port: service for service in reversed(services) for port in service.ports}
        self._by_datagram_port = {port: service for service in services for port in service.datagram_ports}
        self._sink = services[-1]
        self._talks: dict[tuple[Address, Address], Session] = {}

    async def converse(self, connection: socket.socket, session: Session) -> None:
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

    def datagram(self, packet: Packet) -> None:
        service = self._by_datagram_port.get(packet.target[1], self._sink)
        try:
            answers = service.datagram(Datagram(packet.data, packet.source, packet.target))
        except Exception:
            log.exception("a datagram could not be answered")
            answers = []
        self._note(service, packet.data, answers, packet.source, packet.target)
        for answer in answers:
            packet.reply(answer)

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
