"""What a user asks for (Sample, Options, Task) and what a run was (Run): the contents of task.json and run.json."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Literal

import msgspec


class Status(StrEnum):
    """State of a task; the values are those of Cuckoo 2's REST interface."""

    PENDING = "pending"
    RUNNING = "running"
    COMPLETED = "completed"
    REPORTED = "reported"
    RECOVERED = "recovered"
    FAILED_ANALYSIS = "failed_analysis"
    FAILED_PROCESSING = "failed_processing"
    FAILED_REPORTING = "failed_reporting"


class Sample(msgspec.Struct, frozen=True, kw_only=True):
    """One file to be analysed; its bytes lie under ``store.sample``, never under a name of its own choosing."""

    name: bytes
    """File name as given (any bytes except NUL and slash), as it will be called in the guest."""
    size: int
    sha256: str
    type: str
    """Description by libmagic, e.g. ``ELF 64-bit LSB executable, x86-64``."""
    md5: str = ""
    sha1: str = ""
    sha512: str = ""
    crc32: str = ""


class Options(msgspec.Struct, frozen=True, kw_only=True):
    """How to run a sample."""

    timeout_s: float = 120.0
    package: str | None = None
    """How to start it; None means: the package that fits."""
    arguments: str = ""
    """Command-line arguments, split like a shell would (shlex)."""
    user: str = "root"
    network: str = "none"
    engine: Literal["tracepoint", "kprobe"] = "tracepoint"
    image: str = "default"
    memory: bool = False
    """Whether memory is kept, of the processes that live at the end and of the machine."""
    time: Literal["real", "skip"] = "real"
    """Whether the guest's time jumps over waiting."""
    extra: dict[str, str] = {}
    """``--option K=V`` pairs for packages and processing modules."""


class Task(msgspec.Struct, frozen=True, kw_only=True):
    """One request for one analysis; its id names the analysis folder."""

    id: int
    category: Literal["file", "url"] = "file"
    target: str
    """Path or URL as the user gave it, undecodable bytes as surrogate escapes are shown with backslashes."""
    sample: Sample | None
    options: Options
    priority: int = 1
    status: Status = Status.PENDING
    added_at: datetime
    started_at: datetime | None = None
    completed_at: datetime | None = None
    error: str = ""
    """The one line that says why the task failed."""
    custom: str = ""
    """Whatever a client wants to find again in the report."""
    owner: str = ""
    tags: list[str] = []
    submit_id: int | None = None
    """The first task of those that were submitted together."""
    deadline: datetime | None = None
    """When it has not been begun by then it is given up."""
    attempts: int = 0
    """How often a worker took it; 0 when none ever did."""


ARCHITECTURE = "x86-64"


def needs(options: Options) -> str:
    """Return what a worker must have for a task, in one word: image, architecture and network mode."""
    return f"{options.image}/{ARCHITECTURE}/{options.network}"


class Timings(msgspec.Struct, kw_only=True):
    """Durations in seconds; None where a stage was not reached. ``first_event_s`` counts from the analysis's start."""

    queued_s: float | None = None
    restore_s: float | None = None
    deliver_s: float | None = None
    run_s: float | None = None
    process_s: float | None = None
    report_s: float | None = None
    total_s: float | None = None
    first_event_s: float | None = None


Ended = Literal["all processes gone", "timeout", "machine off", "tracer stopped", "interrupted", "imported"]


class Files(msgspec.Struct, kw_only=True):
    """How complete the files are that were taken from the guest."""

    taken: int = 0
    """Versions of files; ``bytes`` is what they hold."""
    bytes: int = 0
    refused: int = 0
    """Versions that were not taken because of the limits on number and bytes."""
    untracked: int = 0
    """Writes to files beyond those that the tracer can tell apart."""
    lost: int = 0
    """Records of files that did not come out."""
    limit_size: int = 10 << 20
    """Bytes of one file that are taken at most."""


class Egress(msgspec.Struct, kw_only=True):
    """What went through a route that leads out, and what was kept from it."""

    way: str = ""
    """Through what: an interface, a namespace, a proxy."""
    flows: int = 0
    """Conversations that were let through, answered or not."""
    sent: int = 0
    """Bytes of content from the guest."""
    received: int = 0
    lookups: int = 0
    """Names that were asked of the resolver."""
    blocked: dict[str, int] = {}
    """Rule -> attempts of the guest that it stopped."""
    limits: dict[str, float] = {}
    """A limit that was reached -> when, in seconds since the epoch."""


class NetworkRun(msgspec.Struct, kw_only=True):
    """What network a run had in the end."""

    mode: str = "none"
    """The mode that it really was; it differs from the one asked for where this host could not make that."""
    way: str = ""
    """How it was made."""
    frames: int = 0
    sessions: int = 0
    """Conversations that the simulated internet held, or that were forwarded, DNS queries left out."""
    egress: Egress | None = None
    """None where nothing leads out."""
    remarks: list[str] = []


class Trouble(msgspec.Struct, kw_only=True):
    """One thing that happened to the tracer."""

    at: float
    """Seconds since 1970 on the host's clock, to which the guest's is set when a run begins."""
    what: str


class Run(msgspec.Struct, kw_only=True):
    """Facts about one run in a machine: written as run.json when the run ends, read by processing."""

    engine: Literal["tracepoint", "kprobe"]
    ended: Ended
    lost: int
    """Events that the tracer could not deliver, counted in the guest's kernel."""
    bytes: int
    """Size of the trace as it came from the guest."""
    image: str
    accelerator: Literal["kvm", "tcg", ""]
    architecture: str
    machine: str
    package: str
    command: list[str]
    exit_status: int | None = None
    """wait(2) status of the sample's first process; None while it runs or when unknown."""
    started_at: datetime
    ended_at: datetime
    timings: Timings
    files: Files = msgspec.field(default_factory=Files)
    agent_pid: int = 0
    """Of the agent in the guest, 0 when it was not told."""
    unexercised: list[str] = []
    """To whom the sample left work that nobody had begun when the run ended (trace/ring.py, WAYS)."""
    troubles: list[Trouble] = []
    """What happened to the tracer, and when."""
    errors: list[str] = []
    network: NetworkRun = msgspec.field(default_factory=NetworkRun)
