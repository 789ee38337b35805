"""Files: what was opened, read, written, made, moved, deleted, looked at; rights, owners, links, attributes, times."""

from __future__ import annotations

from collections.abc import Iterable

from malkoha.model.event import Event
from malkoha.processing import noise
from malkoha.processing.rules import persistence
from malkoha.processing.rules.base import MAX_TEXT, Rule, View, succeeded
from malkoha.trace import descriptors
from malkoha.trace.descriptors import argument

_EXISTS = {
    "access": 0, "faccessat": 1, "faccessat2": 1, "stat": 0, "lstat": 0, "stat64": 0, "lstat64": 0, "newfstatat": 1,
    "fstatat64": 1, "statx": 1, "readlink": 0, "readlinkat": 1,
}  # fmt: skip
_PATHS = {
    "unlink": ("file_deleted", 0), "unlinkat": ("file_deleted", 1), "rmdir": ("directory_removed", 0),
    "mkdir": ("directory_created", 0), "mkdirat": ("directory_created", 1), "truncate": ("file_written", 0),
    "truncate64": ("file_written", 0), "mknod": ("file_created", 0), "mknodat": ("file_created", 1),
}  # fmt: skip
_MOVES = {"rename": (0, 1, False), "renameat": (1, 3, True), "renameat2": (1, 3, True)}
_LINKS = {"link": (0, 1), "linkat": (1, 3), "symlink": (-1, 1), "symlinkat": (-1, 2)}
_MODES = {"chmod": (0, 1), "fchmodat": (1, 2), "fchmodat2": (1, 2)}
_OWNERS = {"chown": (0, 1), "lchown": (0, 1), "chown32": (0, 1), "lchown32": (0, 1), "fchownat": (1, 2)}
_XATTRS = {"setxattr": 0, "lsetxattr": 0, "removexattr": 0, "lremovexattr": 0}
_TIMES = {"utime": 0, "utimes": 0, "utimensat": 1, "utimensat_time64": 1, "futimesat": 1}
_SPECIAL = {0o4000: "set-user-ID", 0o2000: "set-group-ID", 0o1000: "sticky"}


def _open(view: View, event: Event) -> None:
    shift = 1 if event.api in ("openat", "openat2") else 0
    path = view.path(event, shift, at=bool(shift))
    if path is None or event.ret is None:
        return
    flags = "O_WRONLY|O_CREAT|O_TRUNC" if event.api == "creat" else descriptors.open_flags(event)
    writes = "O_WRONLY" in flags or "O_RDWR" in flags
    if event.ret < 0:
        view.file("file_failed", path)
        return
    if noise.is_library(path) and not writes:
        view.add("dll_loaded", path)
        return
    if "O_DIRECTORY" not in flags and "O_PATH" not in flags:
        view.file("file_opened", path)
    if "O_CREAT" in flags:
        view.file("file_created", path)
    if "O_TRUNC" in flags and writes:
        view.file("file_written", path)
    if writes:
        persistence.changed(view, path)


def _exists(view: View, event: Event) -> None:
    if event.ret is not None and event.ret >= 0:
        view.file("file_exists", view.path(event, _EXISTS[event.api]))


def _plain(view: View, event: Event) -> None:
    category, position = _PATHS[event.api]
    path = view.path(event, position)
    if event.ret is None or path is None:
        return
    if event.api == "unlinkat" and "AT_REMOVEDIR" in str(argument(event, 2)):
        category = "directory_removed"
    if event.ret < 0:
        view.file("file_failed", path)
        return
    view.file(category, path)
    if category in ("file_written", "file_created", "directory_created"):
        persistence.changed(view, path)
    elif category == "file_deleted" and path == view.tables.exe(view.key):
        view.note("self_deletion", path=path)


def _move(view: View, event: Event) -> None:
    old, new, at = _MOVES[event.api]
    source, target = view.path(event, old, at=at), view.path(event, new, at=at)
    if source and target:
        if event.ret == 0:
            view.add("file_moved", (source[:MAX_TEXT], target[:MAX_TEXT]))
            persistence.changed(view, target)
        else:
            view.file("file_failed", source)


