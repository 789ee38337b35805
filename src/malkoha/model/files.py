"""Files in a report: the target, what was taken from the guest, and memory."""

from __future__ import annotations

from typing import Any, Literal

import msgspec


class File(msgspec.Struct, kw_only=True):
    """Facts about one file, told without running it."""

    name: str
    path: str
    size: int
    crc32: str
    md5: str
    sha1: str
    sha256: str
    sha512: str
    ssdeep: str | None
    tlsh: str | None = None
    entropy: float | None = None
    """Bits a byte, of its first 16 MiB."""
    type: str
    yara: list[dict[str, Any]] = []
    """Rules that matched: name, meta, and where."""
    urls: list[str] = []


class FileWriter(msgspec.Struct, kw_only=True):
    """A process that wrote a file, or created it without writing (no times)."""

    pid: int
    key: int | None
    """Of the process in ``behavior.processes``; None when the trace does not hold it."""
    process_name: str
    first: float | None
    last: float | None


class Dropped(File, kw_only=True):
    """One version of a file that the sample wrote, up to ``pids`` as in Cuckoo. Size and hashes: of what was kept."""

    filepath: str
    """Its path in the guest when it was taken."""
    pids: list[int]
    """Who wrote it."""
    writers: list[FileWriter]
    writers_total: int
    taken: float
    why: str
    """closed, executed, writer ended, idle, or end of the run."""
    version: int
    """Counted from 1 among the versions of the same file that were taken."""
    true_size: int
    cut: int
    """Bytes behind the limit, which were not taken."""
    missing: int
    """Bytes that could not be had; zeros stand in their place."""
    deleted: bool
    moved_to: str
    """Where the sample moved it later; empty when it did not."""
    mode: str
    uid: int
    binary: bool
    preview: str
    """The beginning of a text, or of a binary file as hexadecimal lines; empty where there were too many files."""


class Buffer(msgspec.Struct, kw_only=True):
    """What an interpreter read from its standard input: a script from a pipe, a here-document, a socket."""

    pid: int
    key: int
    process_name: str
    first: float
    size: int
    text: str
    cut: int
    """Bytes of it that are not in ``text``."""
    source: str
    """Where it came from: file, processes, connection or unknown."""
    path: str
    """The file or the address, empty where it is neither."""
    source_pids: list[int]
    """Processes at the other end."""


class MemoryRegion(msgspec.Struct, kw_only=True):
    """One mapping of a process; ``size`` bytes of it lie at ``offset`` of the process's file."""

    addr: str
    end: str
    size: int
    offset: int
    protect: str
    path: str


class ProcessMemory(msgspec.Struct, kw_only=True):
    """The memory of one process at the end of the run."""

    pid: int
    key: int | None
    process_name: str
    taken: float
    file: str
    """Within the analysis folder."""
    size: int
    cut: int
    """Bytes of its mappings that are not there: behind the limit, or without memory."""
    regions: list[MemoryRegion]


class MachineMemory(msgspec.Struct, kw_only=True, omit_defaults=True, frozen=True):
    """The memory of the machine after the run; empty without ``--memory``."""

    file: str = ""
    """Within the analysis folder; sparse, byte for byte as the machine had it."""
    size: int = 0
    used: int = 0
    """Bytes that are on the disk."""
    ended_before: int = 0
    """Processes of the sample that had ended before, so that their memory could not be read."""


class Target(msgspec.Struct, kw_only=True, omit_defaults=True):
    """What was analysed: a file or a URL."""

    category: Literal["file", "url"]
    file: File | None = None
    url: str | None = None
