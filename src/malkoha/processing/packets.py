"""A capture in, its conversations out: flows with their streams, name lookups, pings; torn frames are counted.

Everything in a capture is hostile: each parse may fail, each list and each stream has a bound.
"""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dpkt
import msgspec

FLOWS = 20_000
STREAM = 8 << 20
"""Bytes of one direction of one flow that are put together."""
STREAMS = 128 << 20
LOOKUPS = 10_000
PINGS = 2_000
SAID = 200
AT_ONCE_S = 0.25
SYN, RST, ACK = 0x02, 0x04, 0x10


class Flow(msgspec.Struct, kw_only=True):
    """One conversation; the side that spoke first is its source. Times in seconds since the epoch."""

    src: str
    sport: int
    dst: str
    dport: int
    time: float
    last: float
    offset: int
    """Position of its first packet in the capture, in bytes."""
    packets: int = 0
    sent: int = 0
    """Bytes of content from source to destination."""
    received: int = 0
    answered: bool = False
    refused: bool = False
    opened: bool = False
    """Whether its beginning (SYN) is in the capture; always true of UDP."""
    pieces: tuple[list[tuple[int, bytes]], list[tuple[int, bytes]]] = msgspec.field(default_factory=lambda: ([], []))
    said: list[tuple[float, int]] = msgspec.field(default_factory=list)
    """When the source said something, and how many bytes: the first of them; what follows at once belongs together."""
    kept: list[int] = msgspec.field(default_factory=lambda: [0, 0])
    starts: list[int | None] = msgspec.field(default_factory=lambda: [None, None])

    def stream(self, side: int) -> bytes:
        """Put together what one side said (0: the source), up to the first gap."""
        pieces = self.pieces[side]
        if not pieces:
            return b""
        start = self.starts[side]
        first = min(number for number, _ in pieces) if start is None else start
        out = bytearray()
        for position, data in sorted(((number - first) & 0xFFFFFFFF, data) for number, data in pieces):
            if position >= 1 << 31:
                continue
            if position > len(out):
                break
            out += data[len(out) - position :]
        return bytes(out)


class Lookup(msgspec.Struct, kw_only=True):
    """One question of DNS and what was answered."""

    request: str
    type: str
    answers: list[dict[str, str]]
    server: str
    sport: int
    time: float
    answered: bool = False


class Wire(msgspec.Struct):
    """All that a capture holds."""

    tcp: list[Flow] = []
    udp: list[Flow] = []
    icmp: list[dict[str, Any]] = []
    lookups: list[Lookup] = []
    packets: int = 0
    torn: int = 0
    """Frames that could not be understood."""
    omitted: int = 0
    """Packets whose flow, or lookups and pings that, did not fit."""


def read(path: Path, guest: set[str]) -> Wire:
    """Read a capture; a file that is cut off in the middle gives what it holds. ``guest`` are the guest's addresses."""
    reading = _Reading(guest)
    with path.open("rb") as file:
        for at, frame, offset in _frames(file):
            reading.wire.packets += 1
            try:
                reading.frame(at, frame, offset)
            except (dpkt.Error, ValueError, IndexError, AttributeError, TypeError, OSError):
                reading.wire.torn += 1
    return reading.wire


def _frames(file: Any) -> Iterator[tuple[float, bytes, int]]:
    try:
        reader = dpkt.pcap.Reader(file)
    except (dpkt.Error, ValueError, OSError):
        return
    offset = 24
    with contextlib.suppress(dpkt.Error, ValueError):
        for at, frame in reader:
            yield float(at), frame, offset
            offset += 16 + len(frame)


def _shown(packed: bytes) -> str:
    return socket.inet_ntop(socket.AF_INET if len(packed) == 4 else socket.AF_INET6, packed)


