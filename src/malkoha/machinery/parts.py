"""Makes the two costly parts of an image and keeps them: the guest's file system and the build root.

A part lies under the hash of all that it was made from, is made in a scratch folder and renamed when complete, so that
a build that was interrupted takes up what was finished. Guest and build root always hold the same kernel.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import struct
import time
import uuid
from collections.abc import Sequence
from pathlib import Path

import msgspec

from malkoha.errors import ImageError
from malkoha.machinery import bootstrap, host_tools, initrd, kallsyms, recipe
from malkoha.machinery.mirror import Mirror
from malkoha.progress import Progress

PARTITION_START = 1 << 20
"""Where the file system begins on the disk, in bytes: behind the partition table, as Debian's installer does it."""

_INODES = 262144


class Part(msgspec.Struct, frozen=True, kw_only=True):
    """What part.json tells about a finished part."""

    kernel_release: str
    packages: dict[str, str]
    """Installed package -> version."""
    sources: tuple[str, ...]
    releases: tuple[str, ...]
    """SHA-256 and name of each InRelease file that the packages were taken by."""


def digest(*inputs: object) -> str:
    """Name a set of inputs: 20 hexadecimal digits of the SHA-256 of their JSON form."""
    return hashlib.sha256(msgspec.json.encode(inputs, order="deterministic")).hexdigest()[:20]


def read(folder: Path) -> Part | None:
    """Return what is known of the part in ``folder``, or None when it is not there or not readable."""
    try:
        return msgspec.json.decode((folder / "part.json").read_bytes(), type=Part)
    except (OSError, msgspec.MsgspecError):
        return None


def decode_path(kind: type, value: object) -> Path:
    """Let msgspec read a Path, which it stores as text (its ``dec_hook``)."""
    if kind is not Path or not isinstance(value, str):
        raise ValueError("not a path")
    return Path(value)


class Workshop:
    """Makes parts below ``images``; the caller holds the build lock and gives an empty scratch folder."""

    def __init__(self, images: Path, scratch: Path, mirror: Mirror, suite: str, progress: Progress) -> None:
        self._parts = images / "parts"
        self._parts.mkdir(parents=True, exist_ok=True)
        self._images = images
        self._scratch = scratch
        self._mirror = mirror
        self._suite = suite
        self._progress = progress

    def both(self, packages: Sequence[str], disk_gb: int) -> tuple[Path, Path]:
        """Return the folders of guest and build root, made side by side as far as they are missing.

        ``packages`` are all of the guest's. When a kept part has another kernel than the new one it is made again.
        """
        wanted = sorted(set(packages))
        guest = self._parts / f"guest-{digest(recipe_inputs(self._suite), wanted, disk_gb)}"
        builder = f"build-{digest(build_inputs(self._suite))}-"
        if read(guest) is None:
            self._make(guest=(guest, wanted, disk_gb), builder=builder if self._any(builder) is None else None)
        for _ in range(2):
            kernel = _known(guest).kernel_release
            build = self._parts / f"{builder}{kernel}"
            if read(build) is not None:
                return guest, build
            self._make(guest=None, builder=builder)
            if read(build) is not None:
                return guest, build
            # the mirror has a newer kernel than the guest that was kept
            shutil.rmtree(guest)
            self._make(guest=(guest, wanted, disk_gb), builder=None)
        raise ImageError(
            "the guest and the build root have different kernels",
            "the mirror changed while they were made",
            "try again",
        )

    def _any(self, prefix: str) -> Path | None:
        return next((folder for folder in self._parts.glob(f"{prefix}*") if read(folder) is not None), None)

    def _make(self, *, guest: tuple[Path, list[str], int] | None, builder: str | None) -> None:
        roots = []
        if guest is not None:
            roots.append(guest_root(self._suite, guest[1], self._scratch / "guest"))
        if builder is not None:
            roots.append(build_root(self._suite, self._scratch / "build"))
        bootstrap.make(roots, self._mirror, self._scratch, self._progress, log=self._images / "build.log")
        if builder is not None:
            self._finish_build(builder)
        if guest is not None:
            self._finish_guest(guest[0], guest[2])

    def _finish_build(self, prefix: str) -> None:
        self._progress.step("reading the kernel's symbols")
        root = self._scratch / "build"
        part = self._describe(root)
        made = self._scratch / "part-build"
        made.mkdir()
        (made / "System.map").write_text(kallsyms.system_map(root / "boot" / f"vmlinuz-{part.kernel_release}"))
        root.rename(made / "root")
        self._keep(made, part, self._parts / f"{prefix}{part.kernel_release}")

    def _finish_guest(self, folder: Path, disk_gb: int) -> None:
        self._progress.step("writing the guest's disk")
        root = self._scratch / "guest"
        part = self._describe(root)
        made = self._scratch / "part-guest"
        made.mkdir()
        shutil.copyfile(root / "boot" / f"vmlinuz-{part.kernel_release}", made / "kernel")
        drivers = root / "lib" / "modules" / part.kernel_release / "kernel" / "drivers" / "block"
        initrd.write_initrd(
            made / "initrd", busybox=(root / "usr/bin/busybox").read_bytes(), virtio_blk=initrd.read_module(drivers)
        )
        shutil.copyfile(made / "initrd", root / "boot" / f"initrd.img-{part.kernel_release}")
        # mmdebstrap empties it at the very end, and systemd would take each boot for the first one
        (root / "etc/machine-id").write_text(f"{uuid.uuid4().hex}\n")
        make_disk(root, made / "disk.raw", disk_gb, folder.name)
        self._keep(made, part, folder)
        remove_tree(root)

    def _describe(self, root: Path) -> Part:
        releases = self._scratch / f"{root.name}.releases"
        return Part(
            kernel_release=kernel_release(root),
            packages=installed(root),
            sources=self._mirror.shown,
            releases=tuple(releases.read_text().splitlines()) if releases.exists() else (),
        )

    @staticmethod
    def _keep(made: Path, part: Part, folder: Path) -> None:
        (made / "part.json").write_bytes(msgspec.json.format(msgspec.json.encode(part)))
        if folder.exists():
            remove_tree(folder)
        made.rename(folder)


