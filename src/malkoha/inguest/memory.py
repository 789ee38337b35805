"""The memory of a process, for the host that wants to keep it: its map, and pieces of what is mapped."""

from __future__ import annotations

import os

from . import protocol

Head = protocol.Head


def maps(head: Head, body: bytes) -> Head:
    """Return /proc/PID/maps, as much of it as a frame holds."""
    with open(f"/proc/{int(head['pid'])}/maps", "rb") as file:
        return {"body": file.read(protocol.MAX_BODY)}


def piece(head: Head, body: bytes) -> Head:
    """Read memory of a process from an address on; less than was asked for where a hole begins."""
    file = os.open(f"/proc/{int(head['pid'])}/mem", os.O_RDONLY | os.O_CLOEXEC)
    try:
        return {"body": os.pread(file, min(head["size"], protocol.MAX_BODY), head["address"])}
    finally:
        os.close(file)
