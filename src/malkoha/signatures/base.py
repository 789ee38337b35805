"""What a signature is: it asks for calls, paths or commands, sees them in order, and returns evidence.

class ReadsSomething(Signature):
    name = "reads_something"
    description = "Reads something that programs of its kind do not need"
    severity = 2
    attack = ("T1003.008",)
    paths = table("/etc/something", "~/.something/**")
    access = READS

docs/guides/signatures.md leads through a first one.
"""

from __future__ import annotations

import re
from abc import ABC
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any, ClassVar

import msgspec

from malkoha.model.event import Event
from malkoha.model.process import Process
from malkoha.signatures.commands import Command, base, command_of
from malkoha.signatures.paths import Paths
from malkoha.signatures.programs import INTERPRETERS, SHELLS
from malkoha.trace import descriptors
from malkoha.trace.descriptors import Descriptor, Endpoint, Tables

OPENS = descriptors.OPENS
READS = frozenset({"read", "list"})
WRITES = frozenset({"write"})
REMOVES = frozenset({"remove"})
SYSTEM = ("/usr/bin/", "/usr/sbin/", "/bin/", "/sbin/", "/usr/lib/", "/lib/", "/usr/libexec/")
"""Folders whose programs are taken for what they are called."""
WRITTEN = 50_000
"""Files whose writer is remembered."""


class Evidence(msgspec.Struct, frozen=True):
    """What an event shows: an indicator (``ioc``) of a kind, with words of explanation where it needs some."""

    ioc: str
    category: str
    description: str = ""


class Touch(msgspec.Struct, frozen=True):
    """One path that a call is about, and what the call does to it.

    ``access`` is read, write (also: truncated, or a file moved or linked to there), list, remove (also: moved away),
    create (folders and devices), mode, owner, time, attr, probe (looked at, not opened), watch or mount.
    """

    path: str
    access: str
    ok: bool
    event: Event


class Scene:
    """The state of the guest at one event: whose it is, and what its paths and descriptors mean then."""

    def __init__(self, tables: Tables, processes: Mapping[int, Process]) -> None:
        self.tables = tables
        self.processes = processes
        self.recorded = False
        """Whether the trace has fork and exec events; their arguments are those that really ran."""
        self.key = -1
        """Key of the process whose event it is."""
        self._commands: dict[int, Command] = {}
        self._writers: dict[str, int] = {}

    # ------------------------------------------------------------------------------------------------ processes

    @property
    def process(self) -> Process | None:
        """The process whose event it is, with all that the whole trace tells of it."""
        return self.processes.get(self.key)

    @property
    def exe(self) -> str:
        """Path of the program that runs at this point."""
        return self.tables.exe(self.key)

    @property
    def program(self) -> str:
        """Name of the program that runs at this point if it is one of the system's, else empty."""
        return system_name(self.exe)

    @property
    def programs(self) -> frozenset[str]:
        """Names of the system's program that runs at this point, and of the script that it runs."""
        return self._programs(self.key)

    @property
    def command(self) -> Command | None:
        """What the process was started as: its latest program with its arguments, its creator's if it ran none."""
        return self.command_of(self.key)

    def command_of(self, key: int) -> Command | None:
        """Say what a process runs at this point."""
        for one in (key, *self.ancestors(key)):
            if one in self._commands:
                return self._commands[one]
        return None

    def ancestors(self, key: int | None = None) -> Iterator[int]:
        """Give the keys of parent, grandparent and so on, up to the sample's first process."""
        process = self.processes.get(self.key if key is None else key)
        for _ in range(64):
            process = self.processes.get(process.parent) if process and process.parent is not None else None
            if process is None or process.launcher:
                return
            yield process.key

    def under(self, names: Collection[str]) -> bool:
        """Tell whether this process or one above it runs one of these programs of the system."""
        return any(not self._programs(key).isdisjoint(names) for key in (self.key, *self.ancestors()))

    def _programs(self, key: int) -> frozenset[str]:
        """Give the names of the system's program that a process runs, and of the script that it runs."""
        command = self._commands.get(key)
        script = ""
        if command is not None:
            given = command.argv[1] if len(command.argv) > 1 and base(command.exe) in SHELLS | INTERPRETERS else ""
            script = system_name(
                command.script or given
            )  # env, named in a script's first line, gives it as an argument
        return frozenset({system_name(self.tables.exe(key)), script} - {""})

    def child_of(self, names: Collection[str]) -> bool:
        """Tell whether the process was made by one that runs one of these programs, or ran one itself before."""
        process = self.process
        parent = process.parent if process else None
        command = self._commands.get(parent) if parent is not None else None
        return command is not None and not command.names.isdisjoint(names)

    # ---------------------------------------------------------------------------------- descriptors and paths

    def connection(self, fd: Any) -> Endpoint | None:
        """Give the network address that a descriptor leads to; None when it is no connection to the network."""
        item = self.descriptor(fd)
        peer = item.peer if item is not None and item.kind == "socket" else None
        return peer if peer is not None and peer.family in ("AF_INET", "AF_INET6") else None

    def piped_keys(self, fd: int) -> Iterator[int]:
        """Give the keys of the processes that have the other side of a pipe as standard input or output.

        ``fd`` is 0 for those that write what this process reads, 1 for those that read what it writes.
        """
        mine = self.descriptor(fd)
        if mine is None or mine.kind not in ("pipe", "socket") or mine.other is None:
            return
        for key in self.tables.behind(self.key, fd).processes:
            if key != self.key and self.tables.descriptor(key, 1 - fd) is mine.other:
                yield key

    def piped(self, fd: int) -> Iterator[Command]:
        """Give what runs at the other side of a pipe; see ``piped_keys``."""
        return (self._commands[key] for key in self.piped_keys(fd) if key in self._commands)

    def runs(self, key: int, names: Collection[str]) -> bool:
        """Tell whether a process runs one of these programs."""
        return key in self._commands and not self._commands[key].names.isdisjoint(names)

    def descriptor(self, fd: Any) -> Descriptor | None:
        """Say what a descriptor of the process refers to."""
        return self.tables.descriptor(self.key, fd)

    def path(self, event: Event, position: int, dirfd: int | None = None) -> str | None:
        """Resolve the path argument at a position, below the directory argument at another; None when unreadable."""
        path = descriptors.path_argument(event, position)
        if path is None:
            return None
        return self.tables.resolve(self.key, path, "AT_FDCWD" if dirfd is None else descriptors.argument(event, dirfd))

    def opened(self, event: Event) -> str | None:
        """Give the path of a call of the open family that succeeded."""
        if event.ret is None or event.ret < 0:
            return None
        return self.path(event, 1, 0) if event.api in ("openat", "openat2") else self.path(event, 0)

    def writer(self, path: str) -> int | None:
        """Give the key of the process that wrote a file in this trace; None when none did."""
        return self._writers.get(path)

    # ------------------------------------------------------------------------------------------ the runner's side

    def note_run(self, key: int, command: Command) -> None:
        """Remember what a process runs from now on."""
        self._commands[key] = command

    def note_touch(self, touch: Touch) -> None:
        """Remember who wrote a file; one that is moved keeps its writer."""
        if touch.ok and touch.access == "write" and (len(self._writers) < WRITTEN or touch.path in self._writers):
            self._writers[touch.path] = self.key


