"""What the traffic as a whole amounts to: scans, floods, beacons, tunnels, generated names, exfiltration.

In: what a capture holds. Out: findings, each with its figures. The limits are meant to leave ordinary clients alone: a
browser opens many connections, but not to many ports; a resolver asks for many names, but for names that can be read.
"""

from __future__ import annotations

import itertools
import math
import re
import statistics
from collections import Counter, defaultdict
from ipaddress import ip_address

from malkoha.model.traffic import Finding
from malkoha.processing.packets import Flow, Lookup, Wire

SCAN_PORTS = 12
SWEEP_HOSTS = 12
LOGIN_PORTS = frozenset({21, 22, 23, 25, 110, 143, 445, 587, 993, 1433, 2323, 3306, 3389, 5432, 5900, 6379})
LOGIN_TRIES = 5
FLOOD_PACKETS = 300
"""Packets to one host within one second."""
FLOOD_CONNECTIONS = 80
BEACONS = 4
BEACON_JITTER = 0.25
"""How far a pause may be from the median, as a share of that."""
BEACON_SHARE = 0.75
"""How many of the pauses have to be near it; the first is often another, after a download."""
BEACON_S = 0.5
HEARTBEATS = 6
"""Messages of one conversation; people, and logins by script, say less, and not twice the same length."""
HEARTBEAT_S = 1.0
TUNNEL_NAMES = 8
TUNNEL_LABEL = 20
TUNNEL_ENTROPY = 3.2
GENERATED = 6
EXFIL_BYTES = 1 << 20
MOST = 50
"""Findings of one kind."""
_VOWELS = re.compile(r"[aeiouy]")
_CONSONANTS = re.compile(r"[bcdfghjklmnpqrstvwxz]{4,}")


def findings(wire: Wire) -> list[Finding]:
    """Return what the traffic amounts to, worst kinds first."""
    found = [
        *_floods(wire), *_scans(wire), *_sweeps(wire), *_logins(wire), *_beacons(wire), *_tunnels(wire.lookups),
        *_generated(wire.lookups), *_bare_addresses(wire), *_volumes(wire),
    ]  # fmt: skip
    kept: Counter[str] = Counter()
    result = []
    for one in found:
        kept[one.kind] += 1
        if kept[one.kind] <= MOST:
            result.append(one)
    return result


def _scans(wire: Wire) -> list[Finding]:
    ports: dict[str, set[int]] = defaultdict(set)
    for flow in wire.tcp:
        if flow.opened and flow.sent < 64:
            ports[flow.dst].add(flow.dport)
    return [
        Finding(kind="port_scan", target=host, count=len(seen), description=f"{len(seen)} ports of {host} were tried")
        for host, seen in ports.items()
        if len(seen) >= SCAN_PORTS
    ]


def _sweeps(wire: Wire) -> list[Finding]:
    hosts: dict[str, set[str]] = defaultdict(set)
    for flow in wire.tcp:
        if flow.opened and flow.dport not in (80, 443):
            hosts[f"tcp port {flow.dport}"].add(flow.dst)
    for ping in wire.icmp:
        if ping["type"] == 8:
            hosts["ping"].add(ping["dst"])
    return [
        Finding(kind="sweep", target=what, count=len(seen), description=f"{len(seen)} addresses were tried: {what}")
        for what, seen in hosts.items()
        if len(seen) >= SWEEP_HOSTS
    ]


def _logins(wire: Wire) -> list[Finding]:
    tries: Counter[tuple[str, int]] = Counter(
        (flow.dst, flow.dport) for flow in wire.tcp if flow.dport in LOGIN_PORTS and flow.sent > 0
    )
    return [
        Finding(
            kind="brute_force",
            target=f"{host}:{port}",
            count=count,
            description=f"{count} conversations with the login of {host} port {port}",
        )
        for (host, port), count in tries.items()
        if count >= LOGIN_TRIES
    ]


