import json
import os
from dataclasses import replace
from pathlib import Path

import pytest

from malkoha.errors import MachineError
from malkoha.machinery import disk, snapshot
from malkoha.machinery.command import MachineSpec
from malkoha.machinery.qemu import Machine
from malkoha.store import Home

PAGE = 4096


@pytest.fixture
def spec(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> MachineSpec:
    (tmp_path / "bin").mkdir()
    program = tmp_path / "bin" / "qemu"
    program.write_text("#!/bin/sh\nexit 1\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")
    for name in ("kernel", "initrd"):
        (tmp_path / name).write_text(name)
    (tmp_path / "disk").write_bytes(disk.empty_qcow2(1 << 20))
    return MachineSpec(tmp_path / "kernel", tmp_path / "initrd", tmp_path / "disk", memory_mb=1, binary="qemu")


@pytest.fixture
def folder(tmp_path: Path, spec: MachineSpec) -> Path:
    """A whole snapshot as far as can be seen from outside."""
    folder = tmp_path / "snapshot"
    folder.mkdir()
    (folder / "state.bin").write_bytes(b"state")
    (folder / "ram.bin").write_bytes(bytes(1 << 20))
    (folder / "disk.qcow2").write_bytes(disk.empty_qcow2(1 << 20))
    record = {
        "format": snapshot.FORMAT,
        "fingerprint": snapshot.fingerprint(spec),
        "memory_mb": 1,
        "state_bytes": 5,
        "ram_bytes": 1 << 20,
        "ram_used": 0,
        "disk_bytes": (folder / "disk.qcow2").stat().st_size,
    }
    (folder / "snapshot.json").write_text(json.dumps(record))
    return folder


def test_a_whole_snapshot_is_opened(folder: Path) -> None:
    assert snapshot.open_snapshot(folder).memory_mb == 1


def test_a_missing_snapshot_is_named(tmp_path: Path) -> None:
    with pytest.raises(MachineError, match="no snapshot at .*absent"):
        snapshot.open_snapshot(tmp_path / "absent")


@pytest.mark.parametrize("part", ["state.bin", "ram.bin", "disk.qcow2"])
def test_a_part_that_is_missing_or_cut_off_is_named(folder: Path, part: str) -> None:
    os.truncate(folder / part, 3)
    with pytest.raises(MachineError, match=part):
        snapshot.open_snapshot(folder)
    (folder / part).unlink()
    with pytest.raises(MachineError, match=part):
        snapshot.open_snapshot(folder)


@pytest.mark.parametrize("text", ["", "{", "[]", '{"format": "x"}'])
def test_a_damaged_description_is_told(folder: Path, text: str) -> None:
    (folder / "snapshot.json").write_text(text)
    with pytest.raises(MachineError, match="damaged"):
        snapshot.open_snapshot(folder)


def test_a_snapshot_of_another_format_is_told(folder: Path) -> None:
    record = json.loads((folder / "snapshot.json").read_text()) | {"format": 99}
    (folder / "snapshot.json").write_text(json.dumps(record))
    with pytest.raises(MachineError, match="another malkoha"):
        snapshot.open_snapshot(folder)


def test_a_snapshot_of_another_machine_is_refused_before_qemu_starts(
    tmp_path: Path, folder: Path, spec: MachineSpec
) -> None:
    machine = Machine(replace(spec, cpus=2), Home(tmp_path / "home"))
    with pytest.raises(MachineError, match="another machine"):
        machine.restore(snapshot.open_snapshot(folder))
    assert machine.pid is None


def test_the_fingerprint_follows_what_the_state_depends_on(tmp_path: Path, spec: MachineSpec) -> None:
    known = snapshot.fingerprint(spec)
    assert snapshot.fingerprint(spec) == known
    moved = tmp_path / "moved"
    spec.kernel.rename(moved)
    assert snapshot.fingerprint(replace(spec, kernel=moved)) == known
    changed = [replace(spec, memory_mb=2, kernel=moved), replace(spec, cpus=3, kernel=moved)]
    changed += [replace(spec, append="x", kernel=moved), replace(spec, accelerator="kvm", kernel=moved)]
    prints = {snapshot.fingerprint(one) for one in changed}
    assert len(prints) == 4
    assert known not in prints
    os.utime(tmp_path / "bin" / "qemu", (1, 1))
    assert snapshot.fingerprint(replace(spec, kernel=moved)) != known


def test_a_fingerprint_needs_the_image(spec: MachineSpec) -> None:
    spec.kernel.unlink()
    with pytest.raises(MachineError, match="not complete"):
        snapshot.fingerprint(spec)
