"""Read a capture of 50,000 packets and say what they amount to: conversations over HTTP, lookups, datagrams."""

from __future__ import annotations

import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import dpkt

from malkoha.network.addresses import GUEST
from malkoha.network.capture import Capture
from malkoha.processing import dialogues, packets, traffic

PACKETS = 50_000
_REQUEST = b"GET /a HTTP/1.1\r\nHost: c2.example.net\r\nUser-Agent: bot\r\n\r\n"
_ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n" + b"x" * 1000


def capture(path: Path) -> None:
    """Write a capture: connections of ten packets each, to three hundred servers."""
    with path.open("wb") as file:
        out = Capture(file, 1 << 30)
        for number in range(PACKETS // 10):
            here, there = bytes((10, 20, 0, 51)), bytes((203, 0, 113, number % 250 + 1))
            ends = (1024 + number % 60_000, 80 + number % 3)
            seqs = [1000, 5000]
            plan = ((0, 2, b""), (1, 18, b""), (0, 16, b""), (0, 24, _REQUEST), (1, 16, b""), (1, 24, _ANSWER),
                    (0, 16, b""), (0, 17, b""), (1, 17, b""), (0, 16, b""))  # fmt: skip
            for step, (side, flags, content) in enumerate(plan):
                sport, dport = ends if side == 0 else ends[::-1]
                segment = dpkt.tcp.TCP(sport=sport, dport=dport, seq=seqs[side], flags=flags, data=content)
                seqs[side] += len(content) + (flags & 3 != 0)
                source, target = (here, there) if side == 0 else (there, here)
                packet = dpkt.ip.IP(src=source, dst=target, p=6, data=segment)
                packet.len = len(packet)
                frame = dpkt.ethernet.Ethernet(src=b"\2" * 6, dst=b"\4" * 6, data=packet)
                out.write(bytes(frame), number * 1_000_000 + step * 10_000)


def figures(runs: int) -> dict[str, dict[str, Any]]:
    """Time reading, the requests in the flows, and the findings."""
    seconds = []
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "network.pcap"
        capture(path)
        for _ in range(runs):
            started = time.monotonic()
            wire = packets.read(path, {GUEST})
            for flow in wire.tcp:
                dialogues.http(flow.stream(0), flow.stream(1))
            traffic.findings(wire)
            seconds.append(time.monotonic() - started)
            assert wire.packets == PACKETS
            assert wire.torn == 0
    against = f"{PACKETS:,} packets of {len(wire.tcp):,} connections over HTTP, {runs} runs"
    return {"captures.seconds": {"value": round(statistics.median(seconds), 3), "unit": "s", "against": against}}
