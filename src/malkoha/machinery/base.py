"""The contract of a machine driver, and the one way to run a machine.

In: a driver that knows how to bring one guest up, cold or from a snapshot. Out: a running guest with a channel to its
agent and a view of its memory, and the promise that it is stopped whatever happens.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from contextlib import contextmanager
from typing import TYPE_CHECKING, ClassVar, Literal, TypeVar

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from malkoha.machinery.memory import GuestMemory
    from malkoha.machinery.snapshot import Snapshot

State = Literal["running", "paused", "off", "dead"]


class Machinery(ABC):
    """One guest and the driver that runs it; used by one thread, ``state`` and ``stop`` by any.

    A machine is started once: it goes from "off" through "paused" and "running" to "off" or "dead" and is thrown away.
    """

    name: ClassVar[str]

    @abstractmethod
    def start(self) -> None:
        """Boot from cold and return as soon as the guest's processor runs; MachineError when it does not."""

    @abstractmethod
    def restore(self, snapshot: Snapshot) -> None:
        """Bring the guest to the saved moment and let it run; MachineError when the snapshot is missing or unfit."""

    @abstractmethod
    def stop(self) -> None:
        """End the guest and free all that it held on the host but its memory; may be called at any time, repeatedly."""

    @abstractmethod
    def close(self) -> None:
        """Stop, then give the guest's memory back as well."""

    @abstractmethod
    def state(self) -> State:
        """Tell how the guest is: "off" when it has ended in an orderly way, "dead" when its driver was lost."""

    @property
    @abstractmethod
    def agent_socket(self) -> Path:
        """UNIX stream socket that leads to the agent's port, to be connected by one client at a time."""

    @property
    @abstractmethod
    def memory(self) -> GuestMemory:
        """Memory of the guest; stays readable after the guest has ended, until ``close``."""


M = TypeVar("M", bound=Machinery)


@contextmanager
def running(machine: M, snapshot: Snapshot | None = None) -> Iterator[M]:
    """Start or restore a machine, yield it, and always stop it.

    Its memory stays readable within the block even when the guest has ended; it is closed on leaving.
    """
    try:
        if snapshot is None:
            machine.start()
        else:
            machine.restore(snapshot)
        yield machine
    finally:
        machine.close()
