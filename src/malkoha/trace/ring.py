"""The host's end of the tracer's ring in guest memory: copy records out as they appear.

The header's layout is ``struct ring_header`` of engine/ring.c. The guest owns ``head`` and the counters, the host owns
``tail``; all else in it was written once when the tracer was armed. A sample with root's rights could scribble over the
header, so every number from it is checked before use, and the geometry is read once only.
"""

from __future__ import annotations

import struct
from typing import BinaryIO, Protocol

from malkoha.errors import TraceError

MAGIC = 0x31676E69726B6C6D
MAX_CHUNKS = 16
MAX_CHUNK_SIZE = 64 << 20

_MOST = (1 << 63) - 1
"""A count beyond it is a forged one; it would not fit where counts are kept."""
_FIXED = struct.Struct("<10Q")
_WORD = struct.Struct("<Q")
_HEAD, _TAIL, _LOST, _SEQ, _LIVE, _STARTED, _SKIPPED = (8 * n for n in range(3, 10))
_BEHIND = _FIXED.size + 8 * MAX_CHUNKS
_FILES, _FOLLOWING, _WAYS, _EXERCISED, _ADOPTED, _UNREMEMBERED = (_BEHIND + 8 * n for n in range(6))
_PULSE, _UNHOOKED, _AGE = (_BEHIND + 8 * n for n in range(6, 9))
HEADER_SIZE = _BEHIND + 8 * 9
WAYS = ("cron", "at", "udev", "timer", "unit")
"""To whom a sample can leave work, by the bit in the header; the names of engine/handed.c."""

HOOKS = ("sys_enter", "sys_exit", "sched_process_fork", "sched_process_exec", "sched_process_exit", "signal_deliver")
"""The tracepoints that the tracer sits on, by the bit in the header; the names of engine/pulse.c."""


class Memory(Protocol):
    """The guest's physical memory."""

    def read(self, physical: int, size: int) -> bytes: ...

    def write(self, physical: int, data: bytes) -> None: ...

    def view(self, physical: int, size: int) -> memoryview: ...


class Ring:
    """One armed tracer's ring; ``physical`` is the address that the tracer announced."""

    def __init__(self, memory: Memory, physical: int) -> None:
        self._memory = memory
        self._physical = physical
        header = memory.read(physical, HEADER_SIZE)
        fixed: tuple[int, ...] = _FIXED.unpack_from(header)
        magic, chunks, self._chunk_size, _, self._tail = fixed[:5]
        if magic != MAGIC or not 0 < chunks <= MAX_CHUNKS or not 4096 <= self._chunk_size <= MAX_CHUNK_SIZE:
            raise TraceError("the tracer's ring is not where it should be", f"no valid header at {physical:#x}")
        self._chunks = struct.unpack_from(f"<{chunks}Q", header, _FIXED.size)
        self.files: int = _WORD.unpack_from(header, _FILES)[0]
        """Physical address of the header of the ring for the content of files."""
        self.size = chunks * self._chunk_size
        self.tampered = False
        """The header no longer makes sense: something in the guest overwrote it; reading has ended there."""

    def _word(self, offset: int) -> int:
        value: int = _WORD.unpack(self._memory.read(self._physical + offset, 8))[0]
        return value

    @property
    def lost(self) -> int:
        """Events that the tracer had to drop: no room in the ring, or (kprobe) a probe that could not run."""
        return min(self._word(_LOST) + self._word(_SKIPPED), _MOST)

    @property
    def sequence(self) -> int:
        """Events that the tracer has numbered so far."""
        return self._word(_SEQ)

    @property
    def live(self) -> int:
        """Traced tasks that exist now; meaningful once ``started``."""
        return self._word(_LIVE)

    @property
    def started(self) -> bool:
        """Whether the first task of the sample has been made."""
        return bool(self._word(_STARTED))

    def follow(self) -> None:
        """Have the tracer follow work that the sample hands to others, not descendants alone."""
        self._memory.write(self._physical + _FOLLOWING, _WORD.pack(1))

    @property
    def unexercised(self) -> list[str]:
        """To whom (WAYS) the sample has left work that nobody has begun yet."""
        left = self._word(_WAYS) & ~self._word(_EXERCISED)
        return [name for bit, name in enumerate(WAYS) if left >> bit & 1]

    @property
    def adopted(self) -> int:
        """Processes that are traced though they are no descendants of the sample."""
        return min(self._word(_ADOPTED), _MOST)

    @property
    def unremembered(self) -> int:
        """Files and units of the sample for which the tracer had no room: who runs them is not followed."""
        return min(self._word(_UNREMEMBERED), _MOST)

    @property
    def pulse(self) -> int:
        """What the tracer counts up every second as long as the guest's kernel handles its timers."""
        return self._word(_PULSE)

    @property
    def unhooked(self) -> list[str]:
        """The tracepoints (HOOKS) from which the tracer has been taken away."""
        gone = self._word(_UNHOOKED)
        return [name for bit, name in enumerate(HOOKS) if gone >> bit & 1]

    def grow_old(self, seconds: int) -> None:
        """Have the tracer set the guest's clocks ahead, all but the wall clock; done when ``aging`` is over."""
        self._memory.write(self._physical + _AGE, _WORD.pack(seconds))

    @property
    def aging(self) -> bool:
        """Whether that has still to be done."""
        return bool(self._word(_AGE))

    @property
    def pending(self) -> int:
        """Bytes that wait to be copied."""
        return self._word(_HEAD) - self._tail

    def drain(self, out: BinaryIO) -> int:
        """Append all that is there to ``out`` and give the room back; return the number of bytes."""
        waiting = self.pending
        if not 0 <= waiting <= self.size or waiting % 8:
            self.tampered = True
        if self.tampered:
            return 0
        left = waiting
        while left:
            chunk, offset = divmod(self._tail % self.size, self._chunk_size)
            size = min(left, self._chunk_size - offset)
            with self._memory.view(self._chunks[chunk] + offset, size) as view:
                _write(out, view)
            self._tail += size
            left -= size
            self._memory.write(self._physical + _TAIL, _WORD.pack(self._tail))
        return waiting


def _write(out: BinaryIO, view: memoryview) -> None:
    """Write all of it: an unbuffered file may take less at a time, as a disk that fills up does before it fails."""
    written = 0
    while written < len(view):
        with view[written:] as rest:
            written += out.write(rest)
