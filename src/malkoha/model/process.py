"""One process of the guest as the trace shows it; what processes.py builds and events.parquet keeps in its footer."""

from __future__ import annotations

import msgspec


class Image(msgspec.Struct, kw_only=True):
    """One program that a process has run, from a successful execve."""

    seq: int
    time_ns: int
    path: str
    """Path as the kernel resolved it where the trace tells, else as it was asked for."""
    argv: list[str]
    cwd: str = ""


class Comm(msgspec.Struct, kw_only=True):
    """A name that the process bore in the kernel (``comm``), and since when."""

    time_ns: int
    comm: str


class Cause(msgspec.Struct, kw_only=True):
    """Why a process that is no descendant of the sample is in the trace: it does work that the sample handed to it."""

    type: str = "indirect"
    why: str
    """exec, script, library, ptrace, memory, cron, at, udev or unit; docs/trace.md tells what each means."""
    what: str
    """The sample's file, the daemon or the unit; empty where a process was written into."""
    by: int | None = None
    """Key of the process that is the cause; None when the trace does not tell."""


class Ids(msgspec.Struct, kw_only=True):
    """On whose behalf a process acts, and since when."""

    time_ns: int
    uid: int
    euid: int
    gid: int
    egid: int


class Process(msgspec.Struct, kw_only=True):
    """One process; pids are reused, so ``key`` names it within one trace and is the column ``process`` there."""

    key: int
    pid: int
    ppid: int = 0
    parent: int | None = None
    """Key of the creator; None when the trace does not hold it."""
    name: str = ""
    """File name of the first program it ran; its comm when it never ran one. Frozen: a later execve changes images."""
    command_line: str = ""
    """Arguments of that program joined by blanks; the creator's when it never ran one."""
    exe: str = ""
    images: list[Image] = []
    images_total: int = 0
    comms: list[Comm] = []
    ids: list[Ids] = []
    """Its user and group ids, from its start on and where they changed; empty where the trace does not tell."""
    tids: list[int] = []
    threads: int = 1
    """How many threads it had in all, its first included; ``tids`` lists the first of them."""
    first_seen_ns: int = 0
    last_seen_ns: int = 0
    started_ns: int = 0
    ended_ns: int | None = None
    exit_code: int | None = None
    exit_signal: int | None = None
    children: list[int] = []
    calls: int = 0
    """Number of its system calls in the trace."""
    setup_calls: int = 0
    """How many of them, from the first on, were the launcher's before it ran the sample; not the sample's behaviour."""
    launcher: bool = False
    """It started the sample and is not part of it."""
    cause: Cause | None = None
    """Set where it is not a descendant of the sample."""
    merged: list[int] = []
    """Other keys under which its rows stand, when a thread was seen before the call that made it."""
