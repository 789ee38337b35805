"""Throw-away disks: an empty qcow2 without a name, which QEMU lays over a read-only disk.

The file is made with O_TMPFILE and handed to QEMU as a descriptor, so that nothing can stay behind: the kernel frees it
with the last process that holds it. Format: docs/interop/qcow2.txt of QEMU.
"""

from __future__ import annotations

import os
import struct
import tempfile
from pathlib import Path

from malkoha.errors import HostError, MachineError

CLUSTER_BITS = 16
CLUSTER = 1 << CLUSTER_BITS
MAGIC = 0x514649FB
HEADER = struct.Struct(">IIQIIQIIQQIIQQQQII")
BYTES_PER_L2 = CLUSTER * CLUSTER // 8
"""What one entry of the first-level table covers: 512 MiB."""


def virtual_size(disk: Path) -> int:
    """Return the size in bytes that a guest sees; MachineError when the file is not a qcow2 disk."""
    try:
        with disk.open("rb") as file:
            head = file.read(32)
    except OSError as error:
        raise MachineError(f"The disk {disk} cannot be read", error.strerror or str(error)) from error
    if len(head) < 32 or struct.unpack_from(">I", head)[0] != MAGIC:
        raise MachineError(f"The disk {disk} is damaged", "it is not in qcow2 format")
    return int(struct.unpack_from(">Q", head, 24)[0])


def empty_qcow2(size: int) -> bytes:
    """Return a qcow2 disk of ``size`` bytes that holds nothing, to be laid over another one."""
    entries = -(-size // BYTES_PER_L2)
    table_clusters = -(-entries * 8 // CLUSTER)
    used = 3 + table_clusters
    if used > CLUSTER // 2:
        raise MachineError("The disk is too large for an overlay", f"{size} bytes")
    header = HEADER.pack(
        MAGIC, 3, 0, 0, CLUSTER_BITS, size, 0, entries, 3 * CLUSTER, CLUSTER, 1, 0, 0, 0, 0, 0, 4, HEADER.size
    )
    refcount_table = struct.pack(">Q", 2 * CLUSTER)
    refcounts = struct.pack(">H", 1) * used
    return b"".join(part.ljust(CLUSTER, b"\0") for part in (header, refcount_table, refcounts)) + bytes(
        table_clusters * CLUSTER
    )


def nameless(folder: Path) -> int:
    """Return the descriptor of a new file on the file system of ``folder`` that never had a name (or has lost it)."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    try:
        return os.open(folder, os.O_TMPFILE | os.O_RDWR | os.O_CLOEXEC, 0o600)
    except OSError:
        # file systems without O_TMPFILE (NFS, some overlays)
        fd, name = tempfile.mkstemp(dir=folder)
        Path(name).unlink()
        return fd


def overlay(folder: Path, size: int, reserve: int) -> int:
    """Return the descriptor of an empty overlay of ``size`` bytes; HostError when ``reserve`` bytes are not free."""
    try:
        fd = nameless(folder)
    except OSError as error:
        raise HostError("No overlay for the machine's disk", f"{folder}: {error.strerror}") from error
    try:
        space = os.fstatvfs(fd)
        free = space.f_bavail * space.f_frsize
        if free < reserve:
            raise HostError(
                f"The disk under {folder} is nearly full",
                f"{free >> 20} MB free, a machine may need {reserve >> 20} MB",
                "free some space, or set MALKOHA_HOME to a larger disk",
            )
        os.pwrite(fd, empty_qcow2(size), 0)
    except OSError as error:
        os.close(fd)
        raise HostError("No overlay for the machine's disk", f"{folder}: {error.strerror}") from error
    except HostError:
        os.close(fd)
        raise
    return fd
