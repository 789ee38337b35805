"""What calls do to a process's table of descriptors: opening, copying, closing, making of all kinds.

Each effect takes the tables, the one of the process, and a call that succeeded.
"""

from __future__ import annotations

import re
from typing import Any

from malkoha.model.event import Event
from malkoha.trace.fields import argument, number, open_flags, pair, path_argument
from malkoha.trace.objects import Descriptor
from malkoha.trace.world import Effect, Table, World

OPENS = frozenset({"open", "openat", "openat2", "creat"})
_DUPS = frozenset({"dup", "dup2", "dup3", "fcntl", "fcntl64", "ioctl"})
_MAKERS: dict[str, tuple[Any, str]] = {
    "epoll_create": ("epoll", ""), "epoll_create1": ("epoll", ""), "eventfd": ("eventfd", ""),
    "eventfd2": ("eventfd", ""), "timerfd_create": ("timerfd", ""), "signalfd": ("signalfd", ""),
    "signalfd4": ("signalfd", ""), "inotify_init": ("inotify", ""), "inotify_init1": ("inotify", ""),
    "fanotify_init": ("fanotify", ""), "io_uring_setup": ("io_uring", ""), "bpf": ("bpf", ""),
    "perf_event_open": ("other", "perf_event"), "userfaultfd": ("other", "userfaultfd"), "fsmount": ("mount", ""),
    "fsopen": ("mount", ""), "memfd_secret": ("memfd", "/secretmem"), "landlock_create_ruleset": ("other", "landlock"),
    "mq_open": ("other", "mqueue"),
}  # fmt: skip
_PTS = re.compile(r"/dev/pts/[0-9]+")


def _open(tables: World, table: Table, event: Event) -> None:
    shift = 1 if event.api in ("openat", "openat2") else 0
    path = path_argument(event, shift)
    dirfd = argument(event, 0) if shift else "AT_FDCWD"
    flags = "O_WRONLY|O_CREAT|O_TRUNC" if event.api == "creat" else open_flags(event)
    item = _opened(tables, table, path, dirfd) if path else tables.wiring.new("file")
    if not item.flags:
        item.flags = flags
    tables.put(table, event.ret, item, cloexec="O_CLOEXEC" in flags)


def _opened(tables: World, table: Table, path: str, dirfd: Any) -> Descriptor:
    absolute = tables.absolute(table, path, dirfd)
    if absolute.startswith(("/dev/", "/proc/")):
        own = tables.own(table, absolute)
        if own is not None and isinstance(own[0], Descriptor) and own[0].kind in ("pipe", "pty") and not own[1]:
            return own[0]
        if absolute in ("/dev/ptmx", "/dev/pts/ptmx"):
            return tables.wiring.master(table.key)
        if _PTS.fullmatch(absolute):
            return tables.wiring.slave(absolute, tables.family(table.key))
    return tables.wiring.new("file", tables.resolve(table.key, path, dirfd))


def _make(tables: World, table: Table, event: Event) -> None:
    kind, path = _MAKERS[event.api]
    text = str(event.args)
    item = tables.wiring.new(kind, path, flags=str(argument(event, 0)) if event.api == "bpf" else "")
    # bpf and io_uring mark what they make as close-on-exec by themselves; bpf makes one with some commands only
    closing = "CLOEXEC" in text or event.api in ("bpf", "io_uring_setup", "memfd_secret", "landlock_create_ruleset")
    makes = event.api != "bpf" or re.search(r"_CREATE|_LOAD|_GET|_OPEN", str(argument(event, 0)))
    if makes and event.ret is not None and (event.ret > 0 or event.api != "bpf"):
        tables.put(table, event.ret, item, cloexec=closing)


def _memfd(tables: World, table: Table, event: Event) -> None:
    name, flags = str(argument(event, 0)), str(argument(event, 1))
    item = tables.wiring.new("memfd", f"/memfd:{name}", flags=flags)
    tables.put(table, event.ret, item, cloexec="MFD_CLOEXEC" in flags)


def _pidfd(tables: World, table: Table, event: Event) -> None:
    if event.api == "pidfd_open":
        item = tables.wiring.new("pidfd", pid=number(argument(event, 0)))
    else:
        holder = tables.descriptor(table.key, argument(event, 0))
        owner = tables.by_pid(holder.pid) if holder else None
        found = tables.descriptor(owner, argument(event, 1)) if owner is not None else None
        item = found or tables.wiring.new("other")
    tables.put(table, event.ret, item, cloexec=True)


def _pipe(tables: World, table: Table, event: Event) -> None:
    closing = "CLOEXEC" in str(argument(event, 1))
    for fd, item in zip(pair(argument(event, 0)), tables.wiring.pair("pipe", ("read", "write")), strict=False):
        tables.put(table, fd, item, cloexec=closing)


def _close(_: World, table: Table, event: Event) -> None:
    fd = number(argument(event, 0))
    if fd is not None:
        table.files.open.pop(fd, None)
        table.files.cloexec.discard(fd)


def _close_range(_: World, table: Table, event: Event) -> None:
    first, last = number(argument(event, 0)) or 0, number(argument(event, 1))
    last = 1 << 31 if last is None or last < 0 else last
    flags = str(argument(event, 2))
    if "UNSHARE" in flags:
        table.files = table.files.copy()
    for fd in [fd for fd in table.files.open if first <= fd <= last]:
        if "CLOEXEC" in flags:
            table.files.cloexec.add(fd)
        else:
            del table.files.open[fd]
            table.files.cloexec.discard(fd)


def _dup(tables: World, table: Table, event: Event) -> None:
    old, command = number(argument(event, 0)), str(argument(event, 1))
    item = table.files.open.get(old) if old is not None else None
    if event.api == "ioctl":
        _ioctl(tables, table, old, item, event)
        return
    if event.api.startswith("fcntl"):
        if command == "F_SETFD" and old is not None:
            value = str(argument(event, 2))
            closing = bool((number(value.removeprefix("0x")) or 0) & 1) or "FD_CLOEXEC" in value
            (table.files.cloexec.add if closing else table.files.cloexec.discard)(old)
        if not command.startswith("F_DUPFD"):
            return
    if event.ret is None or event.ret == old:
        return
    if item is None:
        table.files.open.pop(event.ret, None)
        return
    cloexec = "CLOEXEC" in (command if event.api.startswith("fcntl") else str(argument(event, 2)))
    tables.put(table, event.ret, item, cloexec=cloexec)
    if event.ret <= 2 and item.other is not None:
        item.held_by(table.key)


def _ioctl(tables: World, table: Table, fd: int | None, item: Descriptor | None, event: Event) -> None:
    request = str(argument(event, 1))
    if fd is None:
        return
    if request == "FIOCLEX":
        table.files.cloexec.add(fd)
    elif request == "FIONCLEX":
        table.files.cloexec.discard(fd)
    elif request in ("TIOCGPTPEER", "0x5441") and item is not None and item.other is not None:
        tables.put(table, event.ret, item.other)


EFFECTS: dict[str, Effect] = {
    **dict.fromkeys(OPENS, _open),
    **dict.fromkeys(_DUPS, _dup),
    **dict.fromkeys(_MAKERS, _make),
    **dict.fromkeys(("pipe", "pipe2"), _pipe),
    **dict.fromkeys(("pidfd_open", "pidfd_getfd"), _pidfd),
    "memfd_create": _memfd,
    "close": _close,
    "close_range": _close_range,
}
