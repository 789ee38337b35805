"""Frames between host and guest: a JSON head and a raw body, both with their length in front and both bounded.

A request has ``do``, and ``id`` when it wants an answer; the answer has the same ``id`` and either the result or
``error``. What the guest sends by itself has ``stream``. A session begins with the request ``hello``, whose nonce the
guest returns: each side drops what came before it, so that leftovers of an earlier session do no harm. When the first
``hello`` is not answered, the other side may still wait for the rest of a broken frame: ``FLUSH`` completes any such
frame.

Neither side ever reserves memory for what a length claims: it keeps what has arrived, one frame at most.
"""

from __future__ import annotations

import json
import struct
from typing import Any

Head = dict[str, Any]
Frame = tuple[Head, bytes]

LENGTHS = struct.Struct(">4sII")
MAGIC = b"\x01GA\x02"
MAX_HEAD = 1 << 20
MAX_BODY = 1 << 20
FLUSH = bytes(MAX_HEAD + MAX_BODY)
"""As much as a broken frame can still wait for, and nothing that could be taken for a frame."""


class ProtocolError(Exception):
    """A frame is larger than the bounds, or what should be a frame is none."""


def encode(head: Head, body: bytes = b"") -> bytes:
    """Make one frame."""
    text = json.dumps(head, separators=(",", ":"), ensure_ascii=False).encode("utf-8", "backslashreplace")
    if len(text) > MAX_HEAD or len(body) > MAX_BODY:
        raise ProtocolError(f"a frame of {len(text)} + {len(body)} bytes is too large")
    return LENGTHS.pack(MAGIC, len(text), len(body)) + text + body


class Decoder:
    """Takes bytes as they come and gives whole frames; ``skipped`` counts the bytes that belonged to none."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self.skipped = 0

    def feed(self, data: bytes | memoryview) -> list[Frame]:
        """Add bytes and return the (head, body) pairs that are whole now."""
        self._buffer += data
        frames = []
        while (frame := self._next()) is not None:
            frames.append(frame)
        return frames

    def _next(self) -> Frame | None:
        while len(self._buffer) >= LENGTHS.size:
            magic, head_size, body_size = LENGTHS.unpack_from(self._buffer)
            if magic != MAGIC or head_size > MAX_HEAD or body_size > MAX_BODY:
                self._skip()
                continue
            start = LENGTHS.size + head_size
            end = start + body_size
            if len(self._buffer) < end:
                return None
            with memoryview(self._buffer) as view:
                text, body = bytes(view[LENGTHS.size : start]), bytes(view[start:end])
            del self._buffer[:end]
            try:
                return parse(text), body
            except ProtocolError:
                self.skipped += end
        return None

    def _skip(self) -> None:
        """Drop what stands before the next bytes that may begin a frame."""
        found = self._buffer.find(MAGIC, 1)
        cut = found if found > 0 else len(self._buffer) - len(MAGIC) + 1
        del self._buffer[:cut]
        self.skipped += cut


def parse(text: bytes) -> Head:
    """Read a head; ProtocolError when it is not a JSON object."""
    try:
        head = json.loads(text)
    except (ValueError, RecursionError):
        raise ProtocolError("the head of a frame is not JSON") from None
    if not isinstance(head, dict):
        raise ProtocolError("the head of a frame is not an object")
    return head


def pack_bytes(data: bytes) -> str:
    """Carry any bytes in a JSON string."""
    return data.decode("latin-1")


def unpack_bytes(text: str) -> bytes:
    """Return what ``pack_bytes`` was given; ValueError when it was not made by it."""
    return text.encode("latin-1")
