"""Machines under the real QEMU, with a guest that is nothing but a shell."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from malkoha.errors import MachineError
from malkoha.machinery import kvm, running
from malkoha.machinery.cleanup import sweep
from malkoha.machinery.command import MachineSpec
from malkoha.machinery.image import Image
from malkoha.machinery.qemu import Machine
from malkoha.machinery.snapshot import Snapshot, save
from malkoha.store import Home
from tests.live.shell_guest import Shell, processes, saved, shell_spec

pytestmark = pytest.mark.live
ROOT = Path(__file__).parents[2]
COM1_ADDRESS = 0x400
"""Where the BIOS writes the port of the first serial line."""


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Home:
    return Home(tmp_path_factory.mktemp("machines") / "home")


@pytest.fixture(scope="module")
def spec(image: Image, home: Home) -> MachineSpec:
    return shell_spec(image, home.root)


@pytest.fixture(scope="module")
def snapshot(spec: MachineSpec, home: Home) -> Snapshot:
    return saved(spec, home, "shell")


@pytest.fixture(autouse=True)
def nothing_left(home: Home) -> Iterator[None]:
    files = len(os.listdir("/proc/self/fd"))
    yield
    assert processes(home) == []
    assert not home.run.exists() or list(home.run.iterdir()) == []
    assert len(os.listdir("/proc/self/fd")) <= files


def wait_until_gone(home: Home) -> None:
    deadline = time.monotonic() + 10
    while processes(home) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert processes(home) == []


def test_a_guest_boots_and_has_no_network(spec: MachineSpec, home: Home) -> None:
    machine = Machine(spec, home)
    with running(machine), Shell(machine) as shell:
        assert shell.ask("$b ls /sys/class/net").split() == ["lo"]
        assert "hypervisor" not in shell.ask("$b cat /proc/cpuinfo")
        dmi = shell.ask(
            "$b cat /sys/class/dmi/id/sys_vendor /sys/class/dmi/id/product_name /sys/class/dmi/id/board_name"
        )
        assert dmi.splitlines()[:2] == ["Dell Inc.", "PowerEdge R640"]
        assert "QEMU" not in dmi
        assert os.getsid(machine.pid or 0) == machine.pid
        status = Path(f"/proc/{machine.pid}/status").read_text()
        assert "Seccomp:\t2" in status
    assert b"SeaBIOS" in machine.console


def test_a_restored_guest_goes_on_where_it_was(spec: MachineSpec, home: Home, snapshot: Snapshot) -> None:
    for _ in range(3):
        machine = Machine(spec, home)
        with running(machine, snapshot), Shell(machine) as shell:
            assert shell.ask("echo $v; $b head -c 7 /dev/vda") == "kept\non-disk"
            shell.ask("v=changed; echo changed >/dev/vda; $b sync")
            assert shell.ask("echo $v; $b head -c 7 /dev/vda") == "changed\nchanged"


def test_a_restored_guest_is_not_saved_again(spec: MachineSpec, home: Home, snapshot: Snapshot) -> None:
    # only its own overlay would be kept, not what lies below it
    machine = Machine(spec, home)
    with running(machine, snapshot), pytest.raises(MachineError, match="restored"):
        save(machine, home.snapshots / "again")


def test_a_snapshot_is_never_overwritten(spec: MachineSpec, home: Home, snapshot: Snapshot) -> None:
    machine = Machine(spec, home)
    with running(machine), pytest.raises(MachineError, match="exists already"):
        save(machine, snapshot.folder)


@pytest.mark.parametrize(
    ("command", "reason"),
    [
        ("$b poweroff -f", "guest-shutdown"),
        ("$b reboot -f", "guest-reset"),
        ("echo c >/proc/sysrq-trigger", "guest-panic"),
    ],
)
def test_the_end_of_a_guest_is_seen(
    spec: MachineSpec, home: Home, snapshot: Snapshot, command: str, reason: str
) -> None:
    machine = Machine(spec, home)
    with running(machine, snapshot), Shell(machine) as shell:
        shell.ask("echo mark")
        shell.say(command)
        assert machine.wait(60)
        assert (machine.state(), machine.end_reason) == ("off", reason)
        assert machine.memory.read(COM1_ADDRESS, 2) == b"\xf8\x03"


def test_a_killed_qemu_is_dead_and_its_memory_stays(spec: MachineSpec, home: Home, snapshot: Snapshot) -> None:
    machine = Machine(spec, home)
    with running(machine, snapshot), Shell(machine) as shell:
        shell.ask("echo mark")
        os.kill(machine.pid or 0, signal.SIGKILL)
        assert machine.wait(10)
        assert (machine.state(), machine.end_reason) == ("dead", "killed by signal 9")
        assert machine.memory.read(COM1_ADDRESS, 2) == b"\xf8\x03"


@pytest.mark.parametrize("part", ["state.bin", "disk.qcow2"])
def test_a_snapshot_with_garbage_inside_is_told(
    spec: MachineSpec, home: Home, snapshot: Snapshot, tmp_path: Path, part: str
) -> None:
    folder = tmp_path / "snapshot"
    shutil.copytree(snapshot.folder, folder)
    (folder / part).chmod(0o600)
    size = (folder / part).stat().st_size
    (folder / part).write_bytes(os.urandom(size))
    machine = Machine(spec, home)
    with pytest.raises(MachineError), running(machine, Snapshot(folder, "", 0, 0)):
        pass


def test_a_guest_cannot_write_more_than_its_limit(image: Image, home: Home) -> None:
    machine = Machine(shell_spec(image, home.root, write_limit_mb=32), home)
    with running(machine), Shell(machine) as shell:
        shell.ask("$b dd if=/dev/urandom of=/dev/vda bs=1M count=64; $b sync")
        assert machine.state() == "running"
        assert machine.disk_errors > 0
        assert machine.written <= 33 << 20
        assert shell.ask("echo still here") == "still here\n"


def test_memory_above_4_gib_is_where_the_host_looks(image: Image, home: Home) -> None:
    machine = Machine(shell_spec(image, home.root, memory_mb=3072), home)
    with running(machine), Shell(machine) as shell:
        table = shell.ask("$b dmesg | $b grep BIOS-e820")
        assert "[mem 0x0000000100000000-0x000000013fffffff] usable" in table
        assert machine.memory.offset(0x1_3FFF_F000, 4096) == (3072 << 20) - 4096


@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_nothing_outlives_malkoha(
    spec: MachineSpec, home: Home, snapshot: Snapshot, tmp_path: Path, end: signal.Signals
) -> None:
    code = (
        "import sys, time\n"
        "from pathlib import Path\n"
        "from malkoha.machinery import running\n"
        "from malkoha.machinery.command import MachineSpec\n"
        "from malkoha.machinery.qemu import Machine\n"
        "from malkoha.machinery.snapshot import open_snapshot\n"
        "from malkoha.store import Home\n"
        "kernel, initrd, disk, append, home, snapshot = sys.argv[1:]\n"
        "spec = MachineSpec(Path(kernel), Path(initrd), Path(disk), memory_mb=256, write_limit_mb=512, append=append)\n"
        "with running(Machine(spec, Home(Path(home))), open_snapshot(Path(snapshot))):\n"
        "    print('running', flush=True)\n"
        "    time.sleep(60)\n"
    )
    words = [spec.kernel, spec.initrd, spec.disk, spec.append, home.root, snapshot.folder]
    owner = subprocess.Popen(
        [sys.executable, "-c", code, *map(str, words)],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        cwd=ROOT,
        text=True,
    )
    assert owner.stdout is not None
    assert owner.stdout.readline() == "running\n"
    assert len(processes(home)) == 1
    owner.send_signal(end)
    owner.wait(20)
    owner.stdout.close()
    wait_until_gone(home)
    assert sweep(home) == []


def test_the_probe_for_kvm_knows_a_guest_that_runs(image: Image, home: Home) -> None:
    assert kvm.boots("qemu-system-x86_64", image.kernel, home.run, "tcg", 120) == ""


def test_the_probe_gives_up_in_time(image: Image, home: Home) -> None:
    before = time.monotonic()
    assert "no sign of life" in kvm.boots("qemu-system-x86_64", image.kernel, home.run, "tcg", 0.2)
    assert time.monotonic() - before < 5
