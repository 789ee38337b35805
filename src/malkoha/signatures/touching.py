"""Which paths a call is about, and what it does to them: one table for all calls that take paths."""

from __future__ import annotations

from malkoha.model.event import Event
from malkoha.signatures.base import Scene, Touch
from malkoha.trace import descriptors
from malkoha.trace.descriptors import argument, open_flags

_PATHS: dict[str, tuple[tuple[int, int | None, str], ...]] = {
    "truncate": ((0, None, "write"),),
    "rename": ((0, None, "remove"), (1, None, "write")),
    "renameat": ((1, 0, "remove"), (3, 2, "write")),
    "renameat2": ((1, 0, "remove"), (3, 2, "write")),
    "link": ((0, None, "read"), (1, None, "write")),
    "linkat": ((1, 0, "read"), (3, 2, "write")),
    "symlink": ((1, None, "write"),),
    "symlinkat": ((2, 1, "write"),),
    "unlink": ((0, None, "remove"),),
    "unlinkat": ((1, 0, "remove"),),
    "rmdir": ((0, None, "remove"),),
    "mkdir": ((0, None, "create"),),
    "mkdirat": ((1, 0, "create"),),
    "mknod": ((0, None, "create"),),
    "mknodat": ((1, 0, "create"),),
    "chmod": ((0, None, "mode"),),
    "fchmodat": ((1, 0, "mode"),),
    "fchmodat2": ((1, 0, "mode"),),
    "chown": ((0, None, "owner"),),
    "lchown": ((0, None, "owner"),),
    "fchownat": ((1, 0, "owner"),),
    "utime": ((0, None, "time"),),
    "utimes": ((0, None, "time"),),
    "futimesat": ((1, 0, "time"),),
    "utimensat": ((1, 0, "time"),),
    "setxattr": ((0, None, "attr"),),
    "lsetxattr": ((0, None, "attr"),),
    "stat": ((0, None, "probe"),),
    "lstat": ((0, None, "probe"),),
    "newfstatat": ((1, 0, "probe"),),
    "statx": ((1, 0, "probe"),),
    "access": ((0, None, "probe"),),
    "faccessat": ((1, 0, "probe"),),
    "faccessat2": ((1, 0, "probe"),),
    "readlink": ((0, None, "probe"),),
    "readlinkat": ((1, 0, "probe"),),
    "inotify_add_watch": ((1, None, "watch"),),
    "mount": ((1, None, "mount"),),
    "umount2": ((0, None, "mount"),),
}
"""Call -> position of the path, position of its directory's descriptor, what is done."""
_DESCRIPTORS = {"fchmod": "mode", "fchown": "owner", "fsetxattr": "attr", "ftruncate": "write", "utimensat": "time"}
TOUCHING = frozenset(_PATHS) | frozenset(_DESCRIPTORS) | descriptors.OPENS


def touches(event: Event, scene: Scene) -> list[Touch]:
    """List the paths of one call, resolved; a call without a readable path gives none."""
    ok = event.ret is not None and event.ret >= 0
    if event.api in descriptors.OPENS:
        path = scene.path(event, 1, 0) if event.api in ("openat", "openat2") else scene.path(event, 0)
        return [Touch(path, access, ok, event) for access in _how(event)] if path else []
    found = []
    for position, dirfd, access in _PATHS.get(event.api, ()):
        path = scene.path(event, position, dirfd)
        if path:
            found.append(Touch(path, access, ok, event))
    if not found and event.api in _DESCRIPTORS:
        item = scene.descriptor(argument(event, 0))
        if item is not None and item.path:
            found.append(Touch(item.path, _DESCRIPTORS[event.api], ok, event))
    return found


def _how(event: Event) -> tuple[str, ...]:
    """Say what a file was opened for; for reading and writing both, until it is known what is done."""
    flags = open_flags(event)
    made = "O_WRONLY" in flags or "O_TRUNC" in flags or ("O_RDWR" in flags and "O_CREAT" in flags)
    if event.api == "creat" or made:
        return ("write",)
    if "O_RDWR" in flags:
        return ("read", "write")
    if "O_DIRECTORY" in flags:
        return ("list",)
    return ("probe",) if "O_PATH" in flags else ("read",)
