"""Who made a flow: calls of the trace that reach out, matched with what is on the wire by their own port.

The tracer tells which port connect() and sendto() gave a socket, so that a flow belongs to the call that began it,
whoever else speaks to the same server. Where a trace does not tell (the kprobe engine's, a call that never returned), a
connect() to an address and a port is the cause of the next flow to them that has no cause yet. One packet socket or
datagram socket causes many. What no call of the trace explains is the system's own, or a raw socket's.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec

from malkoha.model.process import Process
from malkoha.model.traffic import Origin
from malkoha.processing import dns
from malkoha.processing.packets import Flow, Lookup
from malkoha.trace import descriptors
from malkoha.trace.descriptors import Tables
from malkoha.trace.fields import argument, endpoint
from malkoha.trace.store import Trace

SENDS = frozenset({"sendto", "sendmsg", "sendmmsg", "write", "send"})
_ASKED = SENDS | {"connect", "socket"}
APIS = descriptors.APIS | SENDS | {"connect", "socket"}
USES = 200_000
SLACK_S = 0.25
"""How much later than its first packet a call may seem to be at most: two clocks are compared."""
NEAR_S = 0.01


class Use(msgspec.Struct):
    """One call that reaches out."""

    cause: Origin
    time: float
    port: int = 0
    """The socket's own; 0 where the trace does not tell."""


_Table = dict[Any, list[Use]]


class Uses:
    """All such calls of one trace, by where they lead, and by the port of their own where that is known."""

    def __init__(self) -> None:
        self._connects: _Table = {}
        self._sends: _Table = {}
        self._hosts: _Table = {}
        self._names: _Table = {}
        self._begun: dict[Any, int] = {}
        """How many of the connects to an address and a port, from the first on, have their flow."""
        self.raw: list[Origin] = []
        """Sockets that see or write packets below TCP and UDP."""
        self._ports: dict[int, int] = {}
        """Of sockets, by the number of the object."""
        self._count = 0

    def feed(self, key: int, event: Any, tables: Tables, cause: Origin) -> None:
        """Take one call before the tables do."""
        if self._count >= USES:
            return
        if event.api == "socket":
            words = " ".join(str(value) for value in event.args.values())
            if ("SOCK_RAW" in words or "AF_PACKET" in words) and "AF_NETLINK" not in words and len(self.raw) < 100:
                cause.note = words[:200]
                self.raw.append(cause)
            return
        item = tables.descriptor(key, argument(event, 0))
        use = Use(cause, event.time_ns / 1e9, self._port(event, item))
        if event.api == "connect":
            peer = endpoint(argument(event, 1))
            if peer is not None and peer.family in ("AF_INET", "AF_INET6"):
                self._add(self._connects, (peer.host, peer.port or 0, use.port), use)
                self._add(self._hosts, peer.host, use)
            return
        peer = endpoint(argument(event, 4)) if event.api == "sendto" else None
        if peer is None and event.api in ("sendmsg", "sendmmsg"):
            peer = _message_peer(argument(event, 1))
        peer = peer or (item.peer if item is not None and item.kind == "socket" else None)
        if peer is None or peer.family not in ("AF_INET", "AF_INET6"):
            return
        if item is not None and "SOCK_RAW" in item.flags:
            cause.note = "raw socket"
        self._add(self._sends, (peer.host, peer.port or 0, use.port), use)
        self._add(self._hosts, peer.host, use)
        if peer.port == 53:
            for payload in _payloads(argument(event, 1)):
                name = dns.question(payload)
                if name is not None:
                    self._add(self._names, name.lower().rstrip("."), use)

    def _port(self, event: Any, item: Any) -> int:
        """Give the port of the socket itself, as this call or an earlier one tells it."""
        told = endpoint(event.args.get("local"))
        if told is None or told.family not in ("AF_INET", "AF_INET6") or not told.port:
            return self._ports.get(item.object, 0) if item is not None else 0
        if item is not None and len(self._ports) < USES:
            self._ports[item.object] = told.port
        return told.port

    def _add(self, where: dict[Any, list[Use]], key: Any, use: Use) -> None:
        where.setdefault(key, []).append(use)
        self._count += 1

    def of_tcp(self, flow: Flow) -> Origin | None:
        """Give the connect() that began a flow; flows are to be asked for in order of time."""
        own = self._connects.get((flow.dst, flow.dport, flow.sport))
        if own is not None:
            return self._nearest(own, flow.time)
        where = (flow.dst, flow.dport, 0)
        waiting, at = self._connects.get(where, []), self._begun.get(where, 0)
        if at < len(waiting) and waiting[at].time <= flow.time + SLACK_S:
            self._begun[where] = at + 1
            return waiting[at].cause
        return self._sent(flow)

    def of_udp(self, flow: Flow) -> Origin | None:
        """Give the call that sent a flow's first packet, as near as its port and time tell."""
        return self._sent(flow) or self._of_port(self._connects, flow)

    def _sent(self, flow: Flow) -> Origin | None:
        return self._of_port(self._sends, flow)

    def _of_port(self, found: _Table, flow: Flow) -> Origin | None:
        where = (flow.dst, flow.dport)
        return self._nearest(found.get((*where, flow.sport)) or found.get((*where, 0)), flow.time)

    def of_host(self, host: str, at: float) -> Origin | None:
        return self._nearest(self._hosts.get(host), at)

    def of_lookup(self, lookup: Lookup) -> Origin | None:
        asked = self._names.get(lookup.request.lower().rstrip("."), [])
        own = [use for use in asked if use.port == lookup.sport]
        return self._nearest(own or [use for use in asked if not use.port], lookup.time)

    @staticmethod
    def _nearest(uses: list[Use] | None, at: float) -> Origin | None:
        """Give the last use before a moment, else the first after it."""
        if not uses:
            return None
        before = [use for use in uses if use.time <= at + NEAR_S]
        return (before[-1] if before else uses[0]).cause


def uses(trace: Trace) -> Uses:
    """Read the calls of a trace that reach out; the launcher's are left out."""
    listed = list(trace.processes)
    by_key = {process.key: process for process in listed}
    found, tables = Uses(), Tables(listed)
    for row in trace.rows(APIS, ("syscall", "fork", "exec")):
        event, process = row.event, by_key.get(row.process)
        asked = event.kind == "syscall" and event.api in _ASKED
        if asked and process is not None and _is_samples(process, row.index):
            cause = Origin(
                pid=event.pid, key=row.process, process_name=process.name, api=event.api, seq=event.seq,
                cid=row.index if row.index is not None else -1,
            )  # fmt: skip
            found.feed(row.process, event, tables, cause)
        tables.feed(row.process, event)
    return found


def _is_samples(process: Process, index: int | None) -> bool:
    return not process.launcher and not (index is not None and index < process.setup_calls)


def _message_peer(value: Any) -> Any:
    """Give the address of the first message of sendmsg() or sendmmsg()."""
    while isinstance(value, list) and value:
        value = value[0]
    if isinstance(value, dict):
        for key in ("msg_name", "name"):
            if key in value:
                return endpoint(value[key])
    return None


def _payloads(value: Any) -> Iterable[str]:
    if isinstance(value, str):
        return [value]
    if isinstance(value, dict):
        return [str(value.get("data", ""))]
    if isinstance(value, list):
        return [payload for item in value[:16] for payload in _payloads(item)]
    return []
