"""Limits of one analysis, without a network."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest

from malkoha.network.allowance import RULES, Allowance, Limits

HOST = "93.184.215.14"


def allowance(**more: Any) -> Allowance:
    limits: dict[str, Any] = {"rate_kbit": 8_000_000, "max_mb": 1, "max_connections": 10}
    return Allowance(Limits(**(limits | more)), "a way", datagrams=more.pop("datagrams", True))


@pytest.mark.parametrize(
    ("host", "port", "rule"),
    [
        ("10.0.0.1", 80, "private or reserved range"),
        ("not an address", 80, "private or reserved range"),
        ("93.184.215.99", 80, "network of this host"),
        ("104.18.1.1", 80, "blocked network"),
        ("2606:4700::1", 80, "blocked network"),
        ("1.1.1.1", 25, "port 25"),
    ],
)
def test_rules_are_counted_by_name(host: str, port: int, rule: str) -> None:
    made = allowance(
        own_networks=("93.184.215.0/24", "fe80::/64"),
        blocked_networks=("104.18.0.0/16", "2606:4700::/32"),
        blocked_ports=(25,),
    )
    assert made.refuses("tcp", host, port) == rule
    assert (made.used.blocked, made.used.flows) == ({rule: 1}, 0)


def test_what_no_rule_forbids_is_counted_as_a_conversation() -> None:
    made = allowance()
    assert made.refuses("tcp", HOST, 80) == made.refuses("udp", HOST, 80) == ""
    assert made.refuses("tcp", HOST, 80, busy=True) == "too many at a time"
    assert (made.used.flows, made.used.blocked) == (2, {"too many at a time": 1})


def test_a_proxy_takes_no_datagrams() -> None:
    made = Allowance(Limits(rate_kbit=8, max_mb=1, max_connections=1), "a proxy", datagrams=False)
    assert made.refuses("udp", HOST, 80) == "udp"


def test_a_sweep_over_blocked_ports_does_not_grow_without_bound() -> None:
    made = allowance(blocked_ports=tuple(range(1000)))
    for port in range(1000):
        assert made.refuses("tcp", HOST, port)
    assert len(made.used.blocked) == RULES + 1
    assert sum(made.used.blocked.values()) == 1000


def test_bytes_both_ways_come_from_one_purse() -> None:
    async def scene() -> None:
        made = allowance()
        assert made.may_ask()
        assert await made.pay(sent=1 << 19)
        assert await made.pay(received=1 << 19)
        assert not await made.pay(sent=1)
        assert not made.may_ask()
        assert made.refuses("tcp", HOST, 80) == "bytes"
        assert (made.used.sent, made.used.received, made.used.lookups) == (1 << 19, 1 << 19, 1)
        assert made.used.blocked == {"bytes": 2}
        assert abs(made.used.limits["bytes"] - time.time()) < 60

    asyncio.run(scene())


def test_the_rate_makes_everybody_wait_for_his_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    waited: list[float] = []

    async def sleep(seconds: float) -> None:
        waited.append(seconds)

    async def scene() -> None:
        made = allowance(rate_kbit=80)  # 10,000 bytes a second
        for _ in range(3):
            assert await made.pay(received=20_000)

    monkeypatch.setattr(asyncio, "sleep", sleep)
    asyncio.run(scene())
    assert [round(seconds) for seconds in waited] == [2, 4, 6]
