"""The process that leads out: stands outside the guest's namespace and dials what is asked for and allowed.

In: an Order as JSON in the one argument; wishes at the gate, each with a socket. On that socket it first says one
line, ``open``, ``closed`` (the host refused), ``silent`` (it cannot be reached) or ``blocked RULE``; then content
passes. Out: on the control socket one line when it is ready, and one with what it counted when the gate is closed. It
exists in the modes that lead out and in no other, and it never sees a frame.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import sys

import msgspec

from malkoha.errors import MalkohaError
from malkoha.network import ranges, socks
from malkoha.network.allowance import Allowance
from malkoha.network.dialling import DIAL_S, LOOKUP_S, Direct, Proxied, Tor, Way
from malkoha.network.joining import cancel, join
from malkoha.network.orders import Order, Said, Wish

log = logging.getLogger(__name__)

DATAGRAM = 65536
AT_A_TIME = 1000
IDLE_S = 180.0
"""After which silence a UDP conversation is forgotten."""


def way_of(order: Order) -> Way:
    """Return the way that an order names."""
    if order.mode == "tor":
        return Tor(order.label, order.resolver, socks.Proxy.of(order.proxy))
    if order.mode == "socks5":
        return Proxied(order.label, order.resolver, socks.Proxy.of(order.proxy))
    return Direct(order.label, order.resolver, order.device)


class Exit:
    """All conversations of one analysis that lead out."""

    def __init__(self, gate: socket.socket, way: Way, allowance: Allowance) -> None:
        self.ended = asyncio.Event()
        self._gate, self._way, self._allowance = gate, way, allowance
        self._loop = asyncio.get_running_loop()
        self._tasks: set[asyncio.Task[None]] = set()
        gate.setblocking(False)
        self._loop.add_reader(gate, self._asked)

    async def close(self) -> None:
        """End what is still open."""
        for task in list(self._tasks):
            task.cancel()
        if self._tasks:
            await asyncio.wait(list(self._tasks), timeout=1.0)

    def _asked(self) -> None:
        try:
            text, descriptors, _, _ = socket.recv_fds(self._gate, 1024, 4)
        except BlockingIOError:
            return
        except OSError:
            text, descriptors = b"", []
        if not text:
            self._loop.remove_reader(self._gate)
            self.ended.set()
            return
        if not descriptors:
            return  # this process has as many files open as it may: the other side sees its socket closed
        near, *more = [socket.socket(fileno=number) for number in descriptors]
        for each in more:
            each.close()
        near.setblocking(False)
        task = self._loop.create_task(self._serve(msgspec.json.decode(text, type=Wish), near))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serve(self, wish: Wish, near: socket.socket) -> None:
        with contextlib.closing(near):
            try:
                await self._grant(wish, near)
            except OSError as error:
                log.info("%s %s:%d: %s", wish.transport, wish.host, wish.port, error)
            except Exception:
                log.exception("a conversation failed")

    async def _grant(self, wish: Wish, near: socket.socket) -> None:
        if wish.transport == "dns":
            await self._lookup(near)
            return
        rule = self._allowance.refuses(wish.transport, wish.host, wish.port, busy=len(self._tasks) > AT_A_TIME)
        if rule:
            await self._say(near, f"blocked {rule}")
        elif wish.transport == "udp":
            await self._datagrams(wish, near)
        else:
            await self._stream(wish, near)

    async def _say(self, near: socket.socket, verdict: str) -> None:
        await self._loop.sock_sendall(near, verdict.encode() + b"\n")

    # -- TCP -------------------------------------------------------------------------------------------------------

    async def _stream(self, wish: Wish, near: socket.socket) -> None:
        try:
            async with asyncio.timeout(DIAL_S):
                far = await self._way.stream(wish.host, wish.port)
        except ConnectionRefusedError:
            await self._say(near, "closed")
            return
        except (OSError, TimeoutError):
            await self._say(near, "silent")
            return
        await self._say(near, "open")
        inner = await asyncio.open_connection(sock=near)

        async def pay(data: bytes, from_guest: bool) -> bool:
            size = len(data)
            return await self._allowance.pay(sent=size if from_guest else 0, received=0 if from_guest else size)

        await join(inner, far, pay)

    # -- UDP and names ---------------------------------------------------------------------------------------------

    async def _datagrams(self, wish: Wish, near: socket.socket) -> None:
        with contextlib.closing(await self._way.datagram(wish.host, wish.port)) as far:
            await self._say(near, "open")
            carrying = [
                asyncio.create_task(self._relay(near, far, "sent")),
                asyncio.create_task(self._relay(far, near, "received")),
            ]
            try:
                await asyncio.wait(carrying, return_when=asyncio.FIRST_COMPLETED)
            finally:
                await cancel(carrying)

    async def _relay(self, source: socket.socket, target: socket.socket, which: str) -> None:
        while True:
            async with asyncio.timeout(IDLE_S):
                data = await self._loop.sock_recv(source, DATAGRAM)
            if not data and which == "sent":
                return
            if not await self._allowance.pay(**{which: len(data)}):
                return
            if data:
                await self._loop.sock_sendall(target, data)

    async def _lookup(self, near: socket.socket) -> None:
        async with asyncio.timeout(DIAL_S):
            query = await self._loop.sock_recv(near, DATAGRAM)
            if not self._allowance.may_ask():
                return
            async with asyncio.timeout(LOOKUP_S):
                answer = await self._way.lookup(query)
            if answer and await self._allowance.pay(sent=len(query), received=len(answer)):
                await self._loop.sock_sendall(near, answer)


async def run(order: Order) -> None:
    """Lead out until the gate is closed."""
    control = socket.socket(fileno=order.control)
    control.setblocking(False)
    loop = asyncio.get_running_loop()

    async def say(said: Said) -> None:
        with contextlib.suppress(OSError):
            await loop.sock_sendall(control, msgspec.json.encode(said) + b"\n")

    way = way_of(order)
    try:
        await way.check()
        here = tuple(ranges.own())
    except (MalkohaError, OSError) as error:
        await say(Said(error=str(error)))
        return
    limits = msgspec.structs.replace(order.limits, own_networks=(*order.limits.own_networks, *here))
    allowance = Allowance(limits, way.label, datagrams=way.datagrams)
    leading = Exit(socket.socket(fileno=order.gate), way, allowance)
    await say(Said(ready=True))
    await leading.ended.wait()
    await leading.close()
    await say(Said(egress=allowance.used))


def main() -> None:
    """Read the order and carry it out."""
    logging.basicConfig(stream=sys.stderr, level=logging.WARNING, format="%(asctime)s %(name)s %(message)s")
    asyncio.run(run(msgspec.json.decode(sys.argv[1].encode(), type=Order)))


if __name__ == "__main__":
    main()