def _link(view: View, event: Event) -> None:
    old, new = _LINKS[event.api]
    at = event.api.endswith("at")
    path = view.path(event, new, at=at)
    if event.ret != 0 or path is None:
        return
    target = str(argument(event, 0)) if old < 0 else view.path(event, old, at=at) or ""
    view.file("file_created", path)
    view.note("links", kind="symbolic" if old < 0 else "hard", path=path, target=target)
    persistence.changed(view, path)


def _mode(view: View, event: Event) -> None:
    if event.api == "fchmod":
        path, mode = view.target(event), argument(event, 1)
    else:
        place, position = _MODES[event.api]
        path, mode = view.path(event, place), argument(event, position)
    if path and succeeded(event):
        text = str(mode)
        bits = int(text, 8) if text.isdigit() and set(text) <= set("01234567") else 0
        words = [word for bit, word in _SPECIAL.items() if bits & bit and (bit != 0o1000 or bits & 0o111)]
        words += ["executable"] if bits & 0o111 else []
        words += ["writable by all"] if bits & 0o2 and not bits & 0o1000 else []
        view.note("permissions", path=path, mode=text, means=", ".join(words))


def _owner(view: View, event: Event) -> None:
    if event.api.startswith("fchown") and event.api != "fchownat":
        path, position = view.target(event), 1
    else:
        place, position = _OWNERS[event.api]
        path = view.path(event, place)
    if path and succeeded(event):
        view.note(
            "ownership", path=path, owner=str(argument(event, position)), group=str(argument(event, position + 1))
        )


def _xattr(view: View, event: Event) -> None:
    path = view.target(event) if event.api.startswith("f") else view.path(event, 0)
    name = str(argument(event, 1))
    if path and succeeded(event):
        view.note("attributes", path=path, what=event.api.lstrip("lf"), name=name)
        if name == "security.capability":
            view.note("capabilities", what="set on a file", path=path)


def _times(view: View, event: Event) -> None:
    position = _TIMES[event.api]
    path = view.path(event, position) or (view.target(event) if position else None)
    times = argument(event, position + 1)
    if path and succeeded(event):
        told = times[-1] if isinstance(times, list) and times else None
        view.note(
            "timestamps", path=path, modified=str(told.get("tv_sec") if isinstance(told, dict) else told or "now")
        )


def _flags(view: View, event: Event) -> None:
    if str(argument(event, 1)) in ("FS_IOC_SETFLAGS", "FS_IOC32_SETFLAGS") and succeeded(event):
        path = view.target(event)
        flags = argument(event, 2)
        if path:
            view.note("attributes", path=path, what="flags", name="|".join(flags) if isinstance(flags, list) else flags)


def _enumerate(view: View, event: Event) -> None:
    path = view.target(event)
    if path and succeeded(event):
        view.add("directory_enumerated", path)


def _watch(view: View, event: Event) -> None:
    last = len(event.args) - 1
    path = view.path(event, last) if event.api == "fanotify_mark" else view.path(event, 1, at=False)
    if path and succeeded(event):
        view.note("watches", path=path, what=str(argument(event, 2)))


_GROUPS: tuple[tuple[Iterable[str], Rule], ...] = (
    (descriptors.OPENS, _open),
    (_EXISTS, _exists),
    (_PATHS, _plain),
    (_MOVES, _move),
    (_LINKS, _link),
    ((*_MODES, "fchmod"), _mode),
    ((*_OWNERS, "fchown", "fchown32"), _owner),
    ((*_XATTRS, "fsetxattr", "fremovexattr"), _xattr),
    (_TIMES, _times),
    (("ioctl",), _flags),
    (("getdents", "getdents64", "readdir"), _enumerate),
    (("inotify_add_watch", "fanotify_mark"), _watch),
)
RULES: dict[str, Rule] = {api: rule for apis, rule in _GROUPS for api in apis}
