"""report.json: Cuckoo's keys and shapes, and what malkoha adds under ``malkoha`` and in documented extra fields.

docs/report.schema.json is made from these structs. Times are seconds since the epoch (UTC) as floats, as in Cuckoo's
own reports. Lists are bounded; ``malkoha.omitted`` says what was left out.
"""

from __future__ import annotations

from typing import Any

import msgspec

from malkoha.model.behavior import Behavior
from malkoha.model.files import Buffer, Dropped, MachineMemory, ProcessMemory, Target
from malkoha.model.matches import Match, Verdict
from malkoha.model.task import Egress, Timings
from malkoha.model.traffic import Network


class MachineInfo(msgspec.Struct, kw_only=True):
    """The machine as Cuckoo describes it."""

    name: str = ""
    label: str = ""
    manager: str = "QEMU"
    status: str = "stopped"
    started_on: str = ""
    shutdown_on: str = ""


class Info(msgspec.Struct, kw_only=True):
    """What was run, when and how."""

    version: str
    added: float
    started: float
    ended: float
    duration: float
    id: int
    category: str
    custom: str = ""
    owner: str = ""
    machine: MachineInfo
    package: str
    platform: str = "linux"
    options: str = ""
    route: str = "none"
    score: float = 0.0


class Debug(msgspec.Struct, kw_only=True):
    """Logs of the run."""

    log: list[str] = []
    action: list[str] = []
    dbgview: list[str] = []
    errors: list[str] = []
    cuckoo: list[str] = []


class TraceInfo(msgspec.Struct, kw_only=True):
    """How complete the trace is."""

    engine: str
    events: int
    lost: int
    bytes: int
    ended: str
    indirect: int = 0
    """Processes that are no descendants of the sample but do work that it handed to others."""
    unexercised: list[str] = []
    """To whom the sample left work that nobody did during the run: cron, at, udev, timer, unit."""
    not_understood: int = 0
    """Lines or records that could not be understood; they stand raw in events.parquet."""


class MachineFacts(msgspec.Struct, kw_only=True):
    """Where the sample ran."""

    image: str
    accelerator: str
    architecture: str


class Output(msgspec.Struct, kw_only=True):
    """The beginning of what the sample printed."""

    stdout: str = ""
    stderr: str = ""
    stdout_bytes: int = 0
    stderr_bytes: int = 0


class Tampering(msgspec.Struct, kw_only=True):
    """One thing that the sample did to what watches it."""

    time: float
    pid: int
    key: int
    what: str


class NetworkFacts(msgspec.Struct, kw_only=True):
    """Which network the sample had, and what passed where it led out."""

    asked: str = "none"
    """The mode that was asked for."""
    mode: str = "none"
    """The mode that it was; another one where this host could not make that."""
    way: str = ""
    """How it was made."""
    egress: Egress | None = None
    """None where nothing leads out."""
    remarks: list[str] = []
    """Why it was another one, which limits were reached, what was left out."""


class Link(msgspec.Struct, kw_only=True):
    """One download of a chain: the analysis that it became, or why it became none."""

    via: int
    """The analysis that downloaded it."""
    depth: int
    """1 for what the first analysis of the chain downloaded."""
    url: str
    name: str
    sha256: str
    size: int
    type: str
    kind: str
    """program, script or archive."""
    id: int | None = None
    """Its own analysis."""
    status: str = ""
    """State of that task."""
    level: str = ""
    """Its verdict, once there is one."""
    score: float | None = None
    signatures: list[str] = []
    why: str = ""
    """Why it has no analysis, or no verdict."""


class Chain(msgspec.Struct, kw_only=True):
    """What was downloaded by an analysis, by those of its downloads, and so on."""

    parent: int | None = None
    """The analysis that downloaded this sample."""
    depth: int = 0
    """How many analyses lie above this one."""
    links: list[Link] = []


class Own(msgspec.Struct, kw_only=True):
    """What malkoha adds to Cuckoo's keys."""

    version: str
    trace: TraceInfo
    timings: Timings
    machine: MachineFacts
    verdict: Verdict
    command: list[str] = []
    exit_status: int | None = None
    output: Output
    network: NetworkFacts = msgspec.field(default_factory=NetworkFacts)
    yara: dict[str, Any] = {}
    """Matches of YARA rules on the sample, its files and its memory."""
    sigma: dict[str, Any] = {}
    """Matches of the user's Sigma rules on the events."""
    processes_total: int = 0
    calls_total: int = 0
    omitted: dict[str, int] = {}
    """What was left out to keep the report small -> how much of it."""
    summary_omitted: dict[str, int] = {}
    """Category of the summary -> how many different entries did not fit."""
    noise: dict[str, list[Any]] = {}
    """What every program's loader, shell and interpreter reads: left out of the summary, by category."""
    chain: Chain = msgspec.field(default_factory=Chain)
    tampering: list[Tampering] = []
    """What the sample did to the agent, the tracer and the kernel under it, in order of time."""
    errors: list[str] = []


class Report(msgspec.Struct, kw_only=True):
    """The whole of report.json."""

    info: Info
    metadata: dict[str, Any] = {}
    target: Target
    static: dict[str, Any] = {}
    strings: list[str] = []
    behavior: Behavior
    network: Network
    dropped: list[Dropped] = []
    buffer: list[Buffer] = []
    extracted: list[Any] = []
    procmemory: list[ProcessMemory] = []
    memory: MachineMemory = MachineMemory()
    screenshots: list[dict[str, Any]] = []
    signatures: list[Match] = []
    debug: Debug
    virustotal: dict[str, Any] = {}
    suricata: dict[str, Any] = {}
    misp: dict[str, Any] = {}
    malkoha: Own