def _floods(wire: Wire) -> list[Finding]:
    rates: dict[str, Counter[int]] = defaultdict(Counter)
    shapes: dict[str, str] = {}
    for flow in wire.udp:
        if flow.dport == 53 and flow.answered:
            continue
        span = max(flow.last - flow.time, 0.001)
        # the packets of one flow are spread over its time; only an answerless stream is a flood
        if flow.packets >= FLOOD_PACKETS and flow.packets / span >= FLOOD_PACKETS and not flow.answered:
            rates[flow.dst][int(flow.time)] += int(flow.packets / max(span, 1.0))
        else:
            rates[flow.dst][int(flow.time)] += 1
        shapes[flow.dst] = "UDP packets"
    found = [
        Finding(
            kind="flood", target=host, count=max(seconds.values()),
            description=f"{max(seconds.values())} {shapes[host]} a second to {host}",
        )
        for host, seconds in rates.items()
        if max(seconds.values()) >= FLOOD_PACKETS
    ]  # fmt: skip
    opened: dict[tuple[str, int], Counter[int]] = defaultdict(Counter)
    for flow in wire.tcp:
        if flow.opened and flow.sent == 0:
            opened[flow.dst, flow.dport][int(flow.time)] += 1
    for (host, port), seconds in opened.items():
        if (most := max(seconds.values())) >= FLOOD_CONNECTIONS:
            words = f"{most} empty connections a second to {host} port {port}"
            found.append(Finding(kind="flood", target=f"{host}:{port}", count=most, description=words))
    pings = Counter((ping["dst"], int(ping["time"])) for ping in wire.icmp if ping["type"] == 8)
    for (host, _), count in pings.items():
        if count >= FLOOD_PACKETS // 3:
            words = f"{count} pings a second to {host}"
            found.append(Finding(kind="flood", target=host, count=count, description=words))
    return found


def _beacons(wire: Wire) -> list[Finding]:
    times: dict[tuple[str, int], list[float]] = defaultdict(list)
    for flow in wire.tcp:
        if flow.opened:
            times[flow.dst, flow.dport].append(flow.time)
    for flow in wire.udp:
        if flow.dport not in (53, 123):
            times[flow.dst, flow.dport].append(flow.time)
    found = []
    for (host, port), moments in times.items():
        pauses = [after - before for before, after in itertools.pairwise(moments)]
        if len(moments) < BEACONS or (period_s := statistics.median(pauses)) < BEACON_S:
            continue
        regular = sum(abs(pause - period_s) <= BEACON_JITTER * period_s for pause in pauses)
        if regular < BEACONS - 1 or regular < BEACON_SHARE * len(pauses):
            continue
        words = f"{len(moments)} connections to {host} port {port}, one every {period_s:.1f} s"
        found.append(_beacon(host, port, len(moments), period_s, words))
    known = {one.target for one in found}
    for flow in (*wire.tcp, *wire.udp):
        if f"{flow.dst}:{flow.dport}" not in known and (period_s := _heartbeat(flow)):
            words = f"{len(flow.said)} messages to {flow.dst} port {flow.dport} in one conversation"
            words += f", one every {period_s:.1f} s"
            known.add(f"{flow.dst}:{flow.dport}")
            found.append(_beacon(flow.dst, flow.dport, len(flow.said), period_s, words))
    return found


def _beacon(host: str, port: int, count: int, period_s: float, words: str) -> Finding:
    return Finding(kind="beacon", target=f"{host}:{port}", count=count, description=words, period_s=round(period_s, 2))


def _heartbeat(flow: Flow) -> float:
    """Give the period of a conversation that is kept up by messages of one size; 0 when it is none."""
    if len(flow.said) < HEARTBEATS or flow.dport in (53, 123):
        return 0.0
    pauses = [after[0] - before[0] for before, after in itertools.pairwise(flow.said)]
    period_s, size = statistics.median(pauses), statistics.median(length for _, length in flow.said)
    regular = sum(abs(pause - period_s) <= BEACON_JITTER * period_s for pause in pauses)
    alike = sum(abs(length - size) <= 0.1 * size + 2 for _, length in flow.said)
    steady = regular >= BEACON_SHARE * len(pauses) and alike >= BEACON_SHARE * len(flow.said)
    return period_s if steady and period_s >= HEARTBEAT_S else 0.0


