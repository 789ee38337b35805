"""report.json: Cuckoo's keys and shapes, and what malkoha adds under ``malkoha`` and in documented extra fields.

docs/report.schema.json is made from these structs. Times are seconds since the epoch (UTC) as floats, as in Cuckoo's
own reports. Lists are bounded; ``malkoha.omitted`` says what was left out.
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from malkoha.model.process import Cause
from malkoha.model.task import Egress, Timings

Level = Literal["clean", "suspicious", "malicious"]


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


class Origin(msgspec.Struct, kw_only=True):
    """The call that made a flow: whose it was, and where it stands in the trace."""

    pid: int
    key: int
    process_name: str
    api: str
    seq: int
    cid: int
    """Number of the call among those of its process, as in a signature's mark."""
    note: str = ""


class Connection(msgspec.Struct, kw_only=True):
    """One flow over TCP or UDP, up to ``time`` as in Cuckoo."""

    src: str
    sport: int
    dst: str
    dport: int
    offset: int
    time: float
    duration: float = 0.0
    packets: int = 0
    sent: int = 0
    """Bytes of content from source to destination."""
    received: int = 0
    answered: bool = False
    cause: Origin | None = None
    """None where no call of the sample explains it."""


class Finding(msgspec.Struct, kw_only=True):
    """What the traffic as a whole amounts to."""

    kind: str
    """port_scan, sweep, brute_force, flood, beacon, dns_tunnel, dga, bare_address, exfiltration, download_executed."""
    target: str
    count: int
    description: str
    period_s: float | None = None


class Download(msgspec.Struct, kw_only=True):
    """Content that the sample fetched, with what became of it."""

    url: str
    size: int
    sha256: str
    time: float
    cause: Origin | None = None
    files: list[str] = []
    """Paths in the guest of files with that content."""
    executed: list[int] = []
    """Processes that ran one of those files."""


class Network(msgspec.Struct, kw_only=True):
    """What went over the wire; empty without a network. Fields from ``mode`` on are malkoha's."""

    hosts: list[str] = []
    domains: list[dict[str, str]] = []
    tcp: list[Connection] = []
    udp: list[Connection] = []
    icmp: list[dict[str, Any]] = []
    http: list[dict[str, Any]] = []
    tls: list[dict[str, Any]] = []
    dns: list[dict[str, Any]] = []
    smtp: list[dict[str, Any]] = []
    irc: list[dict[str, Any]] = []
    dns_servers: list[str] = []
    dead_hosts: list[list[Any]] = []
    http_ex: list[dict[str, Any]] = []
    https_ex: list[dict[str, Any]] = []
    pcap_sha256: str | None = None
    mode: str = "none"
    """The network that the sample had in the end: one of the modes of ``--network``."""
    way: str = ""
    """How it was made."""
    ftp: list[dict[str, Any]] = []
    telnet: list[dict[str, Any]] = []
    ssh: list[dict[str, Any]] = []
    sessions: list[dict[str, Any]] = []
    """Conversations with the simulated internet, as it saw them: within TLS, and what was typed and sent."""
    downloads: list[Download] = []
    findings: list[Finding] = []
    raw_sockets: list[Origin] = []
    packets: int = 0
    torn: int = 0
    """Frames that could not be understood."""
    omitted: dict[str, int] = {}


class Mark(msgspec.Struct, kw_only=True, omit_defaults=True):
    """One piece of evidence: a call, an indicator, or a remark."""

    type: Literal["call", "ioc", "generic"]
    pid: int | None = None
    cid: int | None = None
    """Number of the call among those of its process, counted from 0; it indexes ``calls`` where it is not cut off."""
    key: int | None = None
    call: Call | None = None
    category: str | None = None
    ioc: str | None = None
    description: str | None = None


class Match(msgspec.Struct, kw_only=True):
    """A signature that applied."""

    name: str
    description: str
    severity: int
    """1 (worth a look) to 5 (malicious on its own)."""
    ttp: dict[str, str]
    """ATT&CK id -> its name."""
    families: list[str] = []
    references: list[str] = []
    marks: list[Mark]
    """At most 50."""
    markcount: int


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


class Verdict(msgspec.Struct, kw_only=True):
    """What malkoha makes of it; docs/report.md explains the score."""

    score: float
    level: Level
    why: list[str]


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
