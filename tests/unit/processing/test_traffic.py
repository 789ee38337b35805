"""Findings on made captures, each with something near it that is none."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

import pytest

from malkoha.model.traffic import Finding
from malkoha.processing import traffic
from malkoha.processing.packets import read
from tests.captures import ACK, SYN, Making


def kinds(tmp_path: Path, make: Callable[[Making], None]) -> dict[str, Finding]:
    making = Making()
    make(making)
    found = traffic.findings(read(making.save(tmp_path / "c.pcap"), set()))
    return {finding.kind: finding for finding in found}


def scan(making: Making, ports: int) -> None:
    for number in range(ports):
        making.syn("203.0.113.5", 20 + number, number * 0.01, answer=SYN | ACK)


def sweep(making: Making, hosts: int, port: int = 22) -> None:
    for number in range(hosts):
        making.syn(f"203.0.113.{number + 1}", port, number * 0.01)


def logins(making: Making, count: int) -> None:
    chance = random.Random(1)
    for _ in range(count):
        making.talk("203.0.113.5", 23, chance.random() * 100, (1, b"login: "), (0, b"root\r\nadmin\r\n"))


def flood(making: Making, packets: int) -> None:
    for number in range(packets):
        making.datagram("203.0.113.5", 9999, b"x" * 100, 5 + number / (packets + 1), sport=5555)


def beacon(making: Making, jitter: float) -> None:
    chance = random.Random(3)
    at = 0.0
    for _ in range(8):
        making.talk("203.0.113.5", 443, at, (0, b"ping"))
        at += 5 * (1 + (chance.random() - 0.5) * jitter)


def heartbeat(making: Making, sizes: tuple[int, ...]) -> None:
    ends = making.syn("203.0.113.5", 8443, 0, answer=SYN | ACK)
    number = 1001
    for turn in range(8):
        size = sizes[turn % len(sizes)]
        making.segment(ends, number, ACK, 1 + 10 * turn, b"x" * size)
        number += size


def tunnel(making: Making, width: int) -> None:
    chance = random.Random(5)
    for number in range(20):
        label = "".join(chance.choice("abcdefghijklmnopqrstuvwxyz0123456789") for _ in range(width))
        making.lookup(f"{label}.t.evil-domain.net", number * 0.1)


def generated(making: Making) -> None:
    chance = random.Random(7)
    for number in range(10):
        label = "".join(chance.choice("bcdfghjklmnpqrstvwxz0123456789") for _ in range(14))
        making.lookup(f"{label}.com", number * 0.1)


def ordinary(making: Making) -> None:
    names = ("www.google.com", "fonts.gstatic.com", "security.ubuntu.com", "pypi.python-hosted.net", "github.com",
             "news.example.org", "api.telegram.org", "cdn.jsdelivr.net", "static.cloudflareinsights.com")  # fmt: skip
    for number, name in enumerate(names):
        making.lookup(name, number * 1.7, f"198.51.100.{number + 1}")
        making.talk(f"198.51.100.{number + 1}", 443, number * 1.7 + 0.1, (0, b"x" * 300), (1, b"y" * 5000))


@pytest.mark.parametrize(
    ("kind", "hit", "miss"),
    [
        ("port_scan", lambda m: scan(m, 20), lambda m: scan(m, 6)),
        ("sweep", lambda m: sweep(m, 20), lambda m: sweep(m, 20, 443)),
        ("brute_force", lambda m: logins(m, 8), lambda m: logins(m, 3)),
        ("flood", lambda m: flood(m, 900), lambda m: flood(m, 100)),
        ("beacon", lambda m: beacon(m, 0.2), lambda m: beacon(m, 1.9)),
        ("beacon", lambda m: heartbeat(m, (24,)), lambda m: heartbeat(m, (24, 300, 7, 1200))),
        ("dns_tunnel", lambda m: tunnel(m, 32), lambda m: tunnel(m, 6)),
        ("dga", generated, ordinary),
        ("bare_address", lambda m: m.talk("203.0.113.5", 80, 0, (0, b"hello")), ordinary),
        (
            "exfiltration",
            lambda m: m.talk("203.0.113.5", 443, 0, *[(0, b"x" * 1400)] * 900),
            lambda m: m.talk("203.0.113.5", 443, 0, *[(1, b"x" * 1400)] * 900),
        ),
    ],
)
def test_each_kind_is_found_and_its_neighbour_is_not(
    tmp_path: Path, kind: str, hit: Callable[[Making], None], miss: Callable[[Making], None]
) -> None:
    assert kind in kinds(tmp_path, hit)
    assert kind not in kinds(tmp_path, miss)


def test_ordinary_clients_are_left_alone(tmp_path: Path) -> None:
    assert kinds(tmp_path, ordinary) == {}


def test_a_beacon_has_a_period(tmp_path: Path) -> None:
    found = kinds(tmp_path, lambda making: beacon(making, 0.05))["beacon"]
    assert found.period_s == pytest.approx(5.0, abs=0.3)
    assert found.target == "203.0.113.5:443"


def test_names() -> None:
    assert traffic.registered("a.b.example.co.uk") == "example.co.uk"
    assert traffic.registered("a.b.example.org.") == "example.org"
    assert not traffic.looks_generated("cloudflareinsights")
    assert traffic.looks_generated("xkqzjvwt3f9b2")
    assert traffic.entropy("") == 0.0
