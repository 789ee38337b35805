import shutil
import stat
import subprocess
from pathlib import Path

import pytest

from malkoha.errors import ImageError
from malkoha.machinery import disk_files, parts
from malkoha.machinery.host_tools import path_with_sbin

pytestmark = pytest.mark.skipif(
    any(shutil.which(tool, path=path_with_sbin()) is None for tool in ("mke2fs", "debugfs", "qemu-img")),
    reason="e2fsprogs and qemu-utils are not installed",
)


@pytest.fixture
def raw(tmp_path: Path) -> Path:
    root = tmp_path / "root"
    (root / "etc").mkdir(parents=True)
    (root / "etc" / "motd").write_text("old")
    disk = tmp_path / "disk.raw"
    with disk.open("wb") as file:
        file.truncate(64 << 20)
    options = f"offset={parts.PARTITION_START}"
    tool = shutil.which("mke2fs", path=path_with_sbin())
    assert tool is not None
    subprocess.run([tool, "-q", "-F", "-t", "ext4", "-d", root, "-E", options, disk, "60m"], check=True)
    return disk


def _debugfs(qcow2: Path, command: str) -> str:
    plain = qcow2.with_suffix(".check")
    subprocess.run(["qemu-img", "convert", "-O", "raw", qcow2, plain], check=True)
    tool = shutil.which("debugfs", path=path_with_sbin())
    assert tool is not None
    done = subprocess.run(
        [tool, "-R", command, f"{plain}?offset={parts.PARTITION_START}"], capture_output=True, text=True, check=True
    )
    return done.stdout


def test_files_arrive_whole_with_modes_and_folders(raw: Path, tmp_path: Path) -> None:
    before = raw.read_bytes()
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    content = bytes(range(256)) * 5000
    files = {
        "/usr/sbin/tool": (0o755, content),
        "/etc/motd": (0o600, b"new\n"),
        "/etc/link": (stat.S_IFLNK | 0o777, b"/etc/motd"),
        "/etc/systemd/system/a.service": (0o644, b"[Install]\nWantedBy=multi-user.target\n"),
    }
    disk_files.write_into(raw, files, tmp_path / "new.qcow2", scratch)
    disk = tmp_path / "new.qcow2"
    assert _debugfs(disk, "cat /etc/motd") == "new\n"
    assert "Mode:  0755" in _debugfs(disk, "stat /usr/sbin/tool")
    assert f"Size: {len(content)}" in _debugfs(disk, "stat /usr/sbin/tool")
    assert "User:     0" in _debugfs(disk, "stat /usr/sbin/tool")
    assert 'Fast link dest: "/etc/motd"' in _debugfs(disk, "stat /etc/link")
    wanted = _debugfs(disk, "stat /etc/systemd/system/multi-user.target.wants/a.service")
    assert 'Fast link dest: "/etc/systemd/system/a.service"' in wanted
    assert raw.read_bytes() == before
    assert list(scratch.iterdir()) == []


def test_the_file_system_stays_sound(raw: Path, tmp_path: Path) -> None:
    files = {f"/opt/{number}/file": (0o644, b"x" * number * 100) for number in range(60)}
    disk_files.write_into(raw, files, tmp_path / "new.qcow2", tmp_path)
    _debugfs(tmp_path / "new.qcow2", "ls")
    tool = shutil.which("e2fsck", path=path_with_sbin())
    plain = tmp_path / "new.check"
    checked = subprocess.run([str(tool), "-fn", f"{plain}?offset={parts.PARTITION_START}"], check=False)
    assert checked.returncode == 0


def test_a_full_guest_disk_is_an_error(raw: Path, tmp_path: Path) -> None:
    with pytest.raises(ImageError, match="/big could not be put into the guest"):
        disk_files.write_into(raw, {"/big": (0o644, b"x" * (80 << 20))}, tmp_path / "new.qcow2", tmp_path)
    assert not (tmp_path / "work.raw").exists()


@pytest.mark.parametrize("path", ["relative", "/a b", "/a\nrm /etc", "/a/../b", "/", ""])
def test_odd_paths_are_refused(raw: Path, tmp_path: Path, path: str) -> None:
    with pytest.raises(ImageError, match="plain absolute path"):
        disk_files.write_into(raw, {path: (0o644, b"")}, tmp_path / "new.qcow2", tmp_path)
