"""The block of words through which host and tracer speak about files."""

from __future__ import annotations

import struct

from malkoha.trace.control import AT, TASKS, Control
from tests.guest_ring import Memory

FILES = 0x2000


def words(memory: Memory, start: int, count: int) -> tuple[int, ...]:
    return struct.unpack(f"<{count}Q", memory.read(FILES + AT + 8 * start, 8 * count))


def test_limits_and_requests() -> None:
    memory = Memory()
    control = Control(memory, FILES)
    control.limit(1, 2, 3)
    assert words(memory, 0, 4) == (1, 2, 3, 0)
    assert control.answered
    control.ask()
    assert (words(memory, 3, 1), control.answered) == ((1,), False)
    memory.write(FILES + AT + 8 * 4, struct.pack("<Q", 1))
    assert control.answered


def test_counts_are_bounded() -> None:
    memory = Memory()
    control = Control(memory, FILES)
    memory.write(FILES + AT + 8 * 5, struct.pack("<6Q", 1, 2, 3, 4, 1 << 63, 1 << 63))
    assert (control.held, control.taken, control.bytes, control.refused) == (1, 2, 3, 4)
    assert control.untracked == (1 << 63) - 1
    assert len(control.tasks) == TASKS


def test_traced_processes() -> None:
    memory = Memory()
    memory.write(FILES + AT + 8 * 10, struct.pack("<Q3I", 2, 100, 200, 300))
    assert Control(memory, FILES).tasks == [100, 200]
