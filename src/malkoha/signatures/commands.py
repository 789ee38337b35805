"""A command: which program a process was started as, from an exec event or a call of execve."""

from __future__ import annotations

from typing import Any

import msgspec

from malkoha.model.event import Event

LINE = 4_000
"""Characters of a command line that rules look at."""
_APPLETS = frozenset({"busybox", "toybox"})


class Command(msgspec.Struct, frozen=True):
    """A program with its arguments."""

    exe: str
    """The file that runs; of a script, its interpreter."""
    filename: str
    """What was asked for; of a script, the script."""
    argv: tuple[str, ...]
    names: frozenset[str]
    """What it may be called: the file, the name asked for, argv[0], the applet of busybox."""
    line: str
    """The arguments joined by blanks, cut at ``LINE``."""

    @property
    def script(self) -> str:
        """Path of the script that an interpreter was given by the kernel's #! rule, else empty."""
        return self.filename if base(self.filename) != base(self.exe) and self.filename in self.argv[1:] else ""


def base(path: str) -> str:
    """Give the last part of a path."""
    return path.rsplit("/", 1)[-1]


def command_of(event: Event, resolved: str = "") -> Command:
    """Read a command from an exec event, or from a call of execve or execveat whose path is given resolved."""
    if event.kind == "exec":
        exe, filename = str(event.args.get("exe") or ""), str(event.args.get("filename") or "")
        argv = _words(event.args.get("argv"))
    else:
        values = list(event.args.values())[1 if event.api == "execveat" else 0 :]
        exe = resolved or (str(values[0]) if values else "")
        filename, argv = exe, _words(values[1] if len(values) > 1 else None)
    names = {base(exe), base(filename)} | ({base(argv[0]).lstrip("-")} if argv else set())
    if names & _APPLETS and len(argv) > 1:
        names.add(base(argv[1]))
    return Command(exe, filename, argv, frozenset(names - {""}), " ".join(argv)[:LINE] or exe)


def _words(value: Any) -> tuple[str, ...]:
    if isinstance(value, list):
        return tuple(str(word) for word in value)
    return (str(value),) if isinstance(value, str) and value else ()