class _Reading:
    def __init__(self, guest: set[str]) -> None:
        self.wire = Wire()
        self._guest = guest
        self._flows: dict[tuple[int, str, int, str, int], Flow] = {}
        self._open: dict[tuple[int, int, str], Lookup] = {}
        self._bytes = 0

    def frame(self, at: float, frame: bytes, offset: int) -> None:
        packet = dpkt.ethernet.Ethernet(frame).data
        if not isinstance(packet, dpkt.ip.IP | dpkt.ip6.IP6):
            return
        source, target, inner = _shown(packet.src), _shown(packet.dst), packet.data
        if target.startswith(("ff", "224.", "239.", "255.")) or source.startswith("fe80"):
            return
        if isinstance(inner, dpkt.tcp.TCP):
            self._tcp(at, source, target, inner, offset)
        elif isinstance(inner, dpkt.udp.UDP):
            self._udp(at, source, target, inner, offset)
        elif isinstance(inner, dpkt.icmp.ICMP):
            self._icmp(at, source, target, inner)

    def _flow(self, kind: int, source: str, sport: int, target: str, dport: int) -> tuple[Flow | None, int]:
        """Find the flow of a packet and the side that sent it."""
        found = self._flows.get((kind, source, sport, target, dport))
        if found is not None:
            return found, 0
        found = self._flows.get((kind, target, dport, source, sport))
        return (found, 1) if found is not None else (None, 0)

    def _begin(
        self, kind: int, at: float, source: str, sport: int, target: str, dport: int, offset: int
    ) -> Flow | None:
        if len(self._flows) >= FLOWS:
            self.wire.omitted += 1
            return None
        flow = Flow(src=source, sport=sport, dst=target, dport=dport, time=at, last=at, offset=offset)
        self._flows[kind, source, sport, target, dport] = flow
        (self.wire.tcp if kind == 6 else self.wire.udp).append(flow)
        return flow

    def _tcp(self, at: float, source: str, target: str, packet: dpkt.tcp.TCP, offset: int) -> None:
        flow, side = self._flow(6, source, packet.sport, target, packet.dport)
        begins = packet.flags & (SYN | ACK) == SYN
        again = begins and side == 0 and flow is not None and flow.opened and flow.answered
        if again and flow is not None and flow.starts[0] not in (None, (packet.seq + 1) & 0xFFFFFFFF):
            flow = None  # the same ports again, for another conversation
        if flow is None:
            flow, side = self._begin(6, at, source, packet.sport, target, packet.dport, offset), 0
            if flow is None:
                return
            flow.opened = begins
        flow.packets += 1
        flow.last = at
        if packet.flags & SYN and flow.starts[side] is None:
            flow.starts[side] = (packet.seq + 1) & 0xFFFFFFFF
        if side == 1:
            flow.answered = flow.answered or not packet.flags & RST
            flow.refused = flow.refused or bool(packet.flags & RST and not flow.answered)
        if packet.data:
            self._keep(flow, side, packet.seq, packet.data)

    def _keep(self, flow: Flow, side: int, number: int, data: bytes) -> None:
        if side:
            flow.received += len(data)
        else:
            flow.sent += len(data)
            self._note(flow, len(data))
        if flow.kept[side] + len(data) <= STREAM and self._bytes + len(data) <= STREAMS:
            flow.pieces[side].append((number, data))
            flow.kept[side] += len(data)
            self._bytes += len(data)

    @staticmethod
    def _note(flow: Flow, size: int) -> None:
        if flow.said and flow.last - flow.said[-1][0] < AT_ONCE_S:
            flow.said[-1] = (flow.said[-1][0], flow.said[-1][1] + size)
        elif len(flow.said) < SAID:
            flow.said.append((flow.last, size))

    def _udp(self, at: float, source: str, target: str, packet: dpkt.udp.UDP, offset: int) -> None:
        flow, side = self._flow(17, source, packet.sport, target, packet.dport)
        if flow is None:
            flow, side = self._begin(17, at, source, packet.sport, target, packet.dport, offset), 0
        if flow is not None:
            flow.packets += 1
            flow.last, flow.opened = at, True
            flow.answered = flow.answered or side == 1
            self._keep(flow, side, flow.kept[side], bytes(packet.data))
        if 53 in (packet.sport, packet.dport) and packet.data:
            self.dns(at, bytes(packet.data), target if packet.dport == 53 else source, packet.sport, packet.dport)

    def dns(self, at: float, data: bytes, server: str, sport: int, dport: int) -> None:
        """Take one message of DNS."""
        message = dpkt.dns.DNS(data)
        if message.qr == dpkt.dns.DNS_Q:
            for question in message.qd[:4]:
                if len(self.wire.lookups) >= LOOKUPS:
                    self.wire.omitted += 1
                    return
                lookup = Lookup(
                    request=question.name[:255], type=_TYPES.get(question.type, str(question.type)), answers=[],
                    server=server, sport=sport, time=at,
                )  # fmt: skip
                self.wire.lookups.append(lookup)
                self._open[message.id, sport, question.name] = lookup
            return
        for question in message.qd[:1]:
            found = self._open.pop((message.id, dport, question.name), None)
            if found is not None:
                found.answered = True
                found.answers = [shown for answer in message.an[:64] if (shown := _answer(answer)) is not None]

    def _icmp(self, at: float, source: str, target: str, packet: dpkt.icmp.ICMP) -> None:
        if len(self.wire.icmp) >= PINGS:
            self.wire.omitted += 1
            return
        data = getattr(packet.data, "data", b"")
        text = bytes(data)[:64].decode("latin-1") if isinstance(data, bytes) else ""
        entry = {"src": source, "dst": target, "type": packet.type, "data": text, "time": round(at, 6)}
        self.wire.icmp.append(entry)


_TYPES = {
    1: "A", 2: "NS", 5: "CNAME", 6: "SOA", 10: "NULL", 12: "PTR", 15: "MX", 16: "TXT", 28: "AAAA", 33: "SRV",
    65: "HTTPS", 255: "ANY",
}  # fmt: skip


def _answer(answer: Any) -> dict[str, str] | None:
    """Show one record of an answer as Cuckoo does."""
    kind = _TYPES.get(answer.type, str(answer.type))
    if answer.type == dpkt.dns.DNS_A:
        shown = socket.inet_ntoa(answer.rdata)
    elif answer.type == dpkt.dns.DNS_AAAA:
        shown = socket.inet_ntop(socket.AF_INET6, answer.rdata)
    elif answer.type == dpkt.dns.DNS_CNAME:
        shown = answer.cname
    elif answer.type == dpkt.dns.DNS_MX:
        shown = answer.mxname
    elif answer.type == dpkt.dns.DNS_PTR:
        shown = answer.ptrname
    elif answer.type == dpkt.dns.DNS_NS:
        shown = answer.nsname
    elif answer.type == dpkt.dns.DNS_TXT:
        shown = " ".join(answer.text)
    else:
        shown = bytes(answer.rdata).hex()
    return {"type": kind, "data": str(shown)[:1024]}
