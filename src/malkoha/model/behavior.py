"""The section ``behavior`` of a report: processes, their calls, and what they did."""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from malkoha.model.process import Cause


class Call(msgspec.Struct, kw_only=True):
    """One system call as Cuckoo shows it; argument_names, tid, seq, duration and category are malkoha's."""

    type: Literal["apicall"] = "apicall"
    seq: int
    time: float
    duration: float | None = None
    process_name: str
    pid: int
    tid: int
    instruction_pointer: str
    api: str
    category: str
    arguments: dict[str, Any]
    """p0, p1, ... -> text, list or dict of texts."""
    argument_names: list[str]
    """Man-page names in the same order; empty for a call that is not in the table."""
    return_value: str
    status: str
    """Errno by name, empty when the call did not fail."""
    raw: str


class ImageInfo(msgspec.Struct, kw_only=True):
    """One program that a process has run."""

    time: float
    path: str
    command_line: str
    cwd: str = ""


class IdsInfo(msgspec.Struct, kw_only=True):
    """On whose behalf a process acted, and since when."""

    time: float
    uid: int
    euid: int
    gid: int
    egid: int


class ProcessInfo(msgspec.Struct, kw_only=True):
    """One process with its first calls; fields from ``tids`` on are malkoha's."""

    type: Literal["process"] = "process"
    pid: int
    ppid: int
    process_name: str
    command_line: str
    first_seen: float
    calls: list[Call]
    key: int
    """Names the process within the trace, as the column ``process`` of events.parquet does; pids are reused."""
    parent: int | None
    exe: str
    tids: list[int]
    threads: int
    images: list[ImageInfo]
    names: list[str]
    """Every comm that the process bore, in order."""
    ids: list[IdsInfo] = []
    """Its user and group ids, from its start on and where they changed."""
    ended: float | None
    exit_code: int | None
    exit_signal: int | None
    cause: Cause | None = None
    """Why it is here though it is no descendant of the sample: it does work that the sample handed to others."""
    calls_total: int
    """How many calls it made; ``calls`` holds the first of them."""


class Generic(msgspec.Struct, kw_only=True):
    """Cuckoo's short form of a process, with what it touched."""

    pid: int
    ppid: int
    process_name: str
    process_path: str | None
    first_seen: float
    summary: dict[str, list[Any]]


class TreeNode(msgspec.Struct, kw_only=True):
    """A process and what it made."""

    pid: int
    ppid: int
    process_name: str
    command_line: str
    first_seen: float
    track: bool = True
    children: list[TreeNode]
    key: int
    """The same key as in ``processes``."""
    cause: Cause | None = None
    """Such a process stands below the one that is the cause, though that did not make it."""


class Behavior(msgspec.Struct, kw_only=True):
    """What the sample did."""

    generic: list[Generic] = []
    processtree: list[TreeNode] = []
    summary: dict[str, list[Any]] = {}
    """Category -> texts, pairs or named facts; docs/report.md lists the categories."""
    apistats: dict[str, dict[str, int]] = {}
    """pid -> name of the call -> how often; processes that shared a pid are added up."""
    processes: list[ProcessInfo] = []
