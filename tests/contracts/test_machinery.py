"""What every machine driver keeps, run on QEMU and on a stand-in."""

from __future__ import annotations

import contextlib
import socket
import threading
from abc import ABC, abstractmethod
from pathlib import Path

import pytest

from malkoha.errors import MachineError
from malkoha.machinery import Machinery, running
from malkoha.machinery.image import Image
from malkoha.machinery.qemu import Machine
from malkoha.machinery.snapshot import Snapshot, save
from malkoha.store import Home
from tests.contracts.standin import StandIn
from tests.live.shell_guest import Shell, shell_spec


class Rig(ABC):
    """Makes machines of one driver."""

    @abstractmethod
    def make(self) -> Machinery: ...

    @abstractmethod
    def save(self, machine: Machinery, folder: Path) -> Snapshot: ...


class StandInRig(Rig):
    def make(self) -> Machinery:
        return StandIn()

    def save(self, machine: Machinery, folder: Path) -> Snapshot:
        assert isinstance(machine, StandIn)
        return machine.save(folder)


class QemuRig(Rig):
    def __init__(self, image: Image, folder: Path) -> None:
        self.home = Home(folder / "home")
        self.spec = shell_spec(image, folder)

    def make(self) -> Machinery:
        return Machine(self.spec, self.home)

    def save(self, machine: Machinery, folder: Path) -> Snapshot:
        assert isinstance(machine, Machine)
        return save(machine, folder)


@pytest.fixture(scope="module", params=["stand-in", pytest.param("qemu", marks=pytest.mark.live)])
def rig(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Rig:
    if request.param == "stand-in":
        return StandInRig()
    return QemuRig(request.getfixturevalue("image"), tmp_path_factory.mktemp("qemu"))


@pytest.fixture(scope="module")
def snapshot(rig: Rig, tmp_path_factory: pytest.TempPathFactory) -> Snapshot:
    """A machine saved while its agent was ready and a byte at a quiet place of its memory was 42."""
    machine = rig.make()
    with running(machine):
        with Shell(machine) as shell:
            shell.ask("echo ready")
        machine.memory.write(QUIET, b"\x2a")
        return rig.save(machine, tmp_path_factory.mktemp("snapshots") / "one")


QUIET = 0x500
"""An address in the BIOS data area that no kernel uses."""


def test_a_machine_goes_from_off_over_running_to_off(rig: Rig) -> None:
    machine = rig.make()
    assert machine.state() == "off"
    with running(machine):
        assert machine.state() == "running"
    assert machine.state() == "off"


def test_stop_and_close_may_come_at_any_time_and_repeatedly(rig: Rig) -> None:
    machine = rig.make()
    machine.stop()
    machine.stop()
    machine.close()
    machine.close()
    assert machine.state() == "off"


def test_a_machine_is_started_once(rig: Rig) -> None:
    machine = rig.make()
    with running(machine), pytest.raises(MachineError, match="only once"):
        machine.start()
    with pytest.raises(MachineError, match="only once"):
        machine.start()


def test_an_error_in_the_block_stops_the_machine(rig: Rig, snapshot: Snapshot) -> None:
    machine = rig.make()
    with pytest.raises(ZeroDivisionError), running(machine, snapshot):
        raise ZeroDivisionError
    assert machine.state() == "off"


def test_nothing_is_there_before_the_start(rig: Rig) -> None:
    machine = rig.make()
    with pytest.raises(MachineError):
        _ = machine.agent_socket
    with pytest.raises(MachineError):
        _ = machine.memory


def test_the_agent_answers_and_again_after_the_client_came_back(rig: Rig, snapshot: Snapshot) -> None:
    with running(rig.make(), snapshot) as machine:
        for word in ("first", "second", "third"):
            with Shell(machine) as shell:
                assert word in shell.ask(f"echo {word}")


def test_bytes_sent_before_the_agent_listens_are_not_lost(rig: Rig) -> None:
    with running(rig.make()) as machine, Shell(machine) as shell:
        assert "early" in shell.ask("echo early")


def test_the_client_hears_the_end_of_the_machine(rig: Rig, snapshot: Snapshot) -> None:
    with running(rig.make(), snapshot) as machine, socket.socket(socket.AF_UNIX) as client:
        client.connect(str(machine.agent_socket))
        client.settimeout(20)
        stopper = threading.Timer(0.2, machine.stop)
        stopper.start()
        with contextlib.suppress(ConnectionResetError):
            assert client.recv(1) == b""
        stopper.join()
        with pytest.raises(MachineError):
            _ = machine.agent_socket


def test_memory_outlives_the_guest_until_it_is_closed(rig: Rig, snapshot: Snapshot) -> None:
    machine = rig.make()
    with running(machine, snapshot):
        machine.memory.write(QUIET, b"\x2b")
        machine.stop()
        assert machine.memory.read(QUIET, 1) == b"\x2b"
    with pytest.raises(MachineError):
        machine.memory.read(QUIET, 1)


def test_a_snapshot_serves_several_at_once_that_do_not_see_each_other(rig: Rig, snapshot: Snapshot) -> None:
    with running(rig.make(), snapshot) as one, running(rig.make(), snapshot) as two:
        assert one.memory.read(QUIET, 1) == two.memory.read(QUIET, 1) == b"\x2a"
        one.memory.write(QUIET, b"\x01")
        assert two.memory.read(QUIET, 1) == b"\x2a"
        with Shell(one) as first, Shell(two) as second:
            assert "a" in first.ask("echo a")
            assert "b" in second.ask("echo b")


def test_a_missing_snapshot_is_told(rig: Rig, tmp_path: Path) -> None:
    machine = rig.make()
    with pytest.raises(MachineError, match="no snapshot"), running(machine, Snapshot(tmp_path, "", 0, 0)):
        pass
    assert machine.state() == "off"


def test_a_guest_that_powers_off_is_off(rig: Rig, snapshot: Snapshot) -> None:
    with running(rig.make(), snapshot) as machine, Shell(machine) as shell:
        with pytest.raises((EOFError, ConnectionResetError)):
            shell.ask("poweroff" if machine.name == "stand-in" else "$b poweroff -f")
        for _ in range(100):
            if machine.state() == "off":
                break
            threading.Event().wait(0.05)
        assert machine.state() == "off"
        assert machine.memory.read(QUIET, 1) == b"\x2a"
