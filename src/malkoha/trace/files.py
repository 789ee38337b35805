"""The content of files as the tracer took it: from trace/files.bin to files under names that are hashes.

Layouts are those of engine/files.c. Nothing here raises on any content of files.bin: where a record makes no sense,
reading ends, and ``left`` tells how many bytes were not read. No name or path of the guest is used on the host.
"""

from __future__ import annotations

import hashlib
import mmap
import struct
from pathlib import Path
from typing import BinaryIO

import msgspec

from malkoha.trace import records

FILE, DATA, END = 1, 2, 3
WHY = {1: "closed", 2: "executed", 3: "writer ended", 4: "idle", 5: "end of the run"}
WRITERS = 8
_FILE = struct.Struct(records.HEAD.format + "6Q8I")
_WRITER = struct.Struct("<QQiI")
_DATA = struct.Struct(records.HEAD.format + "3Q")
_END = struct.Struct(records.HEAD.format + "4Q")
_PATH_AT = _FILE.size + WRITERS * _WRITER.size
MINIMUM = {records.PAD: 8, FILE: _PATH_AT, DATA: _DATA.size, END: _END.size}
OPEN = 64
"""Files that are put together at the same time; the tracer has one for each processor."""
_TIME = (1 << 62) - 1
_SIZE = (1 << 63) - 1
_BLOCK = 1 << 20


class Writer(msgspec.Struct):
    """A process that wrote a file; times are nanoseconds since 1970. One that only opened it has none."""

    pid: int
    first_ns: int | None
    last_ns: int | None


class Taken(msgspec.Struct, kw_only=True):
    """One version of one file, as it was when it was taken."""

    path: str
    """In the guest, as text; without a name ``/memfd:NAME`` or with `` (deleted)`` at its end."""
    size: int
    """Its true size; ``kept`` bytes of it, from its beginning, are there."""
    kept: int = 0
    missing: int = 0
    """Bytes among the kept that could not be had; zeros stand there."""
    sha256: str = ""
    """Of the kept bytes, and the name of the file on the host."""
    version: int
    why: str
    time_ns: int
    mode: int
    uid: int
    links: int
    writers: list[Writer]
    writers_total: int
    identity: tuple[int, int, int]
    """Device, inode and generation."""
    repeated: bool


class Reading(msgspec.Struct):
    """What one files.bin holds."""

    taken: list[Taken]
    left: int = 0
    """Bytes behind the last record that makes sense."""
    torn: int = 0
    """Files whose end did not come out."""


class _Part:
    """A file that is being put together."""

    def __init__(self, taken: Taken, path: Path) -> None:
        self.taken = taken
        self.path = path
        self.file: BinaryIO = path.open("w+b")
        self.stored = 0
        self.reach = 0

    def add(self, offset: int, data: bytes, limit: int) -> None:
        """Write a piece at its place; what reaches beyond the limit makes no sense."""
        if offset + len(data) <= min(self.taken.size, limit):
            self.file.seek(offset)
            self.file.write(data)
            self.stored += len(data)
            self.reach = max(self.reach, offset + len(data))

    def close(self, folder: Path, kept: int) -> Taken:
        """Give the file its length and its name."""
        with self.file:
            self.file.truncate(kept)
            self.file.seek(0)
            digest = hashlib.sha256()
            while block := self.file.read(_BLOCK):
                digest.update(block)
        self.taken.kept = kept
        self.taken.sha256 = digest.hexdigest()
        self.path.replace(folder / self.taken.sha256)
        return self.taken


class Extraction:
    """Reads one files.bin and writes the files into a folder, each content once."""

    def __init__(self, folder: Path, limit: int) -> None:
        """Prepare to write into ``folder``; no file becomes larger than ``limit`` bytes."""
        self._folder = folder
        self._limit = limit
        self._parts: dict[int, _Part] = {}
        self._number = 0
        self._found: list[Taken] = []
        self._torn = 0

    def run(self, path: Path) -> Reading:
        """Read it all; a missing or empty file holds none."""
        left = 0
        if path.exists() and path.stat().st_size:
            self._folder.mkdir(exist_ok=True)
            with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
                left = self._read(data)
            for key in list(self._parts):
                self._give_up(key)
        return Reading(taken=_last_words(self._found), left=left, torn=self._torn)

    def _read(self, data: mmap.mmap) -> int:
        offset, end = 0, len(data)
        while offset + records.SIZE_TYPE.size <= end:
            size, kind = records.SIZE_TYPE.unpack_from(data, offset)
            if size & 7 or size < MINIMUM.get(kind, 1 << 32) or offset + size > end:
                break
            if kind == FILE:
                self._begin(data, offset, size)
            elif kind == DATA:
                self._add(data, offset, size)
            elif kind == END:
                self._end(data, offset)
            offset += size
        return end - offset

    def _begin(self, data: mmap.mmap, offset: int, size: int) -> None:
        (
            _,
            _,
            _,
            _,
            mono_ns,
            _,
            _,
            key,
            *identity,
            true_size,
            clock_ns,
            version,
            why,
            mode,
            uid,
            links,
            repeated,
            length,
            total,
        ) = _FILE.unpack_from(data, offset)
        writers = [
            Writer(pid, _moment(first, clock_ns), _moment(last, clock_ns))
            for first, last, pid, _ in _WRITER.iter_unpack(data[offset + _FILE.size : offset + _PATH_AT])
            if pid
        ]
        start = offset + _PATH_AT
        taken = Taken(
            path=records.text(data[start : min(start + length, offset + size)]),
            size=true_size & _SIZE,
            version=version,
            why=WHY.get(why, str(why)),
            time_ns=(mono_ns + clock_ns) & _TIME,
            mode=mode & 0o7777,
            uid=uid,
            links=links,
            writers=writers,
            writers_total=max(total, len(writers)),
            identity=(identity[0], identity[1], identity[2]),
            repeated=bool(repeated),
        )
        if key in self._parts or len(self._parts) >= OPEN:
            self._give_up(key if key in self._parts else next(iter(self._parts)))
        self._number += 1
        self._parts[key] = _Part(taken, self._folder / f".part-{self._number}")

    def _add(self, data: mmap.mmap, offset: int, size: int) -> None:
        *_, key, at, length = _DATA.unpack_from(data, offset)
        part = self._parts.get(key)
        if part is not None:
            start = offset + _DATA.size
            part.add(at, data[start : min(start + length, offset + size)], self._limit)

    def _end(self, data: mmap.mmap, offset: int) -> None:
        *_, key, stored, missing, limit = _END.unpack_from(data, offset)
        part = self._parts.pop(key, None)
        if part is not None:
            kept = min(part.taken.size, limit, self._limit)
            part.taken.missing = min(missing + max(stored - part.stored, 0), kept)
            self._found.append(part.close(self._folder, kept))

    def _give_up(self, key: int) -> None:
        """Keep what there is of a file whose end did not come out."""
        part = self._parts.pop(key)
        self._torn += 1
        part.taken.missing = max(part.reach - part.stored, 0)
        self._found.append(part.close(self._folder, part.reach))


def _moment(mono_ns: int, clock_ns: int) -> int | None:
    return (mono_ns + clock_ns) & _TIME if mono_ns else None


def _last_words(found: list[Taken]) -> list[Taken]:
    """Leave out what was taken with gaps where the same version came once more without."""
    whole = {(taken.identity, taken.version) for taken in found if taken.repeated}
    return [
        taken for taken in found if taken.repeated or not taken.missing or (taken.identity, taken.version) not in whole
    ]
