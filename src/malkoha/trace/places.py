"""Where a process stands in the file system: working directory, root, and what is mounted over what.

In: what chdir, chroot, pivot_root, mount and their kin did. Out: real absolute paths. Symbolic links are not followed,
since the guest is gone; ``.`` and ``..`` are folded by their text.
"""

from __future__ import annotations

import posixpath

import msgspec

MOUNTS = 1024


class Mounts(msgspec.Struct):
    """A mount namespace as far as the trace changed it: mount point -> the path whose content stands there.

    A file system of its own has its mount point as its content: it hides what was mounted there before.
    """

    over: dict[str, str] = {}

    def copy(self) -> Mounts:
        """Give a namespace of its own that begins like this one."""
        return Mounts(dict(self.over))

    def add(self, target: str, content: str) -> None:
        """Mount something at an absolute path."""
        self.over.pop(target, None)
        if len(self.over) < MOUNTS:
            self.over[target] = content

    def remove(self, target: str) -> None:
        """Unmount what was mounted last at a path."""
        self.over.pop(target, None)

    def real(self, path: str) -> str:
        """Give the path that a path has outside of the mounts that hide it."""
        if not self.over:
            return path
        head, tail = path, ""
        while len(head) > 1:
            content = self.over.get(head)
            if content is not None:
                return f"{content.rstrip('/')}{tail}" or "/"
            head, _, last = head.rpartition("/")
            tail = f"/{last}{tail}"
        return path


class Place(msgspec.Struct):
    """Working directory and root, both as real paths; shared by those that clone with CLONE_FS."""

    cwd: str = ""
    root: str = ""
    """Empty for the guest's own root."""

    def absolute(self, path: str, folder: str) -> str:
        """Make a path absolute below ``folder``, or below the root when it begins with ``/``."""
        if path.startswith("/"):
            return self.below(path)
        return folded(f"{folder}/{path}") if folder else folded(path)

    def below(self, path: str) -> str:
        """Give an absolute path of the process as one of the guest."""
        inside = folded(path)
        return f"{self.root}{inside}".rstrip("/") or "/" if self.root else inside

    def enter(self, path: str) -> None:
        """Make a directory the root (chroot)."""
        self.root = "" if path == "/" else path


def folded(path: str) -> str:
    """Fold ``.``, ``..`` and doubled slashes."""
    if not path:
        return path
    result = posixpath.normpath(path)
    return result[1:] if result.startswith("//") else result
