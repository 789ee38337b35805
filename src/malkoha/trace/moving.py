"""What calls do to the place of a process: working directory, root, mounts and namespaces.

Each effect takes the tables, the one of the process, and a call that succeeded.
"""

from __future__ import annotations

import re

import msgspec

from malkoha.model.event import Event
from malkoha.trace.fields import argument, path_argument
from malkoha.trace.places import Mounts, Place
from malkoha.trace.world import Effect, Table, World

_PLACES = frozenset(
    {
        "chdir",
        "fchdir",
        "chroot",
        "pivot_root",
        "mount",
        "umount2",
        "umount",
        "open_tree",
        "move_mount",
        "unshare",
        "setns",
    }
)


def _move(tables: World, table: Table, event: Event) -> None:
    api, place = event.api, table.place
    if api in ("chdir", "chroot"):
        path = path_argument(event, 0)
        if path and api == "chdir":
            place.cwd = tables.resolve(table.key, path)
        elif path:
            place.enter(tables.resolve(table.key, path))
    elif api == "fchdir":
        item = tables.descriptor(table.key, argument(event, 0))
        place.cwd = item.path if item and item.path else place.cwd
    elif api == "pivot_root":
        new, old = tables.resolve(table.key, str(argument(event, 0))), tables.absolute(table, str(argument(event, 1)))
        if new != old:
            table.mounts.add(old, place.root or "/")
        place.enter(new)
    elif api == "unshare":
        _unshare(table, str(argument(event, 0)))
    elif api == "setns":
        _setns(tables, table, event)
    else:
        _mount(tables, table, event)


def _unshare(table: Table, flags: str) -> None:
    if "CLONE_FILES" in flags:
        table.files = table.files.copy()
    if "CLONE_FS" in flags or "CLONE_NEWNS" in flags:
        table.place = msgspec.structs.replace(table.place)
    if "CLONE_NEWNS" in flags:
        table.mounts = table.mounts.copy()


def _setns(tables: World, table: Table, event: Event) -> None:
    """Take over the mounts of the process that a pidfd or /proc/PID/ns/mnt names; those of an unknown are none."""
    item, kinds = tables.descriptor(table.key, argument(event, 0)), str(argument(event, 1))
    found = re.fullmatch(r"/proc/([0-9]{1,10})/ns/mnt", item.path) if item else None
    pid = int(found[1]) if found else item.pid if item and "CLONE_NEWNS" in kinds else None
    if found or "CLONE_NEWNS" in kinds:
        other = tables.tables.get(tables.by_pids.get(pid if pid is not None else -1, -1))
        table.mounts = other.mounts if other else Mounts()
        table.place = msgspec.structs.replace(other.place) if other else Place("/")


def _mount(tables: World, table: Table, event: Event) -> None:
    api = event.api
    if api == "open_tree":
        path = tables.resolve(table.key, str(argument(event, 1)), argument(event, 0))
        tables.put(table, event.ret, tables.wiring.new("mount", path), cloexec="0x80" in str(argument(event, 2)))
    elif api == "move_mount":
        source = tables.descriptor(table.key, argument(event, 0))
        target = tables.absolute(table, str(argument(event, 3)), argument(event, 2))
        table.mounts.add(target, source.path if source and source.path else target)
    elif api in ("umount", "umount2"):
        table.mounts.remove(tables.absolute(table, str(argument(event, 0))))
    else:
        flags, target = str(argument(event, 3)), tables.absolute(table, str(argument(event, 1)))
        if "MS_MOVE" in flags:
            old = tables.absolute(table, str(argument(event, 0)))
            content = table.mounts.over.get(old, target)
            table.mounts.remove(old)
            table.mounts.add(target, content)
        elif "MS_REMOUNT" in flags or re.search(r"MS_(?:PRIVATE|SLAVE|SHARED|UNBINDABLE)", flags):
            return
        elif "MS_BIND" in flags:
            content = tables.resolve(table.key, str(argument(event, 0)))
            if content != target:
                table.mounts.add(target, content)
        else:
            table.mounts.add(target, target)


EFFECTS: dict[str, Effect] = dict.fromkeys(_PLACES, _move)
