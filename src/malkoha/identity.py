"""What tells one process from all others, past and future: boot, number and start time."""

from __future__ import annotations

import os
from pathlib import Path


def this_process() -> str:
    """Return what tells this process from every other, also after its id was given to another."""
    return f"{_boot()}:{os.getpid()}:{_started(os.getpid())}"


def is_alive(runner: str) -> bool:
    """Tell whether the process that ``this_process`` described still runs."""
    boot, _, rest = runner.partition(":")
    pid, _, started = rest.partition(":")
    return boot == _boot() and pid.isdecimal() and started != "" and _started(int(pid)) == started


def _boot() -> str:
    return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()


def _started(pid: int) -> str:
    """Start time in clock ticks since boot, field 22 of proc(5)'s stat; empty when there is no such process."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
    fields = stat.rpartition(")")[2].split()  # the name in parentheses may hold spaces
    return "" if fields[0] == "Z" else fields[19]
