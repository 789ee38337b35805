"""The state behind descriptor tables: for each process its open descriptors, its place and its program.

descriptors.py advances it event by event through the effects in opening.py, connecting.py and moving.py.
"""

from __future__ import annotations

import re
from collections import OrderedDict
from collections.abc import Callable, Iterable
from typing import Any

import msgspec

from malkoha.model.event import Event
from malkoha.model.process import Process
from malkoha.trace.fields import Endpoint, number
from malkoha.trace.objects import Descriptor, Wiring
from malkoha.trace.places import Mounts, Place

MAX_DESCRIPTORS = 4096
MAX_TABLES = 20_000
_ANCESTORS = 16

_OWN = re.compile(
    r"/(?:proc/(?P<pid>self|thread-self|[0-9]{1,10})/(?P<what>fd/[0-9]{1,9}|cwd|root)"
    r"|dev/(?P<dev>fd/[0-9]{1,9}|std(?:in|out|err)))(?P<rest>/.*)?"
)
_STANDARD = {"stdin": 0, "stdout": 1, "stderr": 2}


class Files(msgspec.Struct):
    """A table of descriptors, shared by those that clone with CLONE_FILES."""

    open: dict[int, Descriptor] = {}
    cloexec: set[int] = set()

    def copy(self) -> Files:
        """Give a table of its own that begins like this one."""
        return Files(dict(self.open), set(self.cloexec))


class Table(msgspec.Struct):
    """All that is known of one process at this point of the trace."""

    key: int
    files: Files
    place: Place
    mounts: Mounts
    exe: str = ""
    argv: list[str] = []


class World:
    """Tables of all processes of one trace, and what can be asked of them."""

    def __init__(self, processes: Iterable[Process]) -> None:
        self.processes = {process.key: process for process in processes}
        self.tables: OrderedDict[int, Table] = OrderedDict()
        self.by_pids: dict[int, int] = {}
        self.wiring = Wiring()

    def of(self, key: int, flags: str = "") -> Table:
        """Give the table of a process; a new one inherits from its creator, sharing what the clone's flags say."""
        table = self.tables.get(key)
        if table is None:
            process = self.processes.get(key)
            parent = self.tables.get(process.parent) if process and process.parent is not None else None
            if parent is None:
                table = Table(key, Files(), Place(), Mounts())
            else:
                table = Table(
                    key,
                    parent.files if "CLONE_FILES" in flags else parent.files.copy(),
                    parent.place if "CLONE_FS" in flags else msgspec.structs.replace(parent.place),
                    parent.mounts.copy() if "CLONE_NEWNS" in flags else parent.mounts,
                    parent.exe,
                    parent.argv,
                )
            if len(self.tables) >= MAX_TABLES:
                self.tables.popitem(last=False)
            self.tables[key] = table
            if process is not None:
                self.by_pids[process.pid] = key
        return table

    # ------------------------------------------------------------------------------------------------ asking

    def cwd(self, key: int) -> str:
        """Give the working directory, empty while it is unknown."""
        return self.of(key).place.cwd

    def root(self, key: int) -> str:
        """Give the root directory of a process that changed it, else ``/``."""
        return self.of(key).place.root or "/"

    def exe(self, key: int) -> str:
        """Give the path of the program that the process runs at this point of the trace."""
        return self.of(key).exe

    def argv(self, key: int) -> list[str]:
        """Give the arguments of that program, as it was started."""
        return self.of(key).argv

    def by_pid(self, pid: int | None) -> int | None:
        """Give the key of the process that has a pid at this point of the trace."""
        return self.by_pids.get(pid) if pid is not None else None

    def descriptor(self, key: int, fd: Any) -> Descriptor | None:
        """Say what a descriptor refers to; None when the trace does not tell."""
        found = number(fd)
        return self.of(key).files.open.get(found) if found is not None else None

    def resolve(self, key: int, path: str, dirfd: Any = "AT_FDCWD") -> str:
        """Make a path absolute as the process would; it stays relative where its directory is unknown.

        Root, mounts, /proc/self/fd and the like are followed; symbolic links are not, since the guest is gone.
        """
        table = self.of(key)
        absolute = self.absolute(table, path, dirfd)
        if absolute.startswith(("/proc/", "/dev/")):
            own = self.own(table, absolute)
            if own is not None:
                start, rest = own
                start = start.path if isinstance(start, Descriptor) else start
                return f"{start}{rest}" if start or rest else absolute
        return table.mounts.real(absolute)

    def absolute(self, table: Table, path: str, dirfd: Any = "AT_FDCWD") -> str:
        """Make a path absolute without following anything."""
        if path.startswith("/"):
            folder = ""
        elif str(dirfd) in ("AT_FDCWD", "-100", "4294967196", ""):
            folder = table.place.cwd
        else:
            descriptor = self.descriptor(table.key, dirfd)
            folder = descriptor.path if descriptor else ""
        return table.place.absolute(path, folder)

    def own(self, table: Table, path: str) -> tuple[Descriptor | str, str] | None:
        """Find what /proc/PID/fd/N, /proc/PID/cwd, /proc/PID/root or /dev/fd/N lead to, and the rest of the path."""
        found = _OWN.fullmatch(path)
        if found is None:
            return None
        if found["pid"] and found["pid"].isdigit():
            other = self.tables.get(self.by_pids.get(int(found["pid"]), -1))
            if other is None:
                return None
            table = other
        rest, what = found["rest"] or "", found["what"] or found["dev"]
        if what == "cwd":
            return (table.place.cwd, rest) if table.place.cwd else None
        if what == "root":
            return table.place.root or ("" if rest else "/"), rest
        fd = _STANDARD[what] if what in _STANDARD else int(what.removeprefix("fd/"))
        item = table.files.open.get(fd)
        return None if item is None else (item, rest)

    def named(self, key: int, where: Endpoint | None) -> Endpoint | None:
        """Make the path of a UNIX socket absolute; abstract names and addresses stay."""
        if where is None or where.family != "AF_UNIX" or not where.host or where.host.startswith("@"):
            return where
        return Endpoint(where.family, self.resolve(key, where.host))

    def family(self, key: int) -> set[int]:
        """List a process and its nearest ancestors."""
        family: set[int] = set()
        above: int | None = key
        while above is not None and above not in family and len(family) < _ANCESTORS:
            family.add(above)
            process = self.processes.get(above)
            above = process.parent if process else None
        return family

    # ----------------------------------------------------------------------------------------------- changing

    def put(self, table: Table, fd: int | None, item: Descriptor, *, cloexec: bool = False) -> None:
        """Let a descriptor refer to something."""
        files = table.files
        if fd is not None and fd >= 0 and (len(files.open) < MAX_DESCRIPTORS or fd in files.open):
            files.open[fd] = item
            if cloexec:
                files.cloexec.add(fd)
            else:
                files.cloexec.discard(fd)


Effect = Callable[[World, Table, Event], None]
"""What a call that succeeded does to the table of its process."""
