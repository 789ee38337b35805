"""File transfers: FTP with passive and active data connections (RFC 959), and TFTP (RFC 1350)."""

from __future__ import annotations

import asyncio
import re
import socket
import struct
from typing import ClassVar

from malkoha.network import content
from malkoha.network.conversation import CHUNK, Conversation
from malkoha.network.services.base import Datagram, Service, World

LARGEST = 32 << 20
COMMANDS = 1000
DATA_S = 20.0
LISTING = (
    b"-rw-r--r--   1 ftp      ftp          4521 Mar 12  2024 readme.txt\r\n"
    b"-rwxr-xr-x   1 ftp      ftp           214 Mar 12  2024 agent\r\n"
)
BLOCK = 512
TRANSFERS = 256
_PLAIN = {"SYST": "215 UNIX Type: L8", "NOOP": "200 Ok", "CWD": "250 Ok", "CDUP": "250 Ok", "MKD": "257 Ok",
          "DELE": "250 Ok", "RMD": "250 Ok", "TYPE": "200 Ok", "MODE": "200 Ok", "STRU": "200 Ok", "PBSZ": "200 Ok",
          "PWD": '257 "/"', "FEAT": "211 No features", "OPTS": "200 Ok", "REST": "350 Ok"}  # fmt: skip


class Ftp(Service):
    """Takes any login, gives what a name promises, keeps what is sent."""

    name: ClassVar[str] = "ftp"
    ports: ClassVar[tuple[int, ...]] = (21, 2121)
    greets: ClassVar[bool] = True

    async def serve(self, talk: Conversation) -> None:
        await talk.send(b"220 (vsFTPd 3.0.5)\r\n")
        user, data = "", _Data(talk)
        try:
            for _ in range(COMMANDS):
                verb, _, rest = (await talk.line()).decode("latin-1").partition(" ")
                verb, rest = verb.upper().strip(), rest.strip()
                talk.note(what="command", command=verb, argument=rest)
                if verb == "USER":
                    user = rest
                    await talk.send(b"331 Please specify the password.\r\n")
                elif verb == "PASS":
                    talk.note(what="login", user=user, password=rest)
                    await talk.send(b"230 Login successful.\r\n")
                elif verb in {"PASV", "EPSV", "PORT", "EPRT"}:
                    await talk.send((await data.prepare(verb, rest) + "\r\n").encode())
                elif verb in {"RETR", "LIST", "NLST", "STOR", "APPE", "STOU"}:
                    await self._transfer(talk, data, verb, rest)
                elif verb == "QUIT":
                    await talk.send(b"221 Goodbye.\r\n")
                    return
                else:
                    await talk.send((_PLAIN.get(verb, "502 Command not implemented.") + "\r\n").encode())
        finally:
            data.close()

    async def _transfer(self, talk: Conversation, data: _Data, verb: str, name: str) -> None:
        await talk.send(b"150 Here it comes.\r\n")
        try:
            reader, writer = await asyncio.wait_for(data.connection(), DATA_S)
        except (TimeoutError, OSError):
            await talk.send(b"425 Can't open data connection.\r\n")
            return
        try:
            if verb in {"STOR", "APPE", "STOU"}:
                got = bytearray()
                while (piece := await asyncio.wait_for(reader.read(CHUNK), DATA_S)) and len(got) < LARGEST:
                    got += piece
                talk.keep("sent", bytes(got), name)
            else:
                body = LISTING if verb in {"LIST", "NLST"} else self._file(talk, name)
                writer.write(body)
                await writer.drain()
        finally:
            writer.close()
        await talk.send(b"226 Transfer complete.\r\n")

    def _file(self, talk: Conversation, name: str) -> bytes:
        own = self.world.answers.body(talk.session.dst, name)
        body = own if own is not None else content.content("GET", talk.session.dst, name, {}).body
        talk.keep("received", body, name)
        return body


class _Data:
    """The data connection: one that the guest makes to us, or one that we make to it."""

    def __init__(self, talk: Conversation) -> None:
        self._talk = talk
        self._server: asyncio.Server | None = None
        self._arrived: asyncio.Queue[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = asyncio.Queue(4)
        self._target: tuple[str, int] | None = None

    async def prepare(self, verb: str, rest: str) -> str:
        """Make ready for the next transfer and return the answer to the command."""
        self.close()
        if verb in {"PORT", "EPRT"}:
            return self._active(verb, rest)
        try:
            self._server = await asyncio.start_server(self._accept, sock=_listener())
        except OSError:
            return "425 Can't open data connection."
        port = self._server.sockets[0].getsockname()[1]
        if verb == "EPSV":
            return f"229 Entering Extended Passive Mode (|||{port}|)"
        where = self._talk.session.dst.replace(".", ",")
        return f"227 Entering Passive Mode ({where},{port >> 8},{port & 255})."

    def _active(self, verb: str, rest: str) -> str:
        """Note where the guest listens; whatever it says, only the guest itself is called."""
        found = re.search(r"(\d+),(\d+)$", rest) if verb == "PORT" else re.search(r"\|(\d+)\|$", rest)
        if found is None:
            return "501 Illegal PORT command."
        port = int(found[1]) * 256 + int(found[2]) if verb == "PORT" else int(found[1])
        if not 0 < port < 65536:
            return "501 Illegal PORT command."
        self._target = (self._talk.session.src, port)
        return "200 PORT command successful."

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._arrived.full():
            writer.close()
        else:
            self._arrived.put_nowait((reader, writer))

    async def connection(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        if self._target is not None:
            return await asyncio.open_connection(*self._target, local_addr=(self._talk.session.dst, 0))
        if self._server is None:
            raise ConnectionError("no PASV and no PORT came before")
        return await self._arrived.get()

    def close(self) -> None:
        self._target = None
        if self._server is not None:
            self._server.close()
            self._server = None


def _listener() -> socket.socket:
    """Return a socket that takes connections over IPv4 and IPv6, which asyncio's own do not."""
    listener = socket.socket(socket.AF_INET6, socket.SOCK_STREAM)
    listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
    listener.bind(("::", 0))
    return listener


class Tftp(Service):
    """Gives and takes files in blocks; a read is kept in memory from block to block, bounded."""

    name: ClassVar[str] = "tftp"
    datagram_ports: ClassVar[tuple[int, ...]] = (69,)

    def __init__(self, world: World) -> None:
        super().__init__(world)
        self._reads: dict[tuple[str, int], bytes] = {}

    def datagram(self, packet: Datagram) -> list[bytes]:
        if len(packet.data) < 4:
            return []
        kind, number = struct.unpack_from(">HH", packet.data)
        if kind == 1:
            name = packet.data[2:].split(b"\0")[0].decode("latin-1")
            if len(self._reads) >= TRANSFERS:
                self._reads.clear()
            own = self.world.answers.body(packet.target[0], name)
            body = own if own is not None else content.content("GET", packet.target[0], name, {}).body
            self._reads[packet.source] = body
            return [_block(body, 1)]
        if kind == 2:
            return [struct.pack(">HH", 4, 0)]
        if kind == 3:
            return [struct.pack(">HH", 4, number)]
        if kind == 4 and packet.source in self._reads:
            body = self._reads[packet.source]
            if number * BLOCK > len(body):
                del self._reads[packet.source]
                return []
            return [_block(body, number + 1)]
        return []


def _block(body: bytes, number: int) -> bytes:
    return struct.pack(">HH", 3, number & 0xFFFF) + body[(number - 1) * BLOCK : number * BLOCK]
