"""What descriptors and relative paths of each process mean: a table of open descriptors and a place, from its calls.

In: calls in order of the trace, with the key of their process. Out: real paths, endpoints, and who is at the other
side of a pipe or socket. Children inherit a copy of their creator's table, threads and CLONE_FILES share one; execve
closes what is marked close-on-exec.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Literal

import msgspec

from malkoha.model.event import Event
from malkoha.model.process import Process
from malkoha.trace import connecting, moving, opening
from malkoha.trace.fields import Endpoint, argument, endpoint, number, open_flags, path_argument
from malkoha.trace.objects import Descriptor
from malkoha.trace.opening import OPENS
from malkoha.trace.world import Effect, Files, Table, World

__all__ = [
    "APIS", "OPENS", "Behind", "Descriptor", "Endpoint", "Tables", "argument", "endpoint", "number", "open_flags",
    "path_argument",
]  # fmt: skip

_EFFECTS: dict[str, Effect] = {**opening.EFFECTS, **connecting.EFFECTS, **moving.EFFECTS}
_FORKS = frozenset({"fork", "vfork", "clone", "clone2", "clone3"})
_EXECS = frozenset({"execve", "execveat"})
APIS = _FORKS | _EXECS | set(_EFFECTS)
"""Calls that ``Tables.feed`` needs to see, besides events of kind fork, exec and exit."""
_RELATIVES = 1024


class Behind(msgspec.Struct, frozen=True):
    """What is at the other side of a descriptor: where what is read comes from, where what is written goes."""

    kind: Literal["file", "processes", "connection", "unknown"]
    path: str = ""
    endpoint: Endpoint | None = None
    processes: tuple[int, ...] = ()
    """Keys of the processes at the other end; also those in the guest that a connection leads to."""


class Tables(World):
    """The tables of all processes of one trace; ``feed`` advances them, the others ask."""

    def __init__(self, processes: Iterable[Process]) -> None:
        super().__init__(processes)
        self._cloning: dict[int, str] = {}
        """Thread -> the flags of the clone that it is in."""
        self._recorded = False
        """Whether the trace has events of kind fork and exec, which tell more than the calls."""

    def behind(self, key: int, fd: Any) -> Behind:
        """Say what feeds a descriptor that is read (``behind(key, 0)``), or where goes what is written to it."""
        item = self.descriptor(key, fd)
        if item is None:
            return Behind("unknown")
        others = self._users(key, item.other) if item.other is not None else ()
        if item.kind == "socket" and (item.peer is not None or not others):
            return Behind("connection", item.path, item.peer, others)
        if item.kind in ("pipe", "socket", "pty") and others:
            return Behind("processes", item.path, None, others)
        return Behind("file" if item.path else "unknown", item.path)

    def _users(self, key: int, end: Descriptor) -> tuple[int, ...]:
        """List who uses an end, the asking process last; while nobody did, its relatives that have it open."""
        users = [user for user in end.holders if user != key]
        if not users:
            process = self.processes.get(key)
            parent = self.processes.get(process.parent) if process and process.parent is not None else None
            near = [*(process.children if process else ()), *(parent.children if parent else ())]
            near += [parent.key] if parent else []
            users = [one for one in near[:_RELATIVES] if one != key and self._has(one, end)]
        return (*dict.fromkeys(users), *([key] if key in end.holders else []))

    def _has(self, key: int, end: Descriptor) -> bool:
        table = self.tables.get(key)
        return table is not None and any(item is end for item in table.files.open.values())

    # ------------------------------------------------------------------------------------------------- events

    def feed(self, key: int, event: Event) -> None:
        """Take one event of the process ``key``; calls that failed change nothing."""
        kind = event.kind
        if kind == "syscall":
            self._call(key, event)
        elif kind == "fork":
            self._recorded = True
            self.of(key)
            self._inherit(key, number(event.args.get("child_pid")), self._cloning.pop(event.tid, ""))
        elif kind == "exec":
            self._exec_event(self.of(key), event)
        elif kind == "adopt":
            self._program(self.of(key), event)
        elif kind == "exit" and event.args.get("group") is True and key in self.tables:
            self.tables[key].files = Files()

    def _call(self, key: int, event: Event) -> None:
        api = event.api
        effect = _EFFECTS.get(api)
        if effect is not None:
            if event.ret is not None and (event.ret >= 0 or event.errno == "EINPROGRESS"):
                effect(self, self.of(key), event)
        elif api in _FORKS:
            self._fork_call(key, event)
        elif api in _EXECS and event.ret in (None, 0) and not self._recorded:
            shift = 1 if api == "execveat" else 0
            path = path_argument(event, shift)
            _runs(self.of(key), self.resolve(key, path) if path else "", argument(event, shift + 1))
            self._exec(self.of(key))

    def _fork_call(self, key: int, event: Event) -> None:
        """Keep the flags for the fork event that follows; without such events the child begins here."""
        self._cloning.pop(event.tid, None)
        if event.ret is not None and event.ret < 0:
            return
        flags = str(event.args) if event.api.startswith("clone") else ""
        if self._recorded:
            self._cloning[event.tid] = flags
        elif event.ret and "CLONE_THREAD" not in flags:
            self.of(key)
            self._inherit(key, event.ret, flags)

    def _inherit(self, key: int, pid: int | None, flags: str) -> None:
        process = self.processes.get(key)
        for child in process.children if process else ():
            if child not in self.tables and child in self.processes and self.processes[child].pid == pid:
                self.of(child, flags)
                return

    def _exec_event(self, table: Table, event: Event) -> None:
        self._recorded = True
        self._program(table, event)
        self._exec(table)

    def _program(self, table: Table, event: Event) -> None:
        """Take over what an event says of the program that a process runs."""
        folder = str(event.args.get("cwd") or "")
        if folder.startswith("/"):
            table.place.cwd = table.mounts.real(table.place.below(folder))
        exe = str(event.args.get("exe") or event.args.get("filename") or "")
        _runs(table, table.place.below(exe) if exe.startswith("/") else exe, event.args.get("argv"))

    def _exec(self, table: Table) -> None:
        files = table.files
        table.files = Files({fd: item for fd, item in files.open.items() if fd not in files.cloexec})
        for item in table.files.open.values():
            if item.other is not None:
                item.held_by(table.key)


def _runs(table: Table, path: str, argv: Any) -> None:
    table.exe = path or table.exe
    table.argv = [str(word) for word in argv] if isinstance(argv, list) else []
