"""Two connections become one: what comes from either goes to the other, in both directions, to both ends."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

CHUNK = 16 << 10
CLOSING_S = 10.0
"""How long the last bytes of a connection may take."""

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]
Toll = Callable[[bytes, bool], Awaitable[bool]]
"""Is told what is to pass and whether it comes from the first of the two; False stops both directions."""


async def join(one: Streams, other: Streams, toll: Toll) -> None:
    """Carry both directions until both have ended or one has failed, then close both."""
    carrying = [
        asyncio.create_task(_carry(one[0], other[1], toll, first=True)),
        asyncio.create_task(_carry(other[0], one[1], toll, first=False)),
    ]
    try:
        await asyncio.wait(carrying, return_when=asyncio.FIRST_EXCEPTION)
    finally:
        await cancel(carrying)
        await asyncio.gather(close(one[1]), close(other[1]))


async def _carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, toll: Toll, *, first: bool) -> None:
    while data := await reader.read(CHUNK):
        if not await toll(data, first):
            raise ConnectionAbortedError("nothing more may pass")
        writer.write(data)
        await writer.drain()
    writer.write_eof()


async def cancel(tasks: list[asyncio.Task[None]]) -> None:
    """Stop tasks, whatever they have come to."""
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def close(writer: asyncio.StreamWriter) -> None:
    """Close a stream when its last bytes have gone, or can no more."""
    writer.close()
    try:
        async with asyncio.timeout(CLOSING_S):
            await writer.wait_closed()
    except (OSError, TimeoutError):
        writer.transport.abort()
