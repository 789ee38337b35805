"""Files put into the guest piece by piece, and what happens when that fails; reading back is bounded."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from malkoha.inguest import protocol
from malkoha.inguest.files import MAX_NAMES, Files
from malkoha.inguest.refused import Refused


def packed(path: Path) -> str:
    return protocol.pack_bytes(os.fsencode(path))


def test_a_file_in_pieces(tmp_path: Path) -> None:
    files, path = Files(), tmp_path / "new" / "file"
    files.put({"path": packed(path)}, b"a")
    files.more({}, b"bc")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    files.more({"mode": 0o755, "size": 4}, b"d")
    assert (path.read_bytes(), stat.S_IMODE(path.stat().st_mode)) == (b"abcd", 0o755)
    with pytest.raises(Refused, match="no file was begun"):
        files.more({"mode": 0o755, "size": 0}, b"")


def test_nothing_is_overwritten(tmp_path: Path) -> None:
    (tmp_path / "old").write_bytes(b"old")
    (tmp_path / "link").symlink_to("nowhere")
    for name in ("old", "link"):
        files = Files()
        files.put({"path": packed(tmp_path / name)}, b"new")
        files.more({}, b"more")
        with pytest.raises(FileExistsError):
            files.more({"mode": 0o600, "size": 7}, b"")
    assert (tmp_path / "old").read_bytes() == b"old"
    assert not (tmp_path / "nowhere").exists()


def test_a_disk_that_is_full_is_told_at_the_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = Files()
    files.put({"path": packed(tmp_path / "f")}, b"abc")

    def full(file: int, data: bytes) -> int:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "write", full)
        files.more({}, b"def")
    files.more({}, b"ghi")
    with pytest.raises(OSError, match="No space left"):
        files.more({"mode": 0o600, "size": 9}, b"")
    assert list(tmp_path.iterdir()) == []


def test_half_a_file_goes_with_its_session(tmp_path: Path) -> None:
    files = Files()
    files.put({"path": packed(tmp_path / "f")}, b"abc")
    files.abandon()
    files.abandon()
    assert list(tmp_path.iterdir()) == []


def test_only_regular_files_are_read(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", Path("/dev/zero"), tmp_path):
        with pytest.raises(Refused, match="not a regular file"):
            Files().get({"path": packed(path), "offset": 0, "size": 1}, b"")


def test_pieces_are_bounded(tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(bytes(protocol.MAX_BODY + 10))
    answer = Files().get({"path": packed(tmp_path / "f"), "offset": 5, "size": 1 << 40}, b"")
    assert (len(answer["body"]), answer["total"]) == (protocol.MAX_BODY, protocol.MAX_BODY + 10)


def test_a_folder_fits_into_a_head(tmp_path: Path) -> None:
    for number in range(1500):
        (tmp_path / f"{number:04}{'ü' * 100}").touch()
    (tmp_path / os.fsdecode(b"\xff")).symlink_to("x")
    answer = Files().listdir({"path": packed(tmp_path)}, b"")
    assert answer["total"] == 1501
    assert 100 < len(answer["entries"]) <= MAX_NAMES
    assert len(protocol.encode(answer)) < protocol.MAX_HEAD
    assert protocol.unpack_bytes(answer["entries"][0][0]).startswith(b"0000")
