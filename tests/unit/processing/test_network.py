"""The section ``network`` of a folder with a capture, sessions and a trace: Cuckoo's keys, and who did what."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from malkoha import pipeline
from malkoha.model.task import NetworkRun
from malkoha.model.traffic import Network
from malkoha.processing.base import Earlier, Facts
from malkoha.processing.network import NetworkModule
from tests.captures import START, Making
from tests.unit.processing.folder import analysis

TRACE = """\
Mon Nov 23 21:00:00 2026.100000 sh@7f00[10] execve("/bin/sh", ["sh"], []) = 0
Mon Nov 23 21:00:00 2026.150000 sh@7f00[10] clone(NULL, SIGCHLD) = 11
Mon Nov 23 21:00:00 2026.200000 curl@7f00[11] connect(3, {AF_INET, 203.0.113.9, 80}, 16) = 0
Mon Nov 23 21:00:00 2026.300000 curl@7f00[11] connect(4, {AF_INET, 203.0.113.9, 80}, 16) = 0
Mon Nov 23 21:00:00 2026.400000 sh@7f00[10] connect(3, {AF_INET, 198.51.100.4, 443}, 16) = 0
Mon Nov 23 21:00:00 2026.500000 sh@7f00[10] socket(AF_INET, SOCK_RAW, IPPROTO_ICMP) = 5
Mon Nov 23 21:00:00 2026.600000 sh@7f00[10] sendto(5, "ping", 4, 0x0, {AF_INET, 8.8.8.8, 0}, 16) = 4
"""


def section(tmp_path: Path, making: Making, sessions: list[dict[str, Any]], mode: str = "sim") -> Network:
    facts = analysis(tmp_path)
    facts.store.stap.write_text(TRACE)
    making.save(facts.store.pcap)
    facts.store.network.mkdir()
    lines = [json.dumps(session) for session in sessions]
    facts.store.sessions.write_text("\n".join([*lines, '{"torn'] if lines else []))
    pipeline.parse(facts.store)
    run = msgspec.structs.replace(facts.run, network=NetworkRun(mode=mode, way="test"))
    assert NetworkModule.applies(facts)
    return NetworkModule().run(Facts(facts.store, facts.task, run), Earlier({}))


def traffic() -> Making:
    making = Making()
    making.lookup("c2.example", 0.01, "203.0.113.9")
    making.talk(
        "203.0.113.9", 80, 0.21, (0, b"GET /a HTTP/1.1\r\nHost: c2.example\r\n\r\n"), (1, b"HTTP/1.1 200 OK\r\n\r\n")
    )
    making.talk("203.0.113.9", 80, 0.31, (0, b"GET /b HTTP/1.1\r\nHost: c2.example\r\n\r\n"))
    making.syn("198.51.100.4", 443, 0.41)
    making.ping("8.8.8.8", 0.61)
    return making


def test_flows_have_their_calls(tmp_path: Path) -> None:
    network = section(tmp_path, traffic(), [])
    first, second, third = network.tcp
    assert first.cause is not None
    assert second.cause is not None
    assert third.cause is not None
    assert (first.cause.pid, second.cause.pid, third.cause.pid) == (11, 11, 10)
    assert first.cause.seq < second.cause.seq
    assert network.icmp[0]["cause"]["api"] == "sendto"
    assert [raw.pid for raw in network.raw_sockets] == [10]
    assert network.udp[0].cause is None


def test_cuckoos_keys(tmp_path: Path) -> None:
    network = section(tmp_path, traffic(), [])
    assert set(network.hosts) == {"10.20.0.2", "203.0.113.9", "198.51.100.4", "8.8.8.8"}
    assert network.domains == [{"domain": "c2.example", "ip": "203.0.113.9"}]
    assert network.dns_servers == ["10.20.0.2"]
    assert network.dead_hosts == [["198.51.100.4", 443]]
    assert [request["uri"] for request in network.http] == ["http://c2.example/a", "http://c2.example/b"]
    assert network.pcap_sha256 is not None
    assert (network.mode, network.way, network.torn) == ("sim", "test", 0)


def test_sessions_become_exchanges_and_downloads(tmp_path: Path) -> None:
    step = {"what": "request", "method": "GET", "host": "c2.example", "path": "/a", "status": 200, "time": START + 0.22}
    payload = {"kind": "received", "name": "/a", "size": 3, "sha256": "ab" * 32}
    session = {
        "started": START + 0.21, "transport": "tcp", "src": "10.20.0.51", "sport": 40_002, "dst": "203.0.113.9",
        "dport": 80, "service": "http", "tls": {"version": "TLSv1.3"}, "steps": [step], "payloads": [payload],
    }  # fmt: skip
    network = section(tmp_path, traffic(), [session, {"odd": 1}])
    (exchange,) = network.https_ex
    assert (exchange["host"], exchange["uri"], exchange["protocol"]) == ("c2.example", "/a", "https")
    assert exchange["cause"]["pid"] == 11
    (download,) = network.downloads
    assert (download.url, download.size, download.files) == ("https://c2.example/a", 3, [])
    assert download.cause is not None
    assert download.cause.pid == 11
    assert len(network.sessions) == 1


def test_fifty_thousand_packets_are_one_flow_of_many(tmp_path: Path) -> None:
    making = Making()
    for number in range(5000):
        making.datagram("203.0.113.9", 9, b"x" * 64, number * 0.001, sport=4000)
    network = section(tmp_path, making, [])
    assert (network.packets, len(network.udp), network.udp[0].packets) == (5000, 1, 5000)


def test_where_nothing_was_intercepted_plain_http_has_the_downloads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    making = Making()
    for path in (b"/a.sh", b"/b"):
        asked = b"GET %b HTTP/1.1\r\nHost: c2.example\r\n\r\n" % path
        answer = b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n#!/bin/sh\n"
        making.talk("203.0.113.9", 80, 0.21, (0, asked), (1, answer))
    monkeypatch.setattr("malkoha.processing.network.CONTENTS", 15)
    network = section(tmp_path, making, [], mode="internet")
    (download,) = network.downloads
    assert (download.url, download.size) == ("http://c2.example/a.sh", 10)
    assert download.cause is not None
    assert download.cause.pid == 11
    assert network.omitted == {"downloads": 1}
    assert (tmp_path / "1" / "network" / "payloads" / download.sha256).read_bytes() == b"#!/bin/sh\n"
    assert section(tmp_path / "sim", making, []).downloads == []
