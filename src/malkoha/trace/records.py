"""The binary records of the tracer: what lies in trace/records.bin, record by record.

Layouts are those of ring.c, follow.c, handed.c and capture.c in src/malkoha/engine. Nothing here raises on any
content: where a record's or a blob's size makes no sense, reading ends there and the caller can tell how much was
left. Sizes are bytes, times nanoseconds.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from functools import lru_cache
from typing import TYPE_CHECKING, BinaryIO, NamedTuple

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

PAD, CLOCK, ENTER, EXIT, FORK, EXEC, TASK_EXIT, TEXT, SIGNAL, ADOPT = range(10)

CHUNK = 2 << 20
"""Bytes that are read at once."""
MAX_RECORD = 4 << 20
"""No record is longer than a chunk of the ring."""

_HEAD = "<IHHQQii"
SIZE_TYPE = struct.Struct("<IH2x")
HEAD = struct.Struct(_HEAD)
ENTER_RECORD = struct.Struct(_HEAD + "iiQ6Q16s")
EXIT_RECORD = struct.Struct(_HEAD + "iIq")
CLOCK_BODY = struct.Struct("<Q")
FORK_BODY = struct.Struct("<iiiI16s")
EXEC_BODY = struct.Struct("<iiIIII16s")
TASK_EXIT_BODY = struct.Struct("<ii16s")
SIGNAL_BODY = struct.Struct("<iiii")
ADOPT_BODY = struct.Struct("<iiiIIi16s")
BLOB = struct.Struct("<BBHIQ")
TID_AT, BODY_AT = 6, 8
"""Where the thread id and the body of a record stand, in numbers of 4 bytes."""

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
    ADOPT: HEAD.size + ADOPT_BODY.size,
}
"""Smallest size of each type of record."""

LATE = 0x100
"""Flag of an ENTER record that was made at the call's return, since no entry was seen."""

WHYS = ("", "exec", "script", "library", "ptrace", "memory", "cron", "at", "udev", "unit")
"""Why a process was adopted, by the number in an ADOPT record."""

WHOLE, CUT, UNREADABLE = range(3)
"""Status of a blob. Behind an unreadable one stands what could be read before the hole."""


class Blob(NamedTuple):
    """A piece of the sample's memory: of which argument, which part of it, how much of how much."""

    arg: int
    part: int
    status: int
    total: int
    data: bytes


class Chunk(NamedTuple):
    """A piece of the file: whole records, without those that pad."""

    base: int
    """Where it begins in the file, in bytes."""
    data: bytes
    starts: npt.NDArray[np.int64]
    """Where each record begins in ``data``, in words of 8 bytes."""
    kinds: npt.NDArray[np.uint16]
    numbers: npt.NDArray[np.int32]
    """``data`` as numbers of 4 bytes."""


def scan(data: bytes) -> Iterator[tuple[int, int, int]]:
    """Walk over the records: (offset, size, type). Ends before the first one that is torn or makes no sense."""
    starts, sizes, kinds, _ = _index(data)
    yield from zip((starts * 8).tolist(), sizes.tolist(), kinds.tolist(), strict=True)


def chunks(file: BinaryIO) -> Iterator[Chunk]:
    """Read a file of records piece by piece, in memory of a few pieces; ends where ``scan`` ends."""
    base, rest = 0, b""
    while block := file.read(CHUNK):
        data = rest + block
        chunk, sense = whole(data, base)
        rest = data[len(chunk.data) :]
        if chunk.data:
            yield chunk
        if not sense:
            return
        base += len(chunk.data)


def whole(data: bytes, base: int = 0) -> tuple[Chunk, bool]:
    """Return the whole records at the beginning of ``data``, and whether what follows could be one."""
    import numpy as np

    starts, sizes, kinds, sense = _index(data)
    end = int(starts[-1]) * 8 + int(sizes[-1]) if len(starts) else 0
    used, data = kinds != PAD, data[:end]
    return Chunk(base, data, starts[used], kinds[used], np.frombuffer(data, "<i4")), sense


def _index(data: bytes) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.uint32], npt.NDArray[np.uint16], bool]:
    """Find the whole records: their starts in words of 8 bytes, sizes, types, and whether what follows could be one."""
    import numpy as np

    words = memoryview(data)[: len(data) & ~7].cast("I")
    found: list[int] = []
    add, at, end = found.append, 0, len(words)
    while at < end:
        add(at)
        at += words[at] >> 2 or end
    places = np.array(found, np.int64)
    view = np.frombuffer(data, "<u4", len(words))
    sizes = view[places]
    kinds = view[np.minimum(places + 1, end - 1)].astype(np.uint16)
    least = np.array([*MINIMUM.values(), MAX_RECORD + 1], np.uint32)[np.minimum(kinds, len(MINIMUM))]
    wrong = np.flatnonzero((sizes & 7 != 0) | (sizes < least) | (sizes > MAX_RECORD))
    whole = int(wrong[0]) if len(wrong) else len(found)
    if whole and found[whole - 1] * 4 + int(sizes[whole - 1]) > len(data):
        whole -= 1
    return places[:whole] >> 1, sizes[:whole], kinds[:whole], not len(wrong)


def blobs(data: bytes, offset: int, end: int, found: list[Blob]) -> int:
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
