from pathlib import Path
from typing import ClassVar

import pytest

from malkoha.errors import MachineError
from malkoha.machinery.base import Machinery, State, running
from malkoha.machinery.memory import GuestMemory
from malkoha.machinery.snapshot import Snapshot


class Recorder(Machinery):
    """Writes down what is asked of it; its start can fail."""

    name: ClassVar[str] = "recorder"

    def __init__(self, error: Exception | None = None) -> None:
        self.asked: list[str] = []
        self.error = error

    def start(self) -> None:
        self.asked.append("start")
        if self.error is not None:
            raise self.error

    def restore(self, snapshot: Snapshot) -> None:
        self.asked.append(f"restore {snapshot.folder}")

    def stop(self) -> None:
        self.asked.append("stop")

    def close(self) -> None:
        self.asked.append("close")

    def state(self) -> State:
        return "off"

    @property
    def agent_socket(self) -> Path:
        raise MachineError("none")

    @property
    def memory(self) -> GuestMemory:
        raise MachineError("none")


def test_running_starts_yields_and_closes() -> None:
    machine = Recorder()
    with running(machine) as same:
        assert same is machine
        assert machine.asked == ["start"]
    assert machine.asked == ["start", "close"]


def test_running_restores_a_snapshot() -> None:
    machine = Recorder()
    with running(machine, Snapshot(Path("/s"), "", 1, 1)):
        pass
    assert machine.asked == ["restore /s", "close"]


@pytest.mark.parametrize("error", [MachineError("broken"), KeyboardInterrupt(), SystemExit(1)])
def test_running_closes_whatever_happens_in_the_block(error: BaseException) -> None:
    machine = Recorder()
    with pytest.raises(type(error)), running(machine):
        raise error
    assert machine.asked[-1] == "close"


def test_running_closes_after_a_failed_start() -> None:
    machine = Recorder(MachineError("broken"))
    with pytest.raises(MachineError, match="broken"), running(machine):
        pytest.fail("the block must not run")
    assert machine.asked == ["start", "close"]
