"""What descriptors and relative paths of each process mean: cwd and a table of open descriptors, from its calls.

In: calls in order of the trace, with the key of their process. Out: absolute paths and endpoints. Children inherit a
copy of their creator's table, threads share one; execve closes what is marked close-on-exec.

Arguments are read by position, in the order of the man page, so that traces with and without names are read alike.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterable
from typing import Any, Literal

import msgspec

from malkoha.model.event import Event
from malkoha.model.process import Process

MAX_DESCRIPTORS = 4096
MAX_TABLES = 20_000

_INTEGER = re.compile(r"-?[0-9]{1,10}")
OPENS = frozenset({"open", "openat", "openat2", "creat"})
APIS = OPENS | {
    "close", "close_range", "dup", "dup2", "dup3", "fcntl", "fcntl64", "pipe", "pipe2", "socket", "socketpair",
    "accept", "accept4", "connect", "bind", "chdir", "fchdir", "memfd_create", "execve", "execveat",
}  # fmt: skip
"""Calls that ``Tables.feed`` needs to see, besides events of kind fork and exec."""


class Endpoint(msgspec.Struct, frozen=True):
    """Where a socket leads: ``host`` is an address, a path for AF_UNIX, or empty."""

    family: str
    host: str
    port: int | None = None


class Descriptor(msgspec.Struct):
    """What one descriptor refers to."""

    kind: Literal["file", "pipe", "socket", "memfd", "other"]
    path: str = ""
    flags: str = ""
    family: str = ""
    peer: Endpoint | None = None
    cloexec: bool = False


class _Table(msgspec.Struct):
    cwd: str = ""
    exe: str = ""
    open: dict[int, Descriptor] = {}


def argument(event: Event, position: int) -> Any:
    """Give the argument at a position, counted from 0; empty text when it is missing."""
    for number, value in enumerate(event.args.values()):
        if number == position:
            return value
    return ""


def number(value: Any) -> int | None:
    """Read a descriptor or another small number from its text; None when it is none."""
    if isinstance(value, int):
        return int(value)
    found = _INTEGER.match(value) if isinstance(value, str) else None
    return int(found[0]) if found else None


def path_argument(event: Event, position: int) -> str | None:
    """Give a path argument; None when its memory could not be read and a pointer stands there."""
    value = argument(event, position)
    if not isinstance(value, str) or value in ("", "NULL") or re.fullmatch(r"0x[0-9a-f]+", value):
        return None
    return value


_ADDRESS = re.compile(r"AF_\w+|[0-9a-fA-F:.]*[.:][0-9a-fA-F:.]*|[0-9]+")


def endpoint(value: Any) -> Endpoint | None:
    """Read a socket address as either engine shows it: named fields, ``{AF_INET, 10.0.0.1, 53}``, or text."""
    if isinstance(value, dict):
        family = str(value.get("sa_family", ""))
        host = value.get("sin_addr") or value.get("sin6_addr") or value.get("sun_path") or ""
        return Endpoint(family, str(host), number(value.get("sin_port") or value.get("sin6_port") or ""))
    parts = [str(part) for part in value] if isinstance(value, list) else []
    if isinstance(value, str) and "AF_" in value:
        parts = _ADDRESS.findall(value)
    if not parts or not parts[0].startswith("AF_"):
        return None
    host = parts[1] if len(parts) > 1 else ""
    return Endpoint(parts[0], host, number(parts[2]) if len(parts) > 2 else None)


class Tables:
    """The tables of all processes of one trace; ``feed`` advances them, the others ask."""

    def __init__(self, processes: Iterable[Process]) -> None:
        self._processes = {process.key: process for process in processes}
        self._tables: dict[int, _Table] = {}
        self._recorded = False
        """Whether the trace has exec events, which tell more than the calls."""

    def _of(self, key: int) -> _Table:
        table = self._tables.get(key)
        if table is None:
            process = self._processes.get(key)
            parent = self._tables.get(process.parent) if process and process.parent is not None else None
            table = _Table()
            if parent is not None:
                copies = {fd: msgspec.structs.replace(item) for fd, item in parent.open.items()}
                table = _Table(parent.cwd, parent.exe, copies)
            if len(self._tables) < MAX_TABLES:
                self._tables[key] = table
        return table

    def cwd(self, key: int) -> str:
        """Give the working directory, empty while it is unknown."""
        return self._of(key).cwd

    def exe(self, key: int) -> str:
        """Give the path of the program that the process runs at this point of the trace."""
        return self._of(key).exe

    def descriptor(self, key: int, fd: Any) -> Descriptor | None:
        """Say what a descriptor refers to; None when the trace does not tell."""
        found = number(fd)
        return self._of(key).open.get(found) if found is not None else None

    def resolve(self, key: int, path: str, dirfd: Any = "AT_FDCWD") -> str:
        """Make a path absolute as the process would; it stays relative where its directory is unknown.

        ``.`` and ``..`` are folded by their text; symbolic links are not followed, since the guest is gone.
        """
        if not path.startswith("/"):
            folder = self._folder(key, dirfd)
            path = f"{folder}/{path}" if folder else path
        folded = posixpath.normpath(path) if path else path
        return folded[1:] if folded.startswith("//") else folded

    def _folder(self, key: int, dirfd: Any) -> str:
        if str(dirfd) in ("AT_FDCWD", "-100", "4294967196", ""):
            return self._of(key).cwd
        descriptor = self.descriptor(key, dirfd)
        return descriptor.path if descriptor else ""

    # ------------------------------------------------------------------------------------------------- events

    def feed(self, key: int, event: Event) -> None:
        """Take one event of the process ``key``; calls that failed change nothing."""
        table = self._of(key)
        if event.kind == "fork":
            self._fork(key, event)
        elif event.kind == "exec":
            self._recorded = True
            table.cwd = str(event.args.get("cwd") or "") or table.cwd
            self._exec(table, str(event.args.get("exe") or event.args.get("filename") or ""))
        elif event.kind == "syscall" and _took_effect(event):
            self._call(key, table, event)

    def _fork(self, key: int, event: Event) -> None:
        pid = number(event.args.get("child_pid"))
        process = self._processes.get(key)
        for child in process.children if process else ():
            if child not in self._tables and self._processes[child].pid == pid:
                self._of(child)
                return

    def _exec(self, table: _Table, path: str) -> None:
        table.exe = path or table.exe
        table.open = {fd: item for fd, item in table.open.items() if not item.cloexec}

    def _put(self, table: _Table, fd: int | None, item: Descriptor) -> None:
        if fd is not None and fd >= 0 and (len(table.open) < MAX_DESCRIPTORS or fd in table.open):
            table.open[fd] = item

    def _call(self, key: int, table: _Table, event: Event) -> None:
        api = event.api
        if api in OPENS:
            self._open(key, table, event)
        elif api == "close":
            table.open.pop(number(argument(event, 0)) or 0, None)
        elif api == "close_range":
            self._close_range(table, event)
        elif api in ("dup", "dup2", "dup3", "fcntl", "fcntl64"):
            self._dup(table, event)
        elif api in ("pipe", "pipe2"):
            for fd in _pair(argument(event, 0)):
                self._put(table, fd, Descriptor("pipe", cloexec="O_CLOEXEC" in str(argument(event, 1))))
        elif api == "chdir":
            path = path_argument(event, 0)
            table.cwd = self.resolve(key, path) if path else table.cwd
        elif api == "fchdir":
            item = self.descriptor(key, argument(event, 0))
            table.cwd = item.path if item and item.path else table.cwd
        elif api == "memfd_create":
            name, flags = str(argument(event, 0)), str(argument(event, 1))
            self._put(table, event.ret, Descriptor("memfd", f"/memfd:{name}", cloexec="MFD_CLOEXEC" in flags))
        elif api in ("execve", "execveat"):
            if event.ret is None and not self._recorded:
                path = path_argument(event, 1 if api == "execveat" else 0)
                self._exec(table, self.resolve(key, path) if path else "")
        else:
            self._socket(table, event)

    def _open(self, key: int, table: _Table, event: Event) -> None:
        shift = 1 if event.api in ("openat", "openat2") else 0
        path = path_argument(event, shift)
        dirfd = argument(event, 0) if shift else "AT_FDCWD"
        flags = "O_WRONLY|O_CREAT|O_TRUNC" if event.api == "creat" else open_flags(event)
        resolved = self.resolve(key, path, dirfd) if path else ""
        self._put(table, event.ret, Descriptor("file", resolved, flags, cloexec="O_CLOEXEC" in flags))

    def _close_range(self, table: _Table, event: Event) -> None:
        first, last = number(argument(event, 0)) or 0, number(argument(event, 1))
        last = 1 << 31 if last is None or last < 0 else last
        keep_open = "CLOEXEC" in str(argument(event, 2))
        for fd in [fd for fd in table.open if first <= fd <= last]:
            if keep_open:
                table.open[fd].cloexec = True
            else:
                del table.open[fd]

    def _dup(self, table: _Table, event: Event) -> None:
        old = number(argument(event, 0))
        item = table.open.get(old) if old is not None else None
        command = str(argument(event, 1))
        if event.api.startswith("fcntl"):
            if command == "F_SETFD" and item is not None:
                item.cloexec = bool((number(str(argument(event, 2)).removeprefix("0x")) or 0) & 1) or (
                    "FD_CLOEXEC" in str(argument(event, 2))
                )
            if not command.startswith("F_DUPFD"):
                return
        if event.ret is None or event.ret == old:
            return
        if item is None:
            table.open.pop(event.ret, None)
            return
        cloexec = "CLOEXEC" in (command if event.api.startswith("fcntl") else str(argument(event, 2)))
        self._put(table, event.ret, msgspec.structs.replace(item, cloexec=cloexec))

    def _socket(self, table: _Table, event: Event) -> None:
        api, first = event.api, number(argument(event, 0))
        if api in ("socket", "socketpair"):
            family, kind = str(argument(event, 0)), str(argument(event, 1))
            fds = [event.ret] if api == "socket" else _pair(argument(event, 3))
            for fd in fds:
                self._put(table, fd, Descriptor("socket", flags=kind, family=family, cloexec="SOCK_CLOEXEC" in kind))
        elif api in ("accept", "accept4"):
            listening = table.open.get(first) if first is not None else None
            family = listening.family if listening else ""
            self._put(table, event.ret, Descriptor("socket", family=family, peer=endpoint(argument(event, 1))))
        elif api == "connect" and first is not None:
            peer = endpoint(argument(event, 1))
            item = table.open.get(first) or Descriptor("socket", family=peer.family if peer else "")
            item.peer = peer
            self._put(table, first, item)


def _took_effect(event: Event) -> bool:
    if event.ret is None:
        return event.api in ("execve", "execveat")
    return event.ret >= 0 or event.errno == "EINPROGRESS"


def _pair(value: Any) -> list[int]:
    """Read the two descriptors that pipe and socketpair fill in; empty where only a pointer is known."""
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list):
        return [fd for fd in map(number, value) if fd is not None]
    return []


def open_flags(event: Event) -> str:
    """Give the flags of an open call as text, whichever of the four it is."""
    value = argument(event, 2 if event.api in ("openat", "openat2") else 1)
    return str(value.get("flags", "")) if isinstance(value, dict) else str(value)
