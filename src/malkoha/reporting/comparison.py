"""Two reports in, what they share and what only one of them has out."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import msgspec

from malkoha.reporting.attack import techniques
from malkoha.reporting.wording import items, mapping, number

LISTED = 500
"""Entries of one list that are told; all are counted."""
TEXT = 2000


class Difference(msgspec.Struct, frozen=True, kw_only=True):
    """One aspect of two analyses: how many entries both have, and which only one has."""

    aspect: str
    """``signatures``, ``techniques``, ``commands``, ``dropped``, ``network.*``, ``summary.*`` or ``static.*``."""
    both: int
    first: int
    second: int
    only_first: list[str]
    only_second: list[str]


class Side(msgspec.Struct, frozen=True, kw_only=True):
    """What one of the two comes to."""

    id: int
    target: str
    sha256: str
    package: str
    score: float
    level: str
    events: int
    processes: int
    ended: str


class Comparison(msgspec.Struct, frozen=True, kw_only=True):
    """How two analyses differ; ``alike`` is the share of entries that both have, 0 to 1."""

    first: Side
    second: Side
    alike: float
    differences: list[Difference]


def compare(first: Mapping[str, Any], second: Mapping[str, Any]) -> Comparison:
    """Compare two reports, as plain values, aspect by aspect; those that neither has are left out."""
    left, right = _aspects(first), _aspects(second)
    differences = [
        _difference(aspect, left.get(aspect, {}), right.get(aspect, {})) for aspect in dict.fromkeys((*left, *right))
    ]
    shared = sum(each.both for each in differences)
    every = shared + sum(each.first + each.second for each in differences)
    return Comparison(
        first=_side(first),
        second=_side(second),
        alike=round(shared / every, 4) if every else 1.0,
        differences=differences,
    )


def _difference(aspect: str, left: Mapping[str, None], right: Mapping[str, None]) -> Difference:
    ours, theirs = ([entry for entry in one if entry not in other] for one, other in ((left, right), (right, left)))
    return Difference(
        aspect=aspect,
        both=len(left) - len(ours),
        first=len(ours),
        second=len(theirs),
        only_first=ours[:LISTED],
        only_second=theirs[:LISTED],
    )


def _aspects(report: Mapping[str, Any]) -> dict[str, dict[str, None]]:
    """Gather the entries of a report by aspect, in the report's order, each once."""
    found: dict[str, dict[str, None]] = {}
    for aspect, entry in _entries(report):
        if entry:
            found.setdefault(aspect, {})[entry[:TEXT]] = None
    return found


def _entries(report: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    yield from (("signatures", str(one.get("name"))) for one in map(mapping, items(report.get("signatures"))))
    yield from (("techniques", code) for code in techniques(report))
    behavior = mapping(report.get("behavior"))
    yield from (("commands", str(one.get("command_line"))) for one in map(mapping, items(behavior.get("processes"))))
    for category, entries in mapping(behavior.get("summary")).items():
        yield from ((f"summary.{category}", _text(entry)) for entry in items(entries))
    yield from (("dropped", str(one.get("sha256"))) for one in map(mapping, items(report.get("dropped"))))
    network = mapping(report.get("network"))
    for key, shown in _NETWORK.items():
        yield from ((f"network.{key}", shown(entry)) for entry in items(network.get(key)))
    yield from (("strings", str(entry)) for entry in items(report.get("strings")))


def _text(entry: Any) -> str:
    """Name an entry of the summary; counts and times, which differ in every run, are left out."""
    if isinstance(entry, Mapping):
        kept = [(key, value) for key, value in entry.items() if isinstance(value, str) and value]
        return "  ".join(f"{key} {value}" for key, value in kept)
    return " → ".join(map(str, entry)) if isinstance(entry, list) else str(entry)


def _flow(entry: Any) -> str:
    return f"{mapping(entry).get('dst')}:{mapping(entry).get('dport')}"


def _host(entry: Any) -> str:
    return str(entry.get("ip", "")) if isinstance(entry, Mapping) else str(entry)


_NETWORK: dict[str, Callable[[Any], str]] = {
    "hosts": _host,
    "domains": lambda entry: str(mapping(entry).get("domain", "")),
    "dns": lambda entry: f"{mapping(entry).get('type')} {mapping(entry).get('request')}",
    "http": lambda entry: f"{mapping(entry).get('method')} {mapping(entry).get('uri')}",
    "tcp": _flow,
    "udp": _flow,
}


def _side(report: Mapping[str, Any]) -> Side:
    own, info = mapping(report.get("malkoha")), mapping(report.get("info"))
    target, trace = mapping(report.get("target")), mapping(own.get("trace"))
    file, verdict = mapping(target.get("file")), mapping(own.get("verdict"))
    return Side(
        id=int(number(info.get("id"))),
        target=str(file.get("name") or target.get("url") or ""),
        sha256=str(file.get("sha256") or ""),
        package=str(info.get("package") or ""),
        score=float(number(verdict.get("score"))),
        level=str(verdict.get("level") or ""),
        events=int(number(trace.get("events"))),
        processes=len(items(mapping(report.get("behavior")).get("processes"))),
        ended=str(trace.get("ended") or ""),
    )
