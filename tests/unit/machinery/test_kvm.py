import os
import shutil
import stat
import struct
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Literal

import pytest

from malkoha.errors import MachineError
from malkoha.machinery import kvm
from malkoha.store import Home

Install = Callable[[str], str]


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path / "home")


@pytest.fixture
def kernel(tmp_path: Path) -> Path:
    path = tmp_path / "kernel"
    path.write_bytes(b"kernel")
    return path


@pytest.fixture
def qemu(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Install:
    """Return a function that installs a script in place of QEMU; it counts its starts in a file."""
    monkeypatch.setattr(kvm, "DEVICE", tmp_path / "device")
    (tmp_path / "device").write_bytes(b"")
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")

    def install(body: str) -> str:
        path = tmp_path / "qemu"
        path.write_text(f"#!/bin/sh\necho >>{tmp_path}/starts\n{body}\n")
        path.chmod(0o755)
        return "qemu"

    return install


def starts(tmp_path: Path) -> int:
    return len((tmp_path / "starts").read_text().splitlines())


def test_a_guest_that_speaks_proves_kvm_and_is_asked_once(
    home: Home, kernel: Path, qemu: Install, tmp_path: Path
) -> None:
    binary = qemu("echo malkoha-guest-runs >&2; exec sleep 60")
    before = time.monotonic()
    for _ in range(2):
        assert kvm.choose(home, kernel, binary=binary).accelerator == "kvm"
    assert time.monotonic() - before < 5
    assert starts(tmp_path) == 1


def test_silence_means_software_emulation_and_is_remembered(
    home: Home, kernel: Path, qemu: Install, tmp_path: Path
) -> None:
    binary = qemu("exec sleep 60")
    for _ in range(2):
        answer = kvm.choose(home, kernel, binary=binary, timeout_s=0.3)
        assert answer.accelerator == "tcg"
        assert "no sign of life within 0.3 s" in answer.why
    assert starts(tmp_path) == 1


def test_the_reason_of_qemu_is_given(home: Home, kernel: Path, qemu: Install) -> None:
    binary = qemu("echo 'qemu-system-x86_64: failed to initialize kvm' >&2; exit 1")
    assert "failed to initialize kvm" in kvm.choose(home, kernel, binary=binary).why


def test_a_flood_of_output_is_bounded(home: Home, kernel: Path, qemu: Install) -> None:
    binary = qemu("exec cat /dev/zero >&2")
    assert kvm.choose(home, kernel, binary=binary, timeout_s=30).accelerator == "tcg"


def test_another_kernel_is_asked_anew(home: Home, kernel: Path, qemu: Install, tmp_path: Path) -> None:
    binary = qemu("echo malkoha-guest-runs >&2")
    kvm.choose(home, kernel, binary=binary)
    kernel.write_bytes(b"another kernel")
    kvm.choose(home, kernel, binary=binary)
    assert starts(tmp_path) == 2


@pytest.mark.parametrize("damage", [b"", b"{", b"[]", b'{"key": 1}'])
def test_a_damaged_answer_is_asked_anew(home: Home, kernel: Path, qemu: Install, damage: bytes) -> None:
    binary = qemu("echo malkoha-guest-runs >&2")
    home.cache.mkdir(parents=True)
    (home.cache / "kvm.json").write_bytes(damage)
    assert kvm.choose(home, kernel, binary=binary).accelerator == "kvm"


@pytest.mark.parametrize("setting", ["kvm", "tcg"])
def test_the_setting_decides(
    home: Home, kernel: Path, qemu: Install, tmp_path: Path, setting: Literal["kvm", "tcg"]
) -> None:
    binary = qemu("exit 1")
    assert kvm.choose(home, kernel, setting, binary=binary).accelerator == setting
    assert not (tmp_path / "starts").exists()


def test_without_the_device_nothing_is_tried(home: Home, kernel: Path, qemu: Install, tmp_path: Path) -> None:
    binary = qemu("exit 1")
    (tmp_path / "device").unlink()
    answer = kvm.choose(home, kernel, binary=binary)
    assert answer.accelerator == "tcg"
    assert "there is no" in answer.why
    assert not (tmp_path / "starts").exists()


def test_a_missing_kernel_is_an_incomplete_image(home: Home, tmp_path: Path, qemu: Install) -> None:
    binary = qemu("exit 1")
    with pytest.raises(MachineError, match="not complete"):
        kvm.choose(home, tmp_path / "absent", binary=binary)


def test_forgetting_asks_anew(home: Home, kernel: Path, qemu: Install, tmp_path: Path) -> None:
    binary = qemu("exit 1")
    kvm.choose(home, kernel, binary=binary)
    kvm.forget(home)
    kvm.forget(home)
    kvm.choose(home, kernel, binary=binary)
    assert starts(tmp_path) == 2


def test_the_tiny_program_points_at_its_word() -> None:
    # it is never run here: it restarts the computer. tests/live runs it in a guest.
    program = kvm.tiny_program()
    assert program[:4] == b"\x7fELF"
    entry, size = struct.unpack_from("<Q", program, 24)[0], struct.unpack_from("<Q", program, 64 + 32)[0]
    assert size == len(program)
    load = program.index(b"\x48\x8d\x35")
    word = load + 7 + struct.unpack_from("<i", program, load + 3)[0]
    assert program[word:] == kvm.WORD
    assert entry == kvm.BASE + 64 + 56


def test_the_initramfs_holds_an_executable_init(tmp_path: Path) -> None:
    archive = kvm.tiny_initramfs()
    assert archive.startswith(b"070701")
    assert archive.endswith(b"TRAILER!!!\0\0\0\0")
    assert kvm.tiny_program() in archive
    assert len(archive) % 4 == 0
    if shutil.which("cpio"):
        listing = subprocess.run(["cpio", "-itv"], input=archive, capture_output=True, check=True).stdout.decode()
        modes = {line.split()[-1]: line.split()[0] for line in listing.splitlines()}
        assert modes["init"] == "-rwxr-xr-x"
        assert modes["dev"] == stat.filemode(0o040755)
