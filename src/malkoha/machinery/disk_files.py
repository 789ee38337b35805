"""Puts single files into a guest's file system without mounting it: raw disk and files in, qcow2 out.

debugfs(8) of e2fsprogs writes the files, so that no root, no loop device and no mount is needed.
"""

from __future__ import annotations

import re
import shutil
import stat
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath

from malkoha.errors import ImageError
from malkoha.machinery import host_tools
from malkoha.machinery.parts import PARTITION_START

_PATH = re.compile(r"(/[A-Za-z0-9@._+-]+)+\Z")
_WANTED_BY = re.compile(r"^WantedBy=(\S+)$", re.MULTILINE)


def write_into(raw: Path, files: Mapping[str, tuple[int, bytes]], qcow2: Path, scratch: Path) -> None:
    """Write ``qcow2``: the disk ``raw`` with ``files`` (path -> mode, content) in it, owned by root.

    Missing folders are made (0755). A systemd unit with WantedBy= is enabled. ``raw`` stays as it is; ``scratch`` is a
    folder for copies. ImageError when a file did not arrive whole.
    """
    files = {**files, **dict(_enabled_units(files))}
    for path in files:
        if not _PATH.match(path) or ".." in path.split("/"):
            raise ImageError(f"{path!r} cannot be put into the guest", "it is not a plain absolute path")
    work = scratch / "work.raw"
    try:
        host_tools.run(["cp", "--reflink=auto", "--sparse=always", str(raw), str(work)])
        if files:
            _debugfs(work, list(_commands(files, scratch)), write=True)
            _verify(work, files, scratch)
        host_tools.run(["qemu-img", "convert", "-f", "raw", "-O", "qcow2", str(work), str(qcow2)])
    except host_tools.FailedError as failed:
        raise ImageError(
            "the guest's disk could not be written", (failed.lines or ["no output"])[-1], "check the free space"
        ) from failed
    finally:
        work.unlink(missing_ok=True)


def _enabled_units(files: Mapping[str, tuple[int, bytes]]) -> Iterator[tuple[str, tuple[int, bytes]]]:
    for path, (mode, content) in files.items():
        if stat.S_ISLNK(mode) or not re.match(r"/(etc|usr/lib|lib)/systemd/system/[^/]+\.service\Z", path):
            continue
        for target in _WANTED_BY.findall(content.decode("utf-8", "replace")):
            yield (
                f"/etc/systemd/system/{target}.wants/{PurePosixPath(path).name}",
                (stat.S_IFLNK | 0o777, path.encode()),
            )


def _commands(files: Mapping[str, tuple[int, bytes]], scratch: Path) -> Iterator[str]:
    made: set[PurePosixPath] = set()
    for number, (path, (mode, content)) in enumerate(sorted(files.items())):
        for folder in reversed(PurePosixPath(path).parents):
            if folder not in made and str(folder) != "/":
                yield f"mkdir {folder}"
                made.add(folder)
        yield f"rm {path}"
        if stat.S_ISLNK(mode):
            yield f"symlink {path} {content.decode()}"
            continue
        source = scratch / f"file-{number}"
        source.write_bytes(content)
        yield f"write {source} {path}"
        yield f"set_inode_field {path} mode 0{stat.S_IFREG | stat.S_IMODE(mode):o}"
        yield f"set_inode_field {path} uid 0"
        yield f"set_inode_field {path} gid 0"


def _verify(disk: Path, files: Mapping[str, tuple[int, bytes]], scratch: Path) -> None:
    """Read the files back: debugfs complains in words only and ends well whatever happened."""
    regular = {path: content for path, (mode, content) in files.items() if not stat.S_ISLNK(mode)}
    copies = {path: scratch / f"back-{number}" for number, path in enumerate(regular)}
    said = _debugfs(disk, [f"dump {path} {copy}" for path, copy in copies.items()], write=False)
    for path, content in regular.items():
        if not copies[path].exists() or copies[path].read_bytes() != content:
            raise ImageError(f"{path} could not be put into the guest", said.strip()[-200:])
    for file in [*copies.values(), *scratch.glob("file-*")]:
        file.unlink()


def _debugfs(disk: Path, commands: list[str], *, write: bool) -> str:
    script = disk.with_name("debugfs.commands")
    script.write_text("".join(f"{command}\n" for command in commands))
    tool = shutil.which("debugfs", path=host_tools.path_with_sbin()) or "debugfs"
    argv = [tool, *(["-w"] if write else []), "-f", str(script), f"{disk}?offset={PARTITION_START}"]
    done = subprocess.run(argv, capture_output=True, text=True, errors="replace", check=False)
    script.unlink()
    return done.stderr
