"""Makes the guest's initial file system: one driver, busybox and a script that mounts the disk; nothing else.

Debian's cloud kernel has ext4 and virtio-pci built in and only lacks virtio_blk, so that the 18 MB of a generic initrd
would cost seconds of unpacking and of udev under software emulation for nothing.
"""

from __future__ import annotations

import lzma
import stat
from collections.abc import Iterable
from pathlib import Path

from malkoha.errors import ImageError

ROOT_DEVICE = "/dev/vda1"
INIT = f"""#!/bin/busybox sh
b=/bin/busybox
$b mount -t devtmpfs dev /dev
$b insmod /virtio_blk.ko
i=0
while [ ! -b {ROOT_DEVICE} ] && [ $i -lt 1000 ]; do $b usleep 10000; i=$((i+1)); done
options=rw,relatime,errors=remount-ro,noinit_itable
$b mount -t ext4 -o $options {ROOT_DEVICE} /root || $b echo "no root file system on {ROOT_DEVICE}"
$b umount /dev
exec $b switch_root -c /dev/console /root /sbin/init "$@"
"""


def write_initrd(path: Path, *, busybox: bytes, virtio_blk: bytes) -> None:
    """Write the initrd; ``busybox`` is a static binary, ``virtio_blk`` the unpacked module of the guest's kernel."""
    entries = [
        ("dev", stat.S_IFDIR | 0o755, b""),
        ("root", stat.S_IFDIR | 0o755, b""),
        ("bin", stat.S_IFDIR | 0o755, b""),
        ("bin/busybox", stat.S_IFREG | 0o755, busybox),
        ("virtio_blk.ko", stat.S_IFREG | 0o644, virtio_blk),
        ("init", stat.S_IFREG | 0o755, INIT.encode()),
    ]
    path.write_bytes(cpio(entries))


def read_module(folder: Path, name: str = "virtio_blk") -> bytes:
    """Return an unpacked kernel module of ``folder``; ImageError when it is not there."""
    plain = folder / f"{name}.ko"
    packed = folder / f"{name}.ko.xz"
    if plain.exists():
        return plain.read_bytes()
    if packed.exists():
        return lzma.decompress(packed.read_bytes())
    raise ImageError("the guest's kernel has no disk driver", f"{name}.ko is not in {folder.name}")


def cpio(entries: Iterable[tuple[str, int, bytes]]) -> bytes:
    """Pack (path, mode, content) into a "newc" cpio archive owned by root (kernel: buffer-format.rst)."""
    archive = bytearray()
    for number, (name, mode, content) in enumerate([*entries, ("TRAILER!!!", 0, b"")], start=1):
        raw = name.encode() + b"\0"
        fields = (number, mode, 0, 0, 1, 0, len(content), 0, 0, 0, 0, len(raw), 0)
        archive += b"070701" + b"".join(b"%08x" % field for field in fields) + raw
        archive += bytes(-len(archive) % 4) + content
        archive += bytes(-len(archive) % 4)
    return bytes(archive)
