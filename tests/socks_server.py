"""A SOCKS 5 proxy that leads nowhere: it answers for every host, and keeps what it was asked."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Iterator
from ipaddress import ip_address

import dnslib

from malkoha.network import socks

HOST = "93.184.215.14"
"""The address of every name."""


class Server:
    """What was asked of the proxy; ``status`` is what it answers."""

    def __init__(self) -> None:
        self.asked: list[tuple[int, str, int]] = []
        self.logins: list[tuple[bytes, bytes]] = []
        self.method = 0
        self.status = 0
        self.port = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.closing(writer), contextlib.suppress(asyncio.IncompleteReadError):
            _, methods = await reader.readexactly(2)
            offered = await reader.readexactly(methods)
            writer.write(bytes([5, self.method if self.method in offered else 0xFF]))
            if self.method == 2:
                _, size = await reader.readexactly(2)
                user = await reader.readexactly(size)
                password = await reader.readexactly((await reader.readexactly(1))[0])
                self.logins.append((user, password))
                writer.write(bytes([1, password != b"secret"]))
            _, command, _, kind = await reader.readexactly(4)
            size = {1: 4, 4: 16}.get(kind) or (await reader.readexactly(1))[0]
            host = await reader.readexactly(size)
            port = int.from_bytes(await reader.readexactly(2))
            name = host.decode() if kind == 3 else str(ip_address(host))
            self.asked.append((command, name, port))
            writer.write(bytes([5, self.status, 0, 1]) + bytes([203, 0, 113, 7]) + b"\0\0")
            if port == 53:
                query = await reader.readexactly(int.from_bytes(await reader.readexactly(2)))
                reply = dnslib.DNSRecord.parse(query).reply()
                reply.add_answer(dnslib.RR(reply.q.qname, rdata=dnslib.A(HOST)))
                packed = reply.pack()
                writer.write(len(packed).to_bytes(2) + packed)
            elif command == socks.CONNECT and not self.status:
                writer.write(b"echo " + await reader.read(100))


@contextlib.contextmanager
def running() -> Iterator[Server]:
    """Run a proxy in a thread of its own."""
    made, ready, loop = Server(), threading.Event(), asyncio.new_event_loop()
    over = asyncio.Event()

    async def serve() -> None:
        listening = await asyncio.start_server(made.serve, "127.0.0.1", 0)
        made.port = listening.sockets[0].getsockname()[1]
        ready.set()
        async with listening:
            await over.wait()

    thread = threading.Thread(target=loop.run_until_complete, args=(serve(),))
    thread.start()
    try:
        assert ready.wait(60)
        yield made
    finally:
        loop.call_soon_threadsafe(over.set)
        thread.join()
        loop.close()
