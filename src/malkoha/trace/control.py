"""What the host asks of the tracer about files, and what it has counted: a block of words in the guest's memory.

The layout is ``struct files_control`` of engine/files.c, behind the header of the ring for the content of files. A
sample with root's rights could scribble over it: every number from it is bounded, and nothing depends on its truth.
"""

from __future__ import annotations

import struct

from malkoha.trace.ring import Memory

AT = 512
TASKS = 256
_WORD = struct.Struct("<Q")
_LIMITS = struct.Struct("<3Q")
_MOST = (1 << 63) - 1
(_LIMIT_SIZE, _LIMIT_COUNT, _LIMIT_TOTAL, _WANTED, _ANSWERED, _HELD, _COUNT, _TOTAL, _REFUSED, _UNTRACKED, _TASK_COUNT,
 _TASK_LIST) = (8 * n for n in range(12))  # fmt: skip


class Control:
    """The control block of one armed tracer; ``files`` is the address of the ring for files (Ring.files)."""

    def __init__(self, memory: Memory, files: int) -> None:
        self._memory = memory
        self._physical = files + AT
        self._asked = self._word(_WANTED)

    def _word(self, offset: int) -> int:
        value: int = _WORD.unpack(self._memory.read(self._physical + offset, 8))[0]
        return min(value, _MOST)

    def limit(self, size: int, count: int, total: int) -> None:
        """Set the most that is taken: bytes of one file, versions of files, bytes in all."""
        self._memory.write(self._physical, _LIMITS.pack(size, count, total))

    def ask(self) -> None:
        """Ask for all that was not taken yet, and for the traced processes that live."""
        self._asked += 1
        self._memory.write(self._physical + _WANTED, _WORD.pack(self._asked))

    @property
    def answered(self) -> bool:
        """Whether the last request was fulfilled."""
        return self._word(_ANSWERED) == self._asked

    @property
    def held(self) -> int:
        """Files that may have changed since they were taken."""
        return self._word(_HELD)

    @property
    def taken(self) -> int:
        """Versions of files that were taken."""
        return self._word(_COUNT)

    @property
    def bytes(self) -> int:
        """Bytes that were taken."""
        return self._word(_TOTAL)

    @property
    def refused(self) -> int:
        """Versions that were not taken because of the limits."""
        return self._word(_REFUSED)

    @property
    def untracked(self) -> int:
        """Writes to files for which there was no room in the tracer's table."""
        return self._word(_UNTRACKED)

    @property
    def tasks(self) -> list[int]:
        """Process ids of the traced processes at the time of the last answer, the first 256 of them."""
        count = min(self._word(_TASK_COUNT), TASKS)
        return list(struct.unpack(f"<{count}I", self._memory.read(self._physical + _TASK_LIST, 4 * count)))