def _known(folder: Path) -> Part:
    part = read(folder)
    if part is None:
        raise ImageError("a part of the image vanished while it was built", str(folder), "try again")
    return part


def recipe_inputs(suite: str) -> tuple[object, ...]:
    """Return all of the recipe that shapes the guest's file system."""
    return recipe.VERSION, suite, recipe.FILES, recipe.HOME_FILES, recipe.SETUP, initrd.INIT, os.uname().machine


def build_inputs(suite: str) -> tuple[object, ...]:
    """Return all of the recipe that shapes the build root."""
    return recipe.VERSION, suite, recipe.BUILD_PACKAGES, recipe.BUILD_SETUP, os.uname().machine


def guest_root(suite: str, packages: Sequence[str], folder: Path) -> bootstrap.Root:
    """Describe the guest's root file system."""
    files = {path: (mode, text.encode()) for path, (mode, text) in recipe.FILES.items()}
    for path, (mode, text) in recipe.HOME_FILES.items():
        files[f"/tmp/home-files/{path}"] = (mode, text.encode())  # noqa: S108  (in the guest)
    return bootstrap.Root(
        name="guest",
        folder=folder,
        suite=suite,
        variant="important",
        packages=packages,
        overlay=bootstrap.overlay(files),
        script=recipe.SETUP,
    )


def build_root(suite: str, folder: Path) -> bootstrap.Root:
    """Describe the root file system that tracer modules are compiled in."""
    return bootstrap.Root(
        name="build root",
        folder=folder,
        suite=suite,
        variant="apt",
        packages=recipe.BUILD_PACKAGES,
        script=recipe.BUILD_SETUP,
    )


def kernel_release(root: Path) -> str:
    """Return the release of the one kernel installed in ``root``, as uname -r would tell."""
    found = sorted(path.name.removeprefix("vmlinuz-") for path in (root / "boot").glob("vmlinuz-*"))
    if len(found) != 1:
        raise ImageError("the guest's kernel is not clear", f"found {', '.join(found) or 'none'} in /boot")
    return found[0]


def installed(root: Path) -> dict[str, str]:
    """Return package -> version from dpkg's status file in ``root``."""
    found = {}
    for stanza in (root / "var/lib/dpkg/status").read_text(encoding="utf-8").split("\n\n"):
        fields = dict(line.split(": ", 1) for line in stanza.splitlines() if ": " in line and not line.startswith(" "))
        if fields.get("Status", "").endswith(" installed"):
            found[fields["Package"]] = fields["Version"]
    return found


def make_disk(root: Path, disk: Path, disk_gb: int, seed: str) -> None:
    """Write a raw disk of ``disk_gb`` GiB: one partition with an ext4 file system that holds ``root``."""
    size = disk_gb << 30
    first = PARTITION_START // 512
    entry = struct.pack("<B3sB3sII", 0x80, b"\xfe\xff\xff", 0x83, b"\xfe\xff\xff", first, size // 512 - first)
    label = hashlib.sha256(seed.encode()).digest()
    with disk.open("wb") as file:
        file.truncate(size)
        file.seek(440)
        file.write(label[:4] + b"\0\0" + entry + bytes(48) + b"\x55\xaa")
    command = [
        *(
            "mke2fs",
            "-q",
            "-F",
            "-t",
            "ext4",
            "-d",
            str(root),
            "-m",
            "1",
            "-N",
            str(_INODES),
            "-U",
            filesystem_uuid(seed),
        ),
        *("-E", f"offset={PARTITION_START},lazy_itable_init=0,lazy_journal_init=0,root_owner=0:0", str(disk)),
        f"{(size - PARTITION_START) // 1024}k",
    ]
    try:
        host_tools.run(host_tools.isolated(command))
    except host_tools.FailedError as failed:
        raise bootstrap.explain("guest's disk", failed.lines, disk) from failed


def filesystem_uuid(seed: str) -> str:
    """Return the UUID of the guest's root file system: the same for the same part."""
    return str(uuid.uuid5(uuid.NAMESPACE_OID, seed))


def remove_tree(folder: Path) -> None:
    """Delete a folder that may hold files of subordinate users, and that a dying tool may still write to."""
    for last in (False, False, True):
        try:
            shutil.rmtree(folder)
        except FileNotFoundError:
            if not folder.exists():
                return
        except OSError:
            if os.geteuid() != 0:
                host_tools.run(host_tools.isolated(["rm", "-rf", "--", str(folder)]))
            elif last:
                raise
        else:
            return
        time.sleep(0.2)
