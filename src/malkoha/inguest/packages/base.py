"""The contract of a package, and what several of them share."""

from __future__ import annotations

import os
import shutil
from abc import ABC, abstractmethod
from typing import ClassVar

HEAD_SIZE = 4096
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


class Unfit(Exception):  # noqa: N818 - the sample does not fit, nothing failed
    """This guest cannot run this sample; the text says why."""


class Package(ABC):
    """How to start one kind of sample."""

    name: ClassVar[str]
    """What ``--package`` calls it."""
    shell: ClassVar[bool] = False
    """Whether sh gets a text that the kernel does not know (ENOEXEC), as when a shell is told to run it."""

    @abstractmethod
    def accepts(self, head: bytes, name: bytes) -> bool:
        """Tell from a sample's first HEAD_SIZE bytes and its file name whether this package is for it."""

    @abstractmethod
    def command(self, sample: bytes, arguments: list[bytes]) -> list[bytes]:
        """Return the argument vector for a sample at an absolute path; Unfit when the guest lacks what it needs.

        Its first item is the absolute path of the program to execute.
        """


class Interpreted(Package):
    """A sample that a program of the guest reads, told by its file name when its first line names none."""

    extensions: ClassVar[tuple[bytes, ...]]
    interpreters: ClassVar[tuple[str, ...]]
    """In order of preference."""
    flags: ClassVar[tuple[bytes, ...]] = ()

    def accepts(self, head: bytes, name: bytes) -> bool:
        del head
        return name.lower().endswith(self.extensions)

    def command(self, sample: bytes, arguments: list[bytes]) -> list[bytes]:
        return [interpreter(*self.interpreters), *self.flags, sample, *arguments]


def interpreter(*names: str) -> bytes:
    """Find the first of these programs in the guest; Unfit when there is none."""
    for name in names:
        found = shutil.which(name, path=PATH)
        if found:
            return os.fsencode(found)
    raise Unfit(f"there is no interpreter {names[0]} in the guest")


def shown(name: bytes) -> str:
    """Show any bytes as text."""
    return name.decode("utf-8", "backslashreplace")
