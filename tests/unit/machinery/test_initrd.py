import lzma
import shutil
import stat
import subprocess
from pathlib import Path

import pytest

from malkoha.errors import ImageError
from malkoha.machinery import initrd


def test_an_empty_archive_ends_with_the_trailer() -> None:
    fields = b"070701" + b"00000001" + b"00000000" * 3 + b"00000001" + b"00000000" * 6 + b"0000000b" + b"00000000"
    assert initrd.cpio([]) == (fields + b"TRAILER!!!\0").ljust(124, b"\0")


@pytest.mark.skipif(shutil.which("cpio") is None, reason="cpio is not installed")
def test_cpio_lists_what_was_packed(tmp_path: Path) -> None:
    initrd.write_initrd(tmp_path / "initrd", busybox=b"\x7fELF busybox", virtio_blk=b"module")
    with (tmp_path / "initrd").open("rb") as file:
        listing = subprocess.run(["cpio", "-it", "--quiet"], stdin=file, capture_output=True, text=True, check=True)
    assert listing.stdout.split() == ["dev", "root", "bin", "bin/busybox", "virtio_blk.ko", "init"]


def test_entries_are_aligned_and_whole(tmp_path: Path) -> None:
    packed = initrd.cpio([("a", stat.S_IFREG | 0o755, b"12345"), ("bcd", stat.S_IFDIR | 0o700, b"")])
    assert len(packed) % 4 == 0
    first = packed[110:112], packed[112:117]
    assert first == (b"a\0", b"12345")
    assert packed[120:126] == b"070701"
    assert packed[14:22] == b"000081ed"


def test_a_packed_driver_is_unpacked(tmp_path: Path) -> None:
    (tmp_path / "virtio_blk.ko.xz").write_bytes(lzma.compress(b"driver"))
    assert initrd.read_module(tmp_path) == b"driver"
    (tmp_path / "virtio_blk.ko").write_bytes(b"plain")
    assert initrd.read_module(tmp_path) == b"plain"


def test_a_missing_driver_is_named(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match=r"virtio_blk\.ko"):
        initrd.read_module(tmp_path)


def test_the_script_mounts_the_disk_and_hands_over() -> None:
    assert initrd.INIT.startswith("#!/bin/busybox sh\n")
    assert f"{initrd.ROOT_DEVICE} /root" in initrd.INIT
    assert initrd.INIT.rstrip().endswith('switch_root -c /dev/console /root /sbin/init "$@"')