def system_name(exe: str) -> str:
    """Give the file name of a program of the system, empty for any other."""
    return exe.rsplit("/", 1)[-1] if exe.startswith(SYSTEM) else ""


def writes(event: Event) -> bool:
    """Tell whether a call of the open family asks for writing."""
    flags = descriptors.open_flags(event)
    return event.api == "creat" or any(flag in flags for flag in ("O_WRONLY", "O_RDWR", "O_TRUNC"))


class Signature(ABC):
    """One rule; an instance lives for one analysis. Whatever is returned becomes a mark of the match.

    It is given what it asks for: calls (``syscalls``), paths (``paths``) and commands (``programs`` or ``line``).
    """

    name: ClassVar[str]
    description: ClassVar[str]
    severity: ClassVar[int]
    """1 (ordinary programs do it too), 2 (unusual), 3 (suspicious on its own), 4, 5 (malicious on its own)."""
    attack: ClassVar[tuple[str, ...]]
    """Current ATT&CK ids; names and former ids come from attack.toml."""
    families: ClassVar[tuple[str, ...]] = ()
    references: ClassVar[tuple[str, ...]] = ()

    syscalls: ClassVar[Collection[str]] = ()
    """The calls that ``on_event`` is given; ``exec``, ``exit`` and ``signal`` ask for the events of these kinds."""

    paths: ClassVar[Paths | None] = None
    """The paths that ``on_path`` is given."""
    access: ClassVar[Collection[str]] = WRITES
    """What is done to them; see ``Touch``."""
    attempts: ClassVar[bool] = False
    """Whether failed calls count as well."""
    ordinary: ClassVar[Collection[str]] = ()
    """Programs of the system that do this in the course of their work; what they do is not a match."""

    programs: ClassVar[Collection[str]] = ()
    """The programs whose commands ``on_run`` is given, by file name, argv[0] or busybox applet."""
    line: ClassVar[re.Pattern[str] | None] = None
    """What must be found in the command line; alone, it is looked for in every command."""
    unless: ClassVar[re.Pattern[str] | None] = None
    """What must not be found in it."""

    script: ClassVar[re.Pattern[str] | None] = None
    """What must be found in a script: the text that a shell reads, or is given after ``-c``."""
    sends: ClassVar[re.Pattern[str] | None] = None
    """What must be found in what is written to a network connection."""
    words: ClassVar[tuple[str, ...]] = ()
    """Plain words (no quotes, no backslashes): one stands in every text that ``script`` or ``sends`` can fit."""

    def on_event(self, event: Event, scene: Scene) -> Evidence | None:
        """Judge one call."""
        del event, scene
        return None

    def on_path(self, touch: Touch, scene: Scene) -> Evidence | None:
        """Judge what a call does to a path of ``paths``."""
        if self.ordinary and not scene.programs.isdisjoint(self.ordinary):
            return None
        return Evidence(touch.path, "file", "" if touch.ok else f"tried: {touch.event.errno}")

    def on_run(self, command: Command, scene: Scene) -> Evidence | None:
        """Judge a command that fits ``programs``, ``line`` and ``unless``."""
        if self.ordinary and scene.under(self.ordinary):
            return None
        return Evidence(command.line[:500], "command")

    def on_text(self, text: str, scene: Scene) -> Evidence | None:
        """Judge a text in which ``script`` or ``sends`` was found; the text is what was found."""
        del scene
        return Evidence(text[:200], "text")

    def on_end(self, sections: Mapping[str, Any]) -> Iterable[Evidence]:
        """Judge the sections when all events have passed."""
        del sections
        return ()


__all__ = [
    "OPENS", "READS", "REMOVES", "WRITES", "Command", "Evidence", "Scene", "Signature", "Touch", "command_of", "writes",
]  # fmt: skip
