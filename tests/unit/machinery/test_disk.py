import os
import shutil
import subprocess
from pathlib import Path
from types import SimpleNamespace

import pytest

from malkoha.errors import HostError, MachineError
from malkoha.machinery import disk

GIB = 1 << 30


@pytest.mark.parametrize("size", [1 << 20, GIB, 3 * GIB + 512, 8 << 40])
def test_an_empty_disk_says_its_size(tmp_path: Path, size: int) -> None:
    path = tmp_path / "disk.qcow2"
    path.write_bytes(disk.empty_qcow2(size))
    assert disk.virtual_size(path) == size


@pytest.mark.skipif(shutil.which("qemu-img") is None, reason="qemu-img is not installed")
def test_qemu_img_finds_an_empty_disk_whole(tmp_path: Path) -> None:
    path = tmp_path / "disk.qcow2"
    path.write_bytes(disk.empty_qcow2(600 * GIB))
    result = subprocess.run(["qemu-img", "check", "-f", "qcow2", path], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    assert "No errors were found" in result.stdout


def test_a_disk_beyond_the_first_reference_block_is_refused() -> None:
    with pytest.raises(MachineError, match="too large"):
        disk.empty_qcow2(1 << 62)


@pytest.mark.parametrize("content", [b"", b"QFI\xfb", b"\0" * 512, b"#!/bin/sh\n" + b"x" * 100])
def test_what_is_no_qcow2_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "disk.qcow2"
    path.write_bytes(content)
    with pytest.raises(MachineError, match="damaged"):
        disk.virtual_size(path)


def test_a_missing_disk_is_named(tmp_path: Path) -> None:
    with pytest.raises(MachineError, match="absent"):
        disk.virtual_size(tmp_path / "absent")


def test_an_overlay_has_no_name(tmp_path: Path) -> None:
    fd = disk.overlay(tmp_path / "run", GIB, 0)
    try:
        assert list((tmp_path / "run").iterdir()) == []
        assert os.pread(fd, 4, 0) == b"QFI\xfb"
        assert (tmp_path / "run").stat().st_mode & 0o777 == 0o700
    finally:
        os.close(fd)


def test_a_file_system_without_nameless_files_does_without(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.open

    def refuse(path: Path, flags: int, mode: int = 0o777) -> int:
        if flags & os.O_TMPFILE == os.O_TMPFILE:
            raise OSError(95, "Operation not supported")
        return real(path, flags, mode)

    monkeypatch.setattr(os, "open", refuse)
    fd = disk.nameless(tmp_path)
    os.close(fd)
    assert list(tmp_path.iterdir()) == []


def test_a_full_host_is_told_before_the_machine_starts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "fstatvfs", lambda fd: SimpleNamespace(f_bavail=10, f_frsize=4096))
    before = len(os.listdir("/proc/self/fd"))
    with pytest.raises(HostError, match="nearly full"):
        disk.overlay(tmp_path, GIB, 1 << 20)
    assert len(os.listdir("/proc/self/fd")) == before


def test_a_home_that_cannot_be_written_is_an_error_of_the_host(tmp_path: Path) -> None:
    (tmp_path / "run").write_text("a file stands in the way")
    with pytest.raises(HostError, match="No overlay"):
        disk.overlay(tmp_path / "run", GIB, 0)
