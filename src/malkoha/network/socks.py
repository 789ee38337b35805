"""The client's side of SOCKS 5 (RFC 1928, RFC 1929), with Tor's extension for names (socks-extensions.txt)."""

from __future__ import annotations

import asyncio
from ipaddress import ip_address
from typing import NamedTuple

CONNECT, RESOLVE = 0x01, 0xF0
_CLOSED = 5
"""Connection refused; what else a proxy reports is no answer of the host."""
_ADDRESS = {1: 4, 4: 16}


class Proxy(NamedTuple):
    """Where a proxy is, and who one is there."""

    host: str
    port: int
    user: str = ""
    password: str = ""

    @classmethod
    def of(cls, text: str) -> Proxy:
        """Read ``[USER:PASSWORD@]HOST:PORT``."""
        who, _, where = text.rpartition("@")
        host, _, port = where.rpartition(":")
        user, _, password = who.partition(":")
        return cls(host.strip("[]"), int(port), user, password)


async def connect(proxy: Proxy, host: str, port: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Return the streams of a connection to an address through the proxy.

    ConnectionRefusedError when the host refused it, another OSError for whatever else stands in the way.
    """
    packed = ip_address(host).packed
    target = (b"\x01" if len(packed) == 4 else b"\x04") + packed
    reader, writer = await _greeted(proxy)
    try:
        await _ask(reader, writer, CONNECT, target, port)
    except BaseException:
        writer.close()
        raise
    return reader, writer


async def resolve(proxy: Proxy, name: str) -> str:
    """Return the address of a name as Tor finds it; OSError when it finds none."""
    encoded = name.encode("ascii")
    reader, writer = await _greeted(proxy)
    try:
        return await _ask(reader, writer, RESOLVE, b"\x03" + bytes([len(encoded)]) + encoded, 0)
    finally:
        writer.close()


async def greet(proxy: Proxy) -> None:
    """Log in and out again; OSError when that cannot be done."""
    _, writer = await _greeted(proxy)
    writer.close()


async def _greeted(proxy: Proxy) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    try:
        reader, writer = await asyncio.open_connection(proxy.host, proxy.port)
    except OSError as error:
        # not to be taken for a refusal of the host behind it
        raise OSError(f"the proxy cannot be reached: {error.strerror or error}") from error
    try:
        writer.write(b"\x05\x01\x02" if proxy.user else b"\x05\x01\x00")
        method = (await _exactly(reader, 2))[1]
        if method == 2 and proxy.user:
            user, password = proxy.user.encode(), proxy.password.encode()
            writer.write(b"\x01" + bytes([len(user)]) + user + bytes([len(password)]) + password)
            if (await _exactly(reader, 2))[1]:
                raise OSError("the proxy does not take this user and password")
        elif method:
            raise OSError("the proxy wants another way to log in")
    except BaseException:
        writer.close()
        raise
    return reader, writer


async def _ask(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, command: int, target: bytes, port: int
) -> str:
    writer.write(bytes([5, command, 0]) + target + port.to_bytes(2))
    _, answer, _, kind = await _exactly(reader, 4)
    if answer == _CLOSED:
        raise ConnectionRefusedError("the proxy says that the host refused")
    if answer:
        raise OSError(f"the proxy answers {answer}")
    size = _ADDRESS.get(kind)
    if size is None:
        size = (await _exactly(reader, 1))[0]
    address = await _exactly(reader, size)
    await _exactly(reader, 2)
    return str(ip_address(address)) if kind in _ADDRESS else ""


async def _exactly(reader: asyncio.StreamReader, size: int) -> bytes:
    try:
        return await reader.readexactly(size)
    except asyncio.IncompleteReadError as error:
        raise OSError("the proxy hung up") from error
