"""A tracer's ring in a guest's memory, for tests: what ring.c does, in a few lines of Python."""

from __future__ import annotations

import struct

from malkoha.trace import records
from malkoha.trace.ring import MAGIC, MAX_CHUNKS, Ring

HEADER = 0x1000
CHUNK = 4096
CHUNKS = (0x8000, 0x4000, 0xA000, 0x6000)
"""Physical addresses of the chunks, in no order."""


class Memory:
    """Sixty-four kilobytes of guest memory."""

    def __init__(self) -> None:
        self.data = bytearray(0x10000)

    def read(self, physical: int, size: int) -> bytes:
        return bytes(self.data[physical : physical + size])

    def write(self, physical: int, data: bytes) -> None:
        self.data[physical : physical + len(data)] = data

    def view(self, physical: int, size: int) -> memoryview:
        return memoryview(self.data)[physical : physical + size]


class GuestRing:
    """The guest's end of one ring."""

    FIELDS = (
        "magic", "chunks", "chunk_size", "head", "tail", "lost", "seq", "live", "started", "skipped", "chunk_physical",
        "files", "following", "ways", "exercised", "adopted", "unremembered", "pulse", "unhooked", "age",
    )  # fmt: skip
    """Of the header, in order; the addresses of the chunks are MAX_CHUNKS words."""

    def __init__(self) -> None:
        self.memory = Memory()
        self.memory.write(HEADER, struct.pack("<3Q", MAGIC, len(CHUNKS), CHUNK))
        self.memory.write(HEADER + 8 * 10, struct.pack(f"<{len(CHUNKS)}Q", *CHUNKS))

    def reader(self) -> Ring:
        """The host's end."""
        return Ring(self.memory, HEADER)

    def place(self, name: str) -> int:
        position = self.FIELDS.index(name)
        return HEADER + 8 * (position + (MAX_CHUNKS - 1) * (position > self.FIELDS.index("chunk_physical")))

    def word(self, name: str) -> int:
        value: int = struct.unpack("<Q", self.memory.read(self.place(name), 8))[0]
        return value

    def set(self, name: str, value: int) -> None:
        self.memory.write(self.place(name), struct.pack("<Q", value % (1 << 64)))

    def put(self, data: bytes, start: int | None = None) -> None:
        """Write each record behind the last one; one that does not fit into its chunk goes to the next."""
        if start is not None:
            self.set("head", start)
        for offset, size, kind in records.scan(data):
            head = self.word("head")
            room = CHUNK - head % CHUNK
            if size > room:
                self._copy(head, records.SIZE_TYPE.pack(room, records.PAD))
                head += room
            self._copy(head, data[offset : offset + size])
            self.set("head", head + size)
            if kind != records.PAD:
                self.set("seq", self.word("seq") + 1)

    def _copy(self, head: int, data: bytes) -> None:
        chunk, offset = divmod(head % (CHUNK * len(CHUNKS)), CHUNK)
        self.memory.write(CHUNKS[chunk] + offset, data)
