"""Downloads as the capture alone has them: contents of plain HTTP, where no simulated internet kept what it gave.

In: the streams of a flow. Out: content by content, each with the request that it answers; what was cut is left out.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterator, Sequence
from typing import Any

LARGEST = 16 << 20
_STATUS = re.compile(rb"HTTP/1\.[01] (\d{3})[^\r\n]*\r?\n")
_FIELD = re.compile(rb"(?im)^(content-length|transfer-encoding|content-encoding)[ \t]*:[ \t]*([^\r\n]*)")
_CHUNK = re.compile(rb"([0-9A-Fa-f]{1,8})[^\r\n]*\r\n")
_BODILESS = frozenset({204, 304})


def contents(requests: Sequence[dict[str, Any]], server: bytes) -> Iterator[tuple[dict[str, Any], bytes]]:
    """Yield each request of a conversation that was answered with content, and that content (RFC 9112, section 6)."""
    at, waiting = 0, iter(requests)
    while (status := _STATUS.match(server, at)) is not None:
        head_end = server.find(b"\r\n\r\n", at)
        if head_end < 0:
            return
        fields = {name.lower(): value.strip().lower() for name, value in _FIELD.findall(server[at:head_end])}
        code, at = int(status[1]), head_end + 4
        if code < 200:
            continue
        request = next(waiting, None)
        if request is None:
            return
        if code in _BODILESS or request["method"] == "HEAD":
            continue
        body, at = _body(fields, server, at)
        if body is None:
            return
        body = _plain(body) if fields.get(b"content-encoding") in (b"gzip", b"deflate") else body
        if body and 200 <= code < 300:
            yield request, body[:LARGEST]


def _body(fields: dict[bytes, bytes], server: bytes, at: int) -> tuple[bytes | None, int]:
    """Take one body; None when the stream ends before it does."""
    if b"chunked" in fields.get(b"transfer-encoding", b""):
        parts: list[bytes] = []
        while (chunk := _CHUNK.match(server, at)) is not None:
            size, at = int(chunk[1], 16), chunk.end()
            if size == 0:
                return b"".join(parts), at + 2
            if at + size > len(server):
                break
            parts.append(server[at : at + size])
            at += size + 2
        return None, at
    length = fields.get(b"content-length", b"")
    if length.isdigit() and len(length) < 12:
        end = at + int(length)
        return (server[at:end], end) if end <= len(server) else (None, at)
    # without a length the end of the conversation is the end of the content
    return server[at:], len(server)


def _plain(body: bytes) -> bytes:
    """Decompress what was compressed on the way only; what is broken stays as it is."""
    try:
        return zlib.decompressobj(47).decompress(body, LARGEST)
    except zlib.error:
        return body
