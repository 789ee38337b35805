"""One TCP connection of the guest as a service sees it: bytes in, bytes out, TLS at any point, all of it recorded."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from typing import Any

from malkoha.network.joining import close
from malkoha.network.journal import Journal, Session

CHUNK = 1 << 16
LINE = 16 << 10
PATIENCE_S = 120.0
"""How long a service waits for the guest to say something."""


class EndedError(ConnectionError):
    """The guest has closed its side, or says nothing any more."""


class Conversation:
    """A stream with a look ahead; whoever reads gets EndedError when there is nothing more."""

    def __init__(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, session: Session, journal: Journal
    ) -> None:
        self.session = session
        self._reader, self._writer, self._journal = reader, writer, journal
        self._ahead = b""
        self._tls: ssl.SSLObject | None = None
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()

    # -- reading ---------------------------------------------------------------------------------------------------

    async def peek(self, wait_s: float = PATIENCE_S) -> bytes:
        """Return what comes next without taking it; empty when nothing came in time or it is over."""
        if not self._ahead:
            try:
                self._ahead = await self._lower(wait_s)
            except TimeoutError:
                return b""
        return self._ahead

    async def some(self, wait_s: float = PATIENCE_S) -> bytes:
        """Return the next bytes, at least one."""
        data, self._ahead = await self.peek(wait_s), b""
        if not data:
            raise EndedError
        self._journal.traffic(self.session, sent=data)
        return data

    async def exactly(self, size: int, wait_s: float = PATIENCE_S) -> bytes:
        """Return ``size`` bytes."""
        while len(self._ahead) < size:
            more = await self._lower(wait_s)
            if not more:
                raise EndedError
            self._ahead += more
        return self._take(size)

    async def line(self, wait_s: float = PATIENCE_S) -> bytes:
        """Return one line without its end; one that is too long is cut into several."""
        while (at := self._ahead.find(b"\n")) < 0 and len(self._ahead) < LINE:
            more = await self._lower(wait_s)
            if not more:
                if self._ahead:
                    return self._take(len(self._ahead))
                raise EndedError
            self._ahead += more
        return self._take(at + 1 if at >= 0 else LINE).rstrip(b"\r\n")

    def _take(self, size: int) -> bytes:
        data, self._ahead = self._ahead[:size], self._ahead[size:]
        self._journal.traffic(self.session, sent=data)
        return data

    async def _lower(self, wait_s: float) -> bytes:
        """Read from below TLS or through it; empty at the end."""
        if self._tls is None:
            return await asyncio.wait_for(self._reader.read(CHUNK), wait_s)
        while True:
            try:
                return self._tls.read(CHUNK)
            except ssl.SSLWantReadError:
                await self._flush()
                data = await asyncio.wait_for(self._reader.read(CHUNK), wait_s)
                if not data:
                    return b""
                self._incoming.write(data)
            except ssl.SSLError:
                return b""

    # -- writing ---------------------------------------------------------------------------------------------------

    async def send(self, data: bytes) -> None:
        """Send bytes, waiting for room."""
        self._journal.traffic(self.session, received=data)
        if self._tls is None:
            self._writer.write(data)
            await self._writer.drain()
            return
        view = memoryview(data)
        while view:
            view = view[self._tls.write(view[:CHUNK]) :]
            await self._flush()

    async def _flush(self) -> None:
        data = self._outgoing.read()
        if data:
            self._writer.write(data)
            await self._writer.drain()

    async def start_tls(self, context: ssl.SSLContext, wait_s: float = PATIENCE_S) -> None:
        """Do the server's side of a handshake; what was peeked at belongs to it."""
        tls = context.wrap_bio(self._incoming, self._outgoing, server_side=True)
        if self._ahead:
            self._incoming.write(self._ahead)
            self._ahead = b""
        while True:
            try:
                tls.do_handshake()
                break
            except ssl.SSLWantReadError:
                await self._flush()
                data = await asyncio.wait_for(self._reader.read(CHUNK), wait_s)
                if not data:
                    raise EndedError from None
                self._incoming.write(data)
            except ssl.SSLError:
                await self._flush()
                raise
        await self._flush()
        self._tls = tls
        cipher = tls.cipher()
        self.session.tls = {
            "version": tls.version() or "",
            "cipher": cipher[0] if cipher else "",
            "alpn": tls.selected_alpn_protocol() or "",
        }

    # -- record ----------------------------------------------------------------------------------------------------

    def note(self, **fields: Any) -> None:
        """Add a remark to the session."""
        self._journal.step(self.session, **fields)

    def keep(self, kind: str, content: bytes, name: str = "") -> str:
        """Keep content as an artefact and return its hash."""
        return self._journal.payload(self.session, kind, content, name).sha256

    async def close(self) -> None:
        if self._tls is not None:
            with contextlib.suppress(ssl.SSLError, ValueError):
                self._tls.unwrap()
            with contextlib.suppress(ConnectionError):
                await self._flush()
        await close(self._writer)
