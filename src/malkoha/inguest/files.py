"""Files that the host puts into the guest and takes out of it, in pieces of bounded size."""

from __future__ import annotations

import contextlib
import os
import stat

from . import protocol
from .refused import Refused

Head = protocol.Head

MAX_NAMES = 4096


class Files:
    """At most one file is being written at a time: ``put`` begins it, ``more`` goes on with it.

    The frame that has ``mode`` and ``size`` in its head is the last one, and the only one that is answered. An error in
    the middle is kept until then, and the rest of the file is dropped.
    """

    def __init__(self) -> None:
        self.file = -1
        self.path = b""
        self.error: OSError | None = None

    def abandon(self) -> None:
        """Remove a file that did not become whole."""
        if self.file >= 0:
            os.close(self.file)
            self.file = -1
            with contextlib.suppress(OSError):
                os.unlink(self.path)
        self.error = None

    def put(self, head: Head, body: bytes) -> Head:
        """Begin a new file; nothing that exists is ever overwritten."""
        self.abandon()
        self.path = protocol.unpack_bytes(head["path"])
        try:
            os.makedirs(os.path.dirname(self.path), exist_ok=True)
            self.file = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        except OSError as error:
            self.error = error
        return self.more(head, body)

    def more(self, head: Head, body: bytes) -> Head:
        """Write the next piece; after the last one give the file its mode."""
        view = memoryview(body)
        try:
            while view and self.error is None:
                view = view[os.write(self.file, view) :]
        except OSError as error:
            self.abandon()
            self.error = error
        if "mode" in head:
            self.finish(head)
        return {}

    def finish(self, head: Head) -> None:
        """Give the file its mode when it is whole, remove it when not."""
        if self.error is not None:
            error, self.error = self.error, None
            raise error
        if self.file < 0:
            raise Refused("no file was begun")
        size = os.fstat(self.file).st_size
        if size != head["size"]:
            self.abandon()
            raise Refused(f"{size} of {head['size']} bytes arrived")
        os.fchmod(self.file, head["mode"])
        os.close(self.file)
        self.file = -1

    def get(self, head: Head, body: bytes) -> Head:
        """Read one piece of a regular file; ``total`` is its size now."""
        # O_NONBLOCK: a named pipe would wait for a writer for ever
        file = os.open(protocol.unpack_bytes(head["path"]), os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
        try:
            facts = os.fstat(file)
            if not stat.S_ISREG(facts.st_mode):
                raise Refused("not a regular file")
            piece = os.pread(file, min(head["size"], protocol.MAX_BODY), head["offset"])
        finally:
            os.close(file)
        return {"body": piece, "total": facts.st_size}

    def listdir(self, head: Head, body: bytes) -> Head:
        """List a folder: packed name, mode, size; at most MAX_NAMES, and how many there are."""
        folder = protocol.unpack_bytes(head["path"])
        names = sorted(os.listdir(folder))
        entries: list[tuple[str, int, int]] = []
        room = protocol.MAX_HEAD // 2
        for name in names[:MAX_NAMES]:
            with contextlib.suppress(OSError):
                facts = os.lstat(os.path.join(folder, name))
                entries.append((protocol.pack_bytes(name), facts.st_mode, facts.st_size))
                room -= 2 * len(name) + 48
                if room < 0:
                    break
        return {"entries": entries, "total": len(names)}
