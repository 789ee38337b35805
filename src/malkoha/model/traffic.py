"""The section ``network`` of a report: who talked to whom, about what."""

from __future__ import annotations

from typing import Any

import msgspec


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