def entropy(text: str) -> float:
    """Return Shannon's entropy of the characters of a text, in bits."""
    size = len(text)
    return -sum(n / size * math.log2(n / size) for n in Counter(text).values()) if size else 0.0


def registered(name: str) -> str:
    """Return the part of a name that somebody had to register: its last two labels, three below the likes of co.uk."""
    labels = name.lower().rstrip(".").split(".")
    short = len(labels) >= 3 and len(labels[-1]) == 2 and labels[-2] in {"co", "com", "net", "org", "gov", "ac", "edu"}
    return ".".join(labels[-3:] if short else labels[-2:])


def _tunnels(lookups: list[Lookup]) -> list[Finding]:
    below: dict[str, set[str]] = defaultdict(set)
    for lookup in lookups:
        name, domain = lookup.request.lower().rstrip("."), registered(lookup.request)
        if len(name) > len(domain) + 1 and not name.endswith(".arpa"):
            below[domain].add(name[: -len(domain) - 1])
    found = []
    for domain, names in below.items():
        longest = [max(name.split("."), key=len) for name in names]
        wide = [label for label in longest if len(label) >= TUNNEL_LABEL and entropy(label) >= TUNNEL_ENTROPY]
        if len(wide) >= TUNNEL_NAMES:
            words = f"{len(wide)} names below {domain} carry data in their labels"
            found.append(Finding(kind="dns_tunnel", target=domain, count=len(wide), description=words))
    return found


def looks_generated(label: str) -> bool:
    """Tell a label that no person would think of: long, without the sounds of a word."""
    letters = re.sub(r"[^a-z]", "", label.lower())
    if len(label) < 8 or "-" in label:
        return False
    digits = sum(character.isdigit() for character in label)
    vowels = len(_VOWELS.findall(letters)) / max(len(letters), 1)
    signs = (vowels < 0.25, _CONSONANTS.search(letters) is not None, digits >= 3 and bool(letters))
    return sum(signs) >= 2


def _generated(lookups: list[Lookup]) -> list[Finding]:
    domains = {registered(lookup.request) for lookup in lookups if not lookup.request.endswith(".arpa")}
    odd = sorted(domain for domain in domains if looks_generated(domain.split(".")[0]))
    if len(odd) < GENERATED:
        return []
    words = f"{len(odd)} names look generated: {', '.join(odd[:5])}"
    return [Finding(kind="dga", target=odd[0], count=len(odd), description=words)]


def _bare_addresses(wire: Wire) -> list[Finding]:
    """Public addresses that were spoken to without a name having led there."""
    resolved = {answer["data"] for lookup in wire.lookups for answer in lookup.answers}
    spoken: Counter[tuple[str, int]] = Counter()
    for flow in wire.tcp:
        if flow.opened and flow.sent > 0 and flow.dst not in resolved and not _is_local(flow.dst):
            spoken[flow.dst, flow.dport] += 1
    return [
        Finding(
            kind="bare_address", target=f"{host}:{port}", count=count,
            description=f"{count} conversations with {host} port {port}, an address without a name",
        )
        for (host, port), count in spoken.most_common(MOST)
    ]  # fmt: skip


def _is_local(host: str) -> bool:
    address = ip_address(host)
    # documentation ranges count as private in Python; what matters here are networks that a guest may stand in
    text = str(address)
    return (
        address.is_loopback
        or address.is_link_local
        or text.startswith(("10.", "192.168.", "fd"))
        or (text.startswith("172.") and 16 <= int(text.split(".")[1]) < 32)
    )


def _volumes(wire: Wire) -> list[Finding]:
    sent: Counter[str] = Counter()
    received: Counter[str] = Counter()
    for flow in (*wire.tcp, *wire.udp):
        sent[flow.dst] += flow.sent
        received[flow.dst] += flow.received
    return [
        Finding(kind="exfiltration", target=host, count=size, description=f"{size:,} bytes were sent to {host}")
        for host, size in sent.items()
        if size >= EXFIL_BYTES and size > 3 * received[host]
    ]


def flows_of(wire: Wire) -> list[Flow]:
    """Return all flows in order of time."""
    return sorted((*wire.tcp, *wire.udp), key=lambda flow: flow.time)
