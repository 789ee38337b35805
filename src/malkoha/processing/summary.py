"""What a sample touched, in Cuckoo's categories: files, folders, commands, endpoints, names.

In: rows of the trace in order. Out: category -> list, for each process and in all. Lists are bounded and what did not
fit is counted. The loader's noise is left out by the rules of noise.py.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from malkoha.model.event import Event
from malkoha.model.process import Process
from malkoha.processing import dns, noise
from malkoha.trace import descriptors
from malkoha.trace.descriptors import Tables, argument, path_argument
from malkoha.trace.store import Row

CATEGORIES = (
    "file_created", "file_opened", "file_read", "file_written", "file_deleted", "file_exists", "file_failed",
    "file_moved", "file_copied", "directory_created",
    "directory_removed", "directory_enumerated", "dll_loaded", "command_line",
    "connects_ip", "connects_host", "resolves_host", "downloads_file", "fetches_url",
)  # fmt: skip
LIMIT = 2_000
"""Entries of one category, in all and of each process."""
PROCESS_LIMIT = 500
MAX_TEXT = 4096

_READING = frozenset({"file_opened", "file_read", "file_exists", "file_failed"})
"""Categories from which the loader's noise is left out; to change such a file is never noise."""
_READS = frozenset(
    {"read", "pread64", "readv", "preadv", "preadv2", "sendfile", "sendfile64", "copy_file_range", "splice"}
)
_WRITES = frozenset({"write", "pwrite64", "writev", "pwritev", "pwritev2", "ftruncate", "ftruncate64", "fallocate"})
_SENDS = frozenset({"sendto", "sendmsg", "sendmmsg", "write", "send"})
_EXISTS = {
    "access": 0, "faccessat": 1, "faccessat2": 1, "stat": 0, "lstat": 0, "stat64": 0, "lstat64": 0, "newfstatat": 1,
    "fstatat64": 1, "statx": 1, "readlink": 0, "readlinkat": 1,
}  # fmt: skip
_PATHS = {
    "unlink": ("file_deleted", 0), "unlinkat": ("file_deleted", 1), "rmdir": ("directory_removed", 0),
    "mkdir": ("directory_created", 0), "mkdirat": ("directory_created", 1), "truncate": ("file_written", 0),
    "mknod": ("file_created", 0), "mknodat": ("file_created", 1),
}  # fmt: skip
_MOVES = {"rename": (0, 1, False), "renameat": (1, 3, True), "renameat2": (1, 3, True)}
_LINKS = {"link": 1, "linkat": 3, "symlink": 1, "symlinkat": 2}

APIS = (
    descriptors.APIS | _READS | _WRITES | _SENDS | set(_EXISTS) | set(_PATHS) | set(_MOVES) | set(_LINKS)
    | {"getdents", "getdents64"}
)  # fmt: skip
"""Calls that the summary needs to see."""


