"""One thing that happened in the guest, as the tracer saw it; the row of events.parquet."""

from __future__ import annotations

from typing import Any, Literal

import msgspec

Kind = Literal["syscall", "fork", "exec", "exit", "signal", "adopt", "unknown"]


class Event(msgspec.Struct, kw_only=True):
    """One event. ``syscall`` events carry a call; the others are what the scheduler did.

    fork    args {child_pid, child_tid, thread, flags?}; pid/tid are the creator's
            and identity when the child's namespaces are not its creator's
    exec    args {filename, exe, argv, envp, identity}; recorded after success, so the arguments are those that really
            run; identity has ids, capability sets by name and numbers of namespaces
    exit    args {code, signal}; one event a thread; ``args["group"]`` true when it was the process's last
    signal  args {signal}; a signal delivered to a handler or with fatal effect
    adopt   args {why, what, by, exe, argv, cwd, uid}; the process does work of the sample from now on, see trace.md
    unknown a line or record that could not be understood; ``raw`` holds it
    """

    seq: int
    """Order in which the kernel recorded the event (of the entry, for calls); unique in one trace."""
    kind: Kind
    time_ns: int
    """Nanoseconds since the epoch (UTC) at entry, derived from the monotonic clock: it never jumps back."""
    duration_ns: int | None = None
    """Time in the call; None when it has not returned, or the trace does not tell."""
    pid: int
    """Process (thread group) id in the initial namespace."""
    tid: int
    ppid: int = 0
    """Creator's process id where the trace tells, else 0."""
    comm: str = ""
    ip: int = 0
    """User-space instruction pointer."""
    abi: Literal["x86-64", "i386", "x32", ""] = ""
    api: str = ""
    """Name of the call, as its man page has it; ``syscall_N`` for an unknown number."""
    args: dict[str, Any] = {}
    """Argument name -> text, or list/dict of texts for arrays and structures, in order of the arguments.
    Strings are unescaped text (bytes decoded as UTF-8, the rest as latin-1 would); flags are ``A|B``."""
    ret: int | None = None
    """Return value as a signed number; None when the call has not returned."""
    ret_text: str = ""
    """Return value as the trace shows it (``-2``, ``0xb7764000``); empty when it has not returned."""
    errno: str = ""
    """``ENOENT`` and the like when the call failed."""
    raw: str | None = None
    """The original line, kept for text traces and for what was not understood."""
