"""What an analysis may do on a route that leads out: checked before anything is dialled, counted as it passes."""

from __future__ import annotations

import asyncio
import time
from ipaddress import ip_network

import msgspec

from malkoha.model.task import Egress
from malkoha.network.ranges import Range, forbidden, within

RULES = 100
"""Different rules that are counted by name; ports beyond them are counted together."""


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """What an administrator allows."""

    rate_kbit: int
    max_mb: int
    max_connections: int
    blocked_ports: tuple[int, ...] = ()
    blocked_networks: tuple[str, ...] = ()
    own_networks: tuple[str, ...] = ()
    """Those of the host, which are refused like private ones, public addresses or not."""


class Allowance:
    """The limits of one analysis and what of them is used up."""

    def __init__(self, limits: Limits, way: str, *, datagrams: bool) -> None:
        self.used = Egress(way=way)
        self._limits, self._datagrams = limits, datagrams
        self._left = limits.max_mb << 20
        self._blocked = _ranges(limits.blocked_networks)
        self._own = _ranges(limits.own_networks)
        self._per_second = limits.rate_kbit * 125
        self._free_at = 0.0

    def refuses(self, transport: str, host: str, port: int, *, busy: bool = False) -> str:
        """Return the rule that forbids a conversation, which is then counted; "" when there is none."""
        rule = self._rule(transport, host, port) or ("too many at a time" if busy else "")
        if rule:
            self._count(rule)
            self._met(rule)
        else:
            self.used.flows += 1
        return rule

    def _rule(self, transport: str, host: str, port: int) -> str:
        if forbidden(host):
            return "private or reserved range"
        if within(host, self._own):
            return "network of this host"
        if within(host, self._blocked):
            return "blocked network"
        if port in self._limits.blocked_ports:
            return f"port {port}"
        if transport == "udp" and not self._datagrams:
            return "udp"
        if self._left <= 0:
            return "bytes"
        if self.used.flows >= self._limits.max_connections:
            return "connections"
        return ""

    def may_ask(self) -> bool:
        """Tell whether one more name may be looked up, and count it."""
        if self._left <= 0:
            self._count("bytes")
            return False
        self.used.lookups += 1
        return True

    def _count(self, rule: str) -> None:
        if rule not in self.used.blocked and len(self.used.blocked) >= RULES:
            rule = "other"
        self.used.blocked[rule] = self.used.blocked.get(rule, 0) + 1

    def _met(self, rule: str) -> None:
        if rule in ("bytes", "connections") and rule not in self.used.limits:
            self.used.limits[rule] = round(time.time(), 3)

    async def pay(self, *, sent: int = 0, received: int = 0) -> bool:
        """Count bytes that are to pass, once the rate lets them; False when the limit forbids them."""
        size = sent + received
        if size > self._left:
            self._left = 0
            self._met("bytes")
            return False
        self._left -= size
        self.used.sent += sent
        self.used.received += received
        now = time.monotonic()
        self._free_at = max(self._free_at, now) + size / self._per_second
        if self._free_at > now + 0.05:
            await asyncio.sleep(self._free_at - now)
        return True


def _ranges(texts: tuple[str, ...]) -> tuple[Range, ...]:
    return tuple(ip_network(text, strict=False) for text in texts)
