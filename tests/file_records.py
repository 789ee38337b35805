"""Build the tracer's records of files for tests, as engine/files.c makes them."""

from __future__ import annotations

import struct

from malkoha.trace import files, records

CLOCK_NS = 1_700_000_000_000_000_000
"""Calendar time of monotonic time 0, as in tests.records."""


class FileRecording:
    """Records of files, one behind the other."""

    def __init__(self) -> None:
        self.data = b""
        self.number = 0

    def add(self, kind: int, body: bytes) -> FileRecording:
        body += b"\0" * (-len(body) % 8)
        size = records.HEAD.size + len(body)
        self.data += records.HEAD.pack(size, kind, 0, self.number, self.number * 1000, 100, 100) + body
        self.number += 1
        return self

    def begin(
        self,
        key: int,
        path: bytes,
        size: int,
        *,
        inode: int | None = None,
        version: int = 1,
        why: int = 1,
        links: int = 1,
        repeated: bool = False,
        writers: tuple[tuple[int, int, int], ...] = ((100, 1000, 2000),),
    ) -> FileRecording:
        """``writers`` are pid, first and last time of writing."""
        body = struct.pack("<6Q", key, 8, key if inode is None else inode, 5, size, CLOCK_NS)
        body += struct.pack("<8I", version, why, 0o100644, 1000, links, repeated, len(path), len(writers))
        for pid, first, last in (*writers, *((0, 0, 0),) * (files.WRITERS - len(writers))):
            body += struct.pack("<QQiI", first, last, pid, 0)
        return self.add(files.FILE, body + path)

    def piece(self, key: int, offset: int, data: bytes) -> FileRecording:
        return self.add(files.DATA, struct.pack("<3Q", key, offset, len(data)) + data)

    def end(self, key: int, stored: int, missing: int = 0, limit: int = 10 << 20) -> FileRecording:
        return self.add(files.END, struct.pack("<4Q", key, stored, missing, limit))

    def file(self, key: int, path: bytes, data: bytes, **more: int) -> FileRecording:
        """One whole file."""
        return self.begin(key, path, len(data), **more).piece(key, 0, data).end(key, len(data))  # type: ignore[arg-type]
