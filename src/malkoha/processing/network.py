"""The section ``network``: what went over the wire, in Cuckoo's keys, each flow with the call that made it.

In: network.pcap, the sessions of the simulated internet, events.parquet, the section ``dropped``. Out: a Network.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable
from typing import Any

import msgspec

from malkoha.model.traffic import Connection, Download, Finding, Network, Origin
from malkoha.processing import dialogues, fetched, handshakes, packets, traffic
from malkoha.processing.attribution import Uses, uses
from malkoha.processing.base import Earlier, Facts, Processing
from malkoha.processing.dropped import DroppedFiles, DroppedModule
from malkoha.processing.packets import Flow, Wire
from malkoha.store import Store
from malkoha.trace.store import Trace

Entry = dict[str, Any]

GUEST = {"10.20.0.51", "fd3c:9a51:7c20::51"}
FLOWS = 2_000
ENTRIES = 1_000
CONTENTS = 64 << 20
"""Bytes of fetched contents that are kept."""
SESSIONS_BYTES = 256 << 20
_TLS_STARTS = (b"\x16\x03", b"\x80")


class NetworkModule(Processing):
    """Make the section ``network``."""

    name = "network"
    requires = (DroppedModule,)

    @classmethod
    def applies(cls, facts: Facts) -> bool:
        return facts.store.pcap.exists()

    def run(self, facts: Facts, earlier: Earlier) -> Network:
        wire = packets.read(facts.store.pcap, GUEST)
        trace = Trace(facts.store.events)
        sessions = _sessions(facts)
        making = _Making(wire, uses(trace), None if facts.run.network.mode == "sim" else facts.store)
        making.flows()
        making.lookups()
        making.sessions(sessions)
        network = making.network
        network.mode, network.way = facts.run.network.mode, facts.run.network.way
        network.pcap_sha256 = _hash(facts)
        fates = _Fates(earlier.get(DroppedModule), trace)
        network.downloads = [fates.tell(each) for each in making.fetched or _downloads(sessions, making)]
        network.findings = [*_executed(network.downloads), *traffic.findings(wire)]
        return network


class _Making:
    """The section while it is made."""

    def __init__(self, wire: Wire, found: Uses, keep: Store | None) -> None:
        """``keep`` is where contents of plain HTTP go, where no simulated internet kept them."""
        self.wire, self.uses, self.keep = wire, found, keep
        self.fetched: list[Download] = []
        self._kept = 0
        self.network = Network(packets=wire.packets, torn=wire.torn, raw_sockets=found.raw)
        self._causes: dict[tuple[str, int, str, int], Origin | None] = {}
        if wire.omitted:
            self.network.omitted["packets"] = wire.omitted

    def flows(self) -> None:
        hosts: dict[str, None] = {}
        dead: Counter[tuple[str, int]] = Counter()
        for flow in traffic.flows_of(self.wire):
            is_tcp = flow in _identity(self.wire.tcp)
            cause = self.uses.of_tcp(flow) if is_tcp else self.uses.of_udp(flow)
            self._causes[flow.src, flow.sport, flow.dst, flow.dport] = cause
            listed = self.network.tcp if is_tcp else self.network.udp
            self._add("tcp" if is_tcp else "udp", listed, _connection(flow, cause), FLOWS)
            hosts.setdefault(flow.dst)
            if is_tcp and flow.opened and not flow.answered:
                dead[flow.dst, flow.dport] += 1
            if is_tcp:
                self._streams(flow, cause)
        for ping in self.wire.icmp:
            cause = self.uses.of_host(ping["dst"], ping["time"]) if ping["type"] == 8 else None
            self._add("icmp", self.network.icmp, {**ping, "cause": _plain(cause)})
            if ping["type"] == 8:
                hosts.setdefault(ping["dst"])
        self.network.hosts = list(hosts)[:ENTRIES]
        self.network.dead_hosts = [[host, port] for (host, port), _ in dead.most_common(ENTRIES)]

    def _streams(self, flow: Flow, cause: Origin | None) -> None:
        client, server = flow.stream(0), flow.stream(1)
        ends = {"src": flow.src, "sport": flow.sport, "dst": flow.dst, "dport": flow.dport}
        who = {**ends, "time": round(flow.time, 6), "cause": _plain(cause)}
        if client.startswith(_TLS_STARTS):
            hello = handshakes.tls(client, server)
            if hello is not None:
                self._add("tls", self.network.tls, {**who, **hello})
            return
        requests = dialogues.http(client, server)
        if self.keep is not None:
            self._contents(self.keep, flow, cause, requests)
        for request in requests:
            host = request["host"] or flow.dst
            entry = {**request, "uri": f"http://{host}{request['path']}", "port": flow.dport, "count": 1, **who}
            self._add("http", self.network.http, entry)
        mail = dialogues.smtp(client, server)
        if mail is not None:
            self._add("smtp", self.network.smtp, {**who, **mail})
        for message in dialogues.irc(client, server):
            self._add("irc", self.network.irc, {**ends, **message})
        for command in dialogues.ftp(client, server):
            self._add("ftp", self.network.ftp, {**ends, **command})
        if flow.dport in (23, 2323) and (typed := dialogues.telnet(client, server)) is not None:
            self._add("telnet", self.network.telnet, {**who, **typed})
        banners = handshakes.ssh(client, server)
        if banners is not None:
            self._add("ssh", self.network.ssh, {**who, **banners})

    def _contents(self, keep: Store, flow: Flow, cause: Origin | None, requests: list[dict[str, Any]]) -> None:
        """Keep what was fetched over plain HTTP."""
        for request, content in fetched.contents(requests, flow.stream(1)):
            if len(self.fetched) >= ENTRIES or self._kept + len(content) > CONTENTS:
                self.network.omitted["downloads"] = self.network.omitted.get("downloads", 0) + 1
                continue
            digest = hashlib.sha256(content).hexdigest()
            keep.payloads.mkdir(parents=True, exist_ok=True)
            (keep.payloads / digest).write_bytes(content)
            self._kept += len(content)
            url = f"http://{request['host'] or flow.dst}{request['path']}"
            time = round(flow.time, 6)
            self.fetched.append(Download(url=url, size=len(content), sha256=digest, time=time, cause=cause))

    def lookups(self) -> None:
        known: dict[tuple[str, str], None] = {}
        servers: dict[str, None] = {}
        for lookup in self.wire.lookups:
            servers.setdefault(lookup.server)
            entry = {
                "request": lookup.request,
                "type": lookup.type,
                "answers": lookup.answers,
                "time": round(lookup.time, 6),
                "server": lookup.server,
                "cause": _plain(self.uses.of_lookup(lookup)),
            }
            self._add("dns", self.network.dns, entry)
            addresses = [answer["data"] for answer in lookup.answers if answer["type"] in ("A", "AAAA")]
            if lookup.type in ("A", "AAAA"):
                for address in addresses or ([""] if lookup.type == "A" else []):
                    known.setdefault((lookup.request, address))
        self.network.domains = [{"domain": name, "ip": address} for name, address in known][:ENTRIES]
        self.network.dns_servers = list(servers)[:ENTRIES]

    def cause(self, session: dict[str, Any]) -> Origin | None:
        return self._causes.get((session["src"], session["sport"], session["dst"], session["dport"]))

    def sessions(self, sessions: Iterable[dict[str, Any]]) -> None:
        for session in sessions:
            cause = _plain(self.cause(session))
            self._add("sessions", self.network.sessions, {**session, "cause": cause})
            secret = session.get("tls") is not None
            for step in session.get("steps", ()):
                if step.get("what") == "request":
                    entry = _exchange(session, step, secret=secret, cause=cause)
                    self._add("http_ex", self.network.https_ex if secret else self.network.http_ex, entry)

    def _add(self, name: str, where: list[Any], entry: Any, limit: int = ENTRIES) -> None:
        if len(where) < limit:
            where.append(entry)
        else:
            self.network.omitted[name] = self.network.omitted.get(name, 0) + 1


class _identity:  # noqa: N801
    """Membership by identity: flows are compared by what they are, not by their fields."""

    def __init__(self, flows: list[Flow]) -> None:
        self._ids = {id(flow) for flow in flows}

    def __contains__(self, flow: Flow) -> bool:
        return id(flow) in self._ids


def _connection(flow: Flow, cause: Origin | None) -> Connection:
    return Connection(
        src=flow.src, sport=flow.sport, dst=flow.dst, dport=flow.dport, offset=flow.offset, time=round(flow.time, 6),
        duration=round(flow.last - flow.time, 6), packets=flow.packets, sent=flow.sent, received=flow.received,
        answered=flow.answered, cause=cause,
    )  # fmt: skip


def _plain(cause: Origin | None) -> dict[str, Any] | None:
    return None if cause is None else msgspec.structs.asdict(cause)


def _exchange(
    session: dict[str, Any], step: dict[str, Any], *, secret: bool, cause: dict[str, Any] | None
) -> dict[str, Any]:
    """Show one request and its answer as Cuckoo does for what it has seen both sides of."""
    return {
        **{key: session[key] for key in ("src", "sport", "dst", "dport")},
        "protocol": "https" if secret else "http",
        "time": step.get("time"),
        "method": step.get("method", ""),
        "host": step.get("host") or session["dst"],
        "uri": step.get("path", ""),
        "status": step.get("status"),
        "request": step.get("headers", {}),
        "req": {"sha256": step.get("body_sha256", ""), "size": step.get("body_size", 0)},
        "resp": {
            "sha256": step.get("answer_sha256", ""),
            "size": step.get("answer_size", 0),
            "type": step.get("type", ""),
        },
        "cause": cause,
    }


def _sessions(facts: Facts) -> list[dict[str, Any]]:
    """Read what the simulated internet wrote; a line that is cut is left out."""
    path = facts.store.sessions
    if not path.exists() or path.stat().st_size > SESSIONS_BYTES:
        return []
    found = []
    with path.open("rb") as file:
        for line in file:
            try:
                session = msgspec.json.decode(line, type=dict[str, Any])
            except msgspec.MsgspecError:
                continue
            if {"src", "sport", "dst", "dport"} <= set(session):
                found.append(session)
    return sorted(found, key=lambda session: session.get("started", 0.0))


def _hash(facts: Facts) -> str:
    with facts.store.pcap.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


class _Fates:
    """What became of contents: files that hold them, and the processes that ran those."""

    def __init__(self, dropped: DroppedFiles | None, trace: Trace) -> None:
        self._files: dict[str, list[str]] = {}
        for entry in dropped.entries if dropped is not None else ():
            self._files.setdefault(entry.sha256, []).append(entry.moved_to or entry.filepath)
        self._ran: dict[str, list[int]] = {}
        for process in trace.processes:
            for image in process.images:
                self._ran.setdefault(image.path, []).append(process.pid)

    def tell(self, download: Download) -> Download:
        """Add both to a download."""
        download.files = self._files.get(download.sha256, [])[:20]
        download.executed = sorted({pid for path in download.files for pid in self._ran.get(path, ())})[:20]
        return download


def _downloads(sessions: list[dict[str, Any]], making: _Making) -> list[Download]:
    """List what the simulated internet gave."""
    found: list[Download] = []
    for session in sessions:
        plain = "http" if session.get("service") == "http" else session.get("service", "")
        scheme = "https" if session.get("tls") else plain
        hosts = [step.get("host") for step in session.get("steps", ()) if step.get("what") == "request"]
        names = iter(hosts)
        for payload in session.get("payloads", ()):
            if payload.get("kind") != "received" or len(found) >= ENTRIES:
                continue
            host = next(names, None) or session["dst"]
            found.append(
                Download(
                    url=f"{scheme}://{host}{payload.get('name', '')}",
                    size=payload["size"],
                    sha256=payload["sha256"],
                    time=session.get("started", 0.0),
                    cause=making.cause(session),
                )
            )
    return found


def _executed(downloads: list[Download]) -> list[Finding]:
    return [
        Finding(
            kind="download_executed",
            target=each.url,
            count=len(each.executed),
            description=f"{each.url} was fetched, became {each.files[0]} and was run",
        )
        for each in downloads
        if each.executed
    ][:50]
