"""What a signature is: it sees the calls that it asks for, in order, and returns evidence.

class ReadsSomething(Signature):
    name = "reads_something"
    description = "Reads something that programs of its kind do not need"
    severity = 2
    ttps: ClassVar[Mapping[str, str]] = {"T1003.008": "/etc/passwd and /etc/shadow"}
    syscalls = OPENS

    def on_event(self, event: Event, scene: Scene) -> Evidence | None:
        path = scene.opened(event)
        return Evidence(path, "file") if path == "/etc/something" else None
"""

from __future__ import annotations

from abc import ABC
from collections.abc import Collection, Iterable, Mapping
from typing import Any, ClassVar

import msgspec

from malkoha.model.event import Event
from malkoha.model.process import Process
from malkoha.trace import descriptors
from malkoha.trace.descriptors import Descriptor, Tables

OPENS = descriptors.OPENS


class Evidence(msgspec.Struct, frozen=True):
    """What an event shows: an indicator (``ioc``) of a kind, with words of explanation where it needs some."""

    ioc: str
    category: str
    description: str = ""


class Scene:
    """The state of the guest at one event: whose it is, and what its paths and descriptors mean then."""

    def __init__(self, tables: Tables, processes: Mapping[int, Process]) -> None:
        self._tables = tables
        self._processes = processes
        self.key = -1
        """Key of the process whose event it is."""

    @property
    def process(self) -> Process | None:
        """The process whose event it is, with all that the whole trace tells of it."""
        return self._processes.get(self.key)

    @property
    def exe(self) -> str:
        """Path of the program that runs at this point."""
        return self._tables.exe(self.key)

    def descriptor(self, fd: Any) -> Descriptor | None:
        """Say what a descriptor of the process refers to."""
        return self._tables.descriptor(self.key, fd)

    def path(self, event: Event, position: int, dirfd: int | None = None) -> str | None:
        """Resolve the path argument at a position, below the directory argument at another; None when unreadable."""
        path = descriptors.path_argument(event, position)
        if path is None:
            return None
        return self._tables.resolve(self.key, path, "AT_FDCWD" if dirfd is None else descriptors.argument(event, dirfd))

    def opened(self, event: Event) -> str | None:
        """Give the path of a call of the open family that succeeded."""
        if event.ret is None or event.ret < 0:
            return None
        return self.path(event, 1, 0) if event.api in ("openat", "openat2") else self.path(event, 0)


def writes(event: Event) -> bool:
    """Tell whether a call of the open family asks for writing."""
    flags = descriptors.open_flags(event)
    return event.api == "creat" or any(flag in flags for flag in ("O_WRONLY", "O_RDWR", "O_TRUNC"))


class Signature(ABC):
    """One rule; an instance lives for one analysis. Whatever is returned becomes a mark of the match."""

    name: ClassVar[str]
    description: ClassVar[str]
    severity: ClassVar[int]
    """1 (worth a look) to 5 (malicious on its own)."""
    ttps: ClassVar[Mapping[str, str]]
    """ATT&CK ids with their names."""
    families: ClassVar[tuple[str, ...]] = ()
    references: ClassVar[tuple[str, ...]] = ()
    syscalls: ClassVar[Collection[str]] = ()
    """The calls that ``on_event`` is given; ``exec`` asks for the events of kind exec."""

    def on_event(self, event: Event, scene: Scene) -> Evidence | None:
        """Judge one call."""
        del event, scene
        return None

    def on_end(self, sections: Mapping[str, Any]) -> Iterable[Evidence]:
        """Judge the sections when all events have passed."""
        del sections
        return ()
