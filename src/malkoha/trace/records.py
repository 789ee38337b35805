"""The binary records of the tracer: what lies in trace/records.bin, record by record.

Layouts are those of ring.c, follow.c and capture.c in src/malkoha/engine. Nothing here raises on any content: where a
record's or a blob's size makes no sense, reading ends there and the caller can tell how much was left. Sizes are
bytes, times nanoseconds.
"""

from __future__ import annotations

import mmap
import struct
from collections.abc import Iterator
from functools import lru_cache
from typing import NamedTuple

PAD, CLOCK, ENTER, EXIT, FORK, EXEC, TASK_EXIT, TEXT, SIGNAL = range(9)

Data = bytes | mmap.mmap
"""Whose slices are bytes."""

_HEAD = "<IHHQQii"
SIZE_TYPE = struct.Struct("<IH2x")
HEAD = struct.Struct(_HEAD)
TID = struct.Struct("<24xi4x")
"""What pairing needs of a head."""
ENTER_RECORD = struct.Struct(_HEAD + "iiQ6Q16s")
EXIT_RECORD = struct.Struct(_HEAD + "iIq")
CLOCK_BODY = struct.Struct("<Q")
FORK_BODY = struct.Struct("<iiiI16s")
EXEC_BODY = struct.Struct("<iiIIII16s")
TASK_EXIT_BODY = struct.Struct("<ii16s")
SIGNAL_BODY = struct.Struct("<iiii")
BLOB = struct.Struct("<BBHIQ")

MINIMUM = {
    PAD: SIZE_TYPE.size,
    CLOCK: HEAD.size + CLOCK_BODY.size,
    ENTER: ENTER_RECORD.size,
    EXIT: EXIT_RECORD.size,
    FORK: HEAD.size + FORK_BODY.size,
    EXEC: HEAD.size + EXEC_BODY.size,
    TASK_EXIT: HEAD.size + TASK_EXIT_BODY.size,
    TEXT: HEAD.size,
    SIGNAL: HEAD.size + SIGNAL_BODY.size,
}
"""Smallest size of each type of record."""

LATE = 0x100
"""Flag of an ENTER record that was made at the call's return, since no entry was seen."""

WHOLE, CUT, UNREADABLE = range(3)
"""Status of a blob. Behind an unreadable one stands what could be read before the hole."""


class Blob(NamedTuple):
    """A piece of the sample's memory: of which argument, which part of it, how much of how much."""

    arg: int
    part: int
    status: int
    total: int
    data: bytes


def scan(data: Data, start: int = 0) -> Iterator[tuple[int, int, int]]:
    """Walk over the records: (offset, size, type). Ends before the first one that is torn or makes no sense."""
    offset, end = start, len(data)
    last = end - SIZE_TYPE.size
    unpack, minimum, never = SIZE_TYPE.unpack_from, MINIMUM.get, 1 << 32
    while offset <= last:
        size, kind = unpack(data, offset)
        behind = offset + size
        if size & 7 or size < minimum(kind, never) or behind > end:
            return
        yield offset, size, kind
        offset = behind


def blobs(data: Data, offset: int, end: int, found: list[Blob]) -> int:
    """Append the blobs that follow a record's fixed part; return how many bytes of it hold no blob that makes sense."""
    while offset + BLOB.size <= end:
        arg, status, part, stored, total = BLOB.unpack_from(data, offset)
        start = offset + BLOB.size
        behind = start + stored
        if behind > end:
            break
        found.append(Blob._make((arg, part, status, total, data[start:behind])))
        offset = behind + 7 & ~7
    return max(end - offset, 0)


@lru_cache(4096)
def name(field: bytes) -> str:
    """Read a fixed field that a NUL ends, such as comm."""
    return text(field.split(b"\0", 1)[0])


def text(data: bytes) -> str:
    """Decode bytes of the guest: UTF-8 where they are, one character a byte (latin-1) otherwise."""
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        return data.decode("latin-1")
