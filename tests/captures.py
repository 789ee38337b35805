"""Captures made by hand: conversations of a guest as frames, for tests of what reads captures."""

from __future__ import annotations

import io
import socket
from datetime import UTC, datetime
from pathlib import Path

import dpkt

from malkoha.network.addresses import GUEST
from malkoha.network.capture import Capture

START = datetime(2026, 11, 23, 21, tzinfo=UTC).timestamp()
"""When the traces begin that are written as text in the tests."""
SYN, ACK, PSH, FIN, RST = 0x02, 0x10, 0x08, 0x01, 0x04


class Making:
    """A capture that grows."""

    def __init__(self) -> None:
        self.file = io.BytesIO()
        self.capture = Capture(self.file, 1 << 30)
        self._port = 40_000

    def frame(self, payload: bytes, at: float) -> None:
        self.capture.write(payload, int(at * 1e9))

    def packet(self, source: str, target: str, protocol: int, payload: dpkt.Packet, at: float) -> None:
        here, there = socket.inet_aton(source), socket.inet_aton(target)
        packet = dpkt.ip.IP(src=here, dst=there, p=protocol, data=payload)
        packet.len = len(packet)
        self.frame(bytes(dpkt.ethernet.Ethernet(src=b"\2" * 6, dst=b"\4" * 6, data=packet)), START + at)

    def segment(self, ends: tuple[str, int, str, int], seq: int, flags: int, at: float, data: bytes = b"") -> None:
        source, sport, target, dport = ends
        self.packet(source, target, 6, dpkt.tcp.TCP(sport=sport, dport=dport, seq=seq, flags=flags, data=data), at)

    def syn(self, host: str, port: int, at: float, *, answer: int | None = None) -> tuple[str, int, str, int]:
        """Begin a connection; ``answer`` are the flags of what comes back."""
        self._port += 1
        ends = (GUEST, self._port, host, port)
        self.segment(ends, 1000, SYN, at)
        if answer is not None:
            self.segment((host, port, GUEST, self._port), 5000, answer, at + 0.001)
        return ends

    def talk(self, host: str, port: int, at: float, *parts: tuple[int, bytes]) -> None:
        """Hold a conversation; each part is who speaks (0: the guest) and what is said."""
        there = self.syn(host, port, at, answer=SYN | ACK)
        back = (there[2], there[3], there[0], there[1])
        numbers = [1001, 5001]
        for step, (side, data) in enumerate(parts, 1):
            self.segment((there, back)[side], numbers[side], ACK | PSH, at + step * 0.002, data)
            numbers[side] += len(data)

    def datagram(
        self, host: str, port: int, data: bytes, at: float, *, back: bytes | None = None, sport: int = 0
    ) -> None:
        if not sport:
            self._port += 1
        sport = sport or self._port
        out = dpkt.udp.UDP(sport=sport, dport=port, data=data)
        out.ulen = len(out)
        self.packet(GUEST, host, 17, out, at)
        if back is not None:
            answer = dpkt.udp.UDP(sport=port, dport=sport, data=back)
            answer.ulen = len(answer)
            self.packet(host, GUEST, 17, answer, at + 0.001)

    def lookup(self, name: str, at: float, address: str = "203.0.113.9") -> None:
        import dnslib

        query = dnslib.DNSRecord.question(name)
        reply = query.reply()
        reply.add_answer(dnslib.RR(name, rdata=dnslib.A(address)))
        self.datagram("10.20.0.2", 53, query.pack(), at, back=reply.pack())

    def ping(self, host: str, at: float) -> None:
        echo = dpkt.icmp.ICMP.Echo(id=1, seq=1, data=b"ping")
        self.packet(GUEST, host, 1, dpkt.icmp.ICMP(type=8, data=echo), at)

    def save(self, path: Path) -> Path:
        path.write_bytes(self.file.getvalue())
        return path
