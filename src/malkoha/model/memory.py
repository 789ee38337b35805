"""What is kept of the memory of processes: the contents of memory/index.json."""

from __future__ import annotations

import msgspec


class Region(msgspec.Struct, kw_only=True):
    """One mapping of a process; ``size`` bytes of it lie at ``offset`` of the process's file."""

    start: int
    end: int
    protect: str
    """As in /proc/PID/maps, e.g. ``rw-p``."""
    path: str = ""
    offset: int = 0
    size: int = 0


class ProcessDump(msgspec.Struct, kw_only=True):
    """The memory of one process."""

    pid: int
    time_ns: int
    regions: list[Region]
    size: int = 0
