"""The processes of an analysis as a tree beside their time: rows of plain values out, bounded, not yet escaped."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from malkoha.model.process import Process
from malkoha.reporting.wording import cause_text, duration, exit_text, items, mapping, number, shorten

ROWS = 300
"""Rows that a page shows at once."""
MARKS = 60
"""Marks of one kind on the line of a process."""
WIDTH = 1000
TICKS = 5


def tree(
    processes: list[Process], report: Mapping[str, Any], *, words: str = "", start: int = 0, rows: int = ROWS
) -> dict[str, Any]:
    """Make rows of the tree from ``start`` on; ``words`` chooses processes by name, command or pid.

    ``report`` gives what stands on the lines: signatures, network and dropped files, where it is there.
    """
    known = {process.key: process for process in processes if not process.launcher}
    began = min((process.started_ns for process in known.values() if process.started_ns), default=0)
    ended = max((_end(process) for process in known.values()), default=began)
    scale = WIDTH / max(ended - began, 1)
    listed = [(known[key], depth) for key, depth in _in_order(known)]
    if words.strip():
        listed = [(process, 0) for process, _ in listed if _fits(process, words.strip().lower())]
    flags, marks = _flags(report), _marks(report)
    shown = [
        _row(process, depth, began, scale, marks.get(process.key, ()), flags[process.key])
        for process, depth in listed[start : start + rows]
    ]
    span = (ended - began) / 1e9
    return {
        "rows": shown,
        "total": len(listed),
        "next": start + rows if start + rows < len(listed) else None,
        "ticks": [duration(round(span * tick / TICKS, 3)) or "0 s" for tick in range(TICKS + 1)],
    }


def _in_order(known: Mapping[int, Process]) -> Iterator[tuple[int, int]]:
    """Yield key and depth, each process behind the one that made it or is its cause; every process once."""
    below: dict[int | None, list[int]] = {}
    for process in known.values():
        above = process.cause.by if process.cause is not None else process.parent
        below.setdefault(above if above in known and above != process.key else None, []).append(process.key)
    seen: set[int] = set()
    for begin in (*below.get(None, ()), *known):  # the second part: what only hangs on itself
        stack = [(begin, 0)]
        while stack:
            key, depth = stack.pop()
            if key in seen:
                continue
            seen.add(key)
            yield key, depth
            stack += [(child, depth + 1) for child in reversed(below.get(key, []))]


def _fits(process: Process, words: str) -> bool:
    return words in process.name.lower() or words in process.command_line.lower() or words == str(process.pid)


def _end(process: Process) -> int:
    return process.ended_ns or process.last_seen_ns


def _row(
    process: Process, depth: int, began: int, scale: float, marks: Iterable[tuple[str, float]], flags: int
) -> dict[str, Any]:
    left = (process.started_ns - began) * scale
    texec = [("exec", image.time_ns / 1e9) for image in process.images[:MARKS]]
    counts: Counter[str] = Counter()
    drawn = []
    for kind, when in (*texec, *marks):
        place = round((when * 1e9 - began) * scale, 1)
        counts[kind] += 1
        if 0 <= place <= WIDTH and counts[kind] <= MARKS:
            drawn.append((kind, place))
    code = exit_text(process.exit_code, process.exit_signal, process.ended_ns)
    return {
        "key": process.key,
        "pid": process.pid,
        "name": shorten(process.name or "?", 80),
        "command": shorten(process.command_line, 600),
        "depth": min(depth, 24),
        "exit": code,
        "exit_class": "none"
        if code in ("", "running")
        else "good"
        if code == "0"
        else "bad1"
        if code.isdecimal()
        else "bad2",
        "took": duration((_end(process) - process.started_ns) / 1e9) if process.ended_ns else "",
        "calls": process.calls - process.setup_calls,
        "cause": cause_text({"why": process.cause.why}) if process.cause else "",
        "flags": flags,
        "x": round(left, 1),
        "width": round(max((_end(process) - process.started_ns) * scale, 2.0), 1),
        "open": process.ended_ns is None,
        "marks": drawn,
    }


def _flags(report: Mapping[str, Any]) -> Counter[int]:
    """Count the signatures that a process has a part in."""
    found: Counter[int] = Counter()
    for match in map(mapping, items(report.get("signatures"))):
        keys = {mark["key"] for mark in map(mapping, items(match.get("marks"))) if isinstance(mark.get("key"), int)}
        found.update(keys)
    return found


def _marks(report: Mapping[str, Any]) -> dict[int, list[tuple[str, float]]]:
    """List what a process did on the network and with files: kind and seconds since the epoch."""
    found: dict[int, list[tuple[str, float]]] = {}
    network = mapping(report.get("network"))
    for name in ("dns", "tcp", "udp", "icmp"):
        for flow in map(mapping, items(network.get(name))):
            key = mapping(flow.get("cause")).get("key")
            if isinstance(key, int):
                found.setdefault(key, []).append(("net", number(flow.get("time"))))
    for file in map(mapping, items(report.get("dropped"))):
        for writer in map(mapping, items(file.get("writers"))):
            key, when = writer.get("key"), number(writer.get("first"))
            if isinstance(key, int) and when:
                found.setdefault(key, []).append(("file", when))
    return found
