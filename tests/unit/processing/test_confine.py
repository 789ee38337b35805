"""A confined program has no network, ends in time and cannot write without end."""

from __future__ import annotations

from pathlib import Path

import pytest

from malkoha.errors import ProcessingError
from malkoha.processing import confine


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    try:
        confine.run(["true"], tmp_path, timeout_s=30)
    except ProcessingError as error:
        pytest.skip(f"this host confines no helper: {error}")
    return tmp_path


def test_output_and_status(folder: Path) -> None:
    done = confine.run(["sh", "-c", "echo out; echo err >&2; exit 3"], folder, timeout_s=60)
    assert (done.status, done.stdout, done.stderr) == (3, b"out\n", b"err\n")


def test_only_a_loopback_that_is_down(folder: Path) -> None:
    done = confine.run(["cat", "/proc/net/dev"], folder, timeout_s=60)
    names = [line.split(b":")[0].strip() for line in done.stdout.splitlines()[2:]]
    assert names == [b"lo"]


def test_time_is_bounded(folder: Path) -> None:
    with pytest.raises(ProcessingError, match="took too long"):
        confine.run(["sleep", "600"], folder, timeout_s=0.3)


def test_files_are_bounded(folder: Path) -> None:
    confine.run(["sh", "-c", "head -c 100000 /dev/zero > big"], folder, timeout_s=60, file_size=4096)
    assert (folder / "big").stat().st_size <= 4096


def test_a_host_that_cannot_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ProcessingError, match="cannot be confined"):
        confine.run(["true"], tmp_path, timeout_s=5)