class _Bag:
    """Ordered sets by category, with a bound."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.lists: dict[str, dict[Any, None]] = {}
        self.omitted = 0

    def add(self, category: str, value: Any) -> bool:
        items = self.lists.setdefault(category, {})
        if value in items:
            return False
        if len(items) >= self.limit:
            self.omitted += 1
            return False
        items[value] = None
        return True

    def result(self) -> dict[str, list[Any]]:
        return {
            category: [list(item) if isinstance(item, tuple) else item for item in items]
            for category, items in self.lists.items()
        }


class Summary:
    """Takes rows one by one; ``total`` and ``of`` give what was found so far."""

    def __init__(self, processes: Iterable[Process], *, recorded: bool = False) -> None:
        """``recorded`` tells that the trace has exec events, so that execve calls need not tell command lines."""
        listed = list(processes)
        self._recorded = recorded
        self._hidden = {process.key: process for process in listed if process.launcher}
        self._begin = {process.key: process.setup_calls for process in listed if process.setup_calls}
        self._tables = Tables(listed)
        self._all = _Bag(LIMIT)
        self._each: dict[int, _Bag] = {}
        self._handlers: dict[str, Callable[[int, Event], None]] = self._table_of_handlers()

    @property
    def omitted(self) -> int:
        """How many entries did not fit."""
        return self._all.omitted

    def total(self) -> dict[str, list[Any]]:
        """Give the summary of the whole sample."""
        return self._all.result()

    def of(self, key: int) -> dict[str, list[Any]]:
        """Give the summary of one process."""
        bag = self._each.get(key)
        return bag.result() if bag else {}

    def feed(self, row: Row) -> None:
        """Take the next row."""
        event, key = row.event, row.process
        shown = key not in self._hidden and not (row.index is not None and row.index < self._begin.get(key, 0))
        closing = event.api in ("close", "close_range", "execve", "execveat")
        if not closing:
            self._tables.feed(key, event)
        if shown:
            if event.kind == "exec":
                self._exec_event(key, event)
            elif (handler := self._handlers.get(event.api)) is not None:
                handler(key, event)
        if closing:
            self._tables.feed(key, event)

    def _add(self, key: int, category: str, value: Any) -> None:
        if isinstance(value, str):
            value = value[:MAX_TEXT]
        self._all.add(category, value)
        bag = self._each.get(key)
        if bag is None:
            bag = self._each[key] = _Bag(PROCESS_LIMIT)
        bag.add(category, value)

    def _file(self, key: int, category: str, path: str | None) -> None:
        if path and not (noise.is_noise(path) if category in _READING else noise.is_device(path)):
            self._add(key, category, path)

    def _path(self, key: int, event: Event, position: int, *, at: bool | None = None) -> str | None:
        """Resolve the path argument at a position; with ``at`` the one before it is its directory."""
        path = path_argument(event, position)
        if path is None:
            return None
        at = position > 0 if at is None else at
        return self._tables.resolve(key, path, argument(event, position - 1) if at else "AT_FDCWD")

    def _table_of_handlers(self) -> dict[str, Callable[[int, Event], None]]:
        groups: list[tuple[Iterable[str], Callable[[int, Event], None]]] = [
            (descriptors.OPENS, self._open),
            (_EXISTS, self._exists),
            (_PATHS, self._plain),
            (_MOVES, self._move),
            (_LINKS, self._link),
            (_READS, self._read),
            (_WRITES, self._write),
            (_SENDS - {"write"}, self._send),
            (("getdents", "getdents64"), self._enumerate),
            (("connect",), self._connect),
            (("execve", "execveat"), self._exec),
        ]
        return {api: handler for apis, handler in groups for api in apis}

    # ------------------------------------------------------------------------------------------------- files

    def _open(self, key: int, event: Event) -> None:
        shift = 1 if event.api in ("openat", "openat2") else 0
        path = self._path(key, event, shift, at=bool(shift))
        if path is None or event.ret is None:
            return
        flags = "O_WRONLY|O_CREAT|O_TRUNC" if event.api == "creat" else descriptors.open_flags(event)
        if event.ret < 0:
            self._file(key, "file_failed", path)
        elif noise.is_library(path) and "O_WRONLY" not in flags and "O_RDWR" not in flags:
            self._add(key, "dll_loaded", path)
        else:
            if "O_DIRECTORY" not in flags:
                self._file(key, "file_opened", path)
            if "O_CREAT" in flags:
                self._file(key, "file_created", path)
            if "O_TRUNC" in flags and path != "/dev/null":
                self._file(key, "file_written", path)

    def _exists(self, key: int, event: Event) -> None:
        position = _EXISTS[event.api]
        path = self._path(key, event, position)
        if path and event.ret == 0:
            self._file(key, "file_exists", path)

    def _plain(self, key: int, event: Event) -> None:
        category, position = _PATHS[event.api]
        path = self._path(key, event, position)
        if event.ret is None or path is None:
            return
        if event.api == "unlinkat" and "AT_REMOVEDIR" in str(argument(event, 2)):
            category = "directory_removed"
        self._file(key, category if event.ret >= 0 else "file_failed", path)

    def _move(self, key: int, event: Event) -> None:
        old, new, at = _MOVES[event.api]
        source, target = self._path(key, event, old, at=at), self._path(key, event, new, at=at)
        if event.ret == 0 and source and target:
            self._add(key, "file_moved", (source[:MAX_TEXT], target[:MAX_TEXT]))

    def _link(self, key: int, event: Event) -> None:
        position = _LINKS[event.api]
        if event.ret == 0:
            self._file(key, "file_created", self._path(key, event, position, at=event.api.endswith("at")))

    def _target(self, key: int, event: Event, position: int = 0) -> str | None:
        item = self._tables.descriptor(key, argument(event, position))
        return item.path if item is not None and item.kind in ("file", "memfd") else None

    def _read(self, key: int, event: Event) -> None:
        if event.ret is None or event.ret < 0:
            return
        source = 1 if event.api.startswith("sendfile") else 0
        path = self._target(key, event, source)
        if path and not noise.is_library(path):
            self._file(key, "file_read", path)
        if event.api in ("copy_file_range", "sendfile", "sendfile64"):
            written = self._target(key, event, 2 if event.api == "copy_file_range" else 0)
            self._file(key, "file_written", written)
            if path and written:
                self._add(key, "file_copied", (path[:MAX_TEXT], written[:MAX_TEXT]))

    def _write(self, key: int, event: Event) -> None:
        if event.ret is not None and event.ret >= 0:
            self._file(key, "file_written", self._target(key, event))
        if event.api == "write":
            self._send(key, event)

    def _enumerate(self, key: int, event: Event) -> None:
        path = self._target(key, event)
        if path and event.ret is not None and event.ret >= 0:
            self._add(key, "directory_enumerated", path)

    # ----------------------------------------------------------------------------------------------- network

    def _connect(self, key: int, event: Event) -> None:
        peer = descriptors.endpoint(argument(event, 1))
        if peer is not None and peer.family in ("AF_INET", "AF_INET6") and peer.host:
            self._add(key, "connects_ip", peer.host)

    def _send(self, key: int, event: Event) -> None:
        """Look for a DNS query in what goes out of a socket to port 53, or of one whose peer is not known."""
        item = self._tables.descriptor(key, argument(event, 0))
        peer = descriptors.endpoint(argument(event, 4)) if event.api == "sendto" else None
        peer = peer or (item.peer if item else None)
        if event.api == "write" and (item is None or item.kind != "socket"):
            return
        if peer is not None and peer.port != 53:
            return
        for payload in _payloads(argument(event, 1)):
            name = dns.question(payload)
            if name is not None:
                self._add(key, "resolves_host", name)

    # ---------------------------------------------------------------------------------------------- commands

    def _exec(self, key: int, event: Event) -> None:
        """Note the command of a call that succeeded, where no exec event tells it; note what could not be run."""
        shift = 1 if event.api == "execveat" else 0
        if event.ret is not None and event.ret < 0:
            self._file(key, "file_failed", self._path(key, event, shift, at=bool(shift)))
        elif event.ret is None and not self._recorded:
            argv = argument(event, shift + 1)
            self._add(key, "command_line", " ".join(map(str, argv)) if isinstance(argv, list) else str(argv))

    def _exec_event(self, key: int, event: Event) -> None:
        argv = event.args.get("argv")
        if isinstance(argv, list) and argv:
            self._add(key, "command_line", " ".join(map(str, argv)))


def _payloads(value: Any) -> list[str]:
    """Give the buffers of one argument of a sending call: text, a message with ``data``, or a list of such."""
    if isinstance(value, str):
        return [value]
    if isinstance(value, dict):
        return [str(value.get("data", ""))]
    if isinstance(value, list):
        return [payload for item in value[:16] for payload in _payloads(item)]
    return []
