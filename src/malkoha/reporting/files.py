"""What report.html shows of files that were taken from the guest, of what interpreters read, and of kept memory.

In: report.json as plain values. Out: nested plain values, bounded, not yet escaped.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from malkoha.reporting.wording import count, items, mapping, number, shorten, size

ENTRIES = 1_000
PREVIEWS = 1 << 20
"""Characters of all previews that the page holds."""
WRITERS = 8


def taken(report: Mapping[str, Any]) -> dict[str, Any]:
    """Give the files and the buffers, with a budget for the previews of all."""
    left = PREVIEWS
    entries = [_file(mapping(entry)) for entry in items(report.get("dropped"))[:ENTRIES]]
    buffers = [_buffer(mapping(entry)) for entry in items(report.get("buffer"))[:ENTRIES]]
    dumps = [_dump(mapping(entry)) for entry in items(report.get("procmemory"))[:ENTRIES]]
    for entry in (*buffers, *entries):
        entry["text"] = entry["text"] if len(entry["text"]) <= left else ""
        left -= len(entry["text"])
    machine = _machine(mapping(report.get("memory")))
    shown = bool(entries or buffers or dumps or machine)
    return {"entries": entries, "buffers": buffers, "dumps": dumps, "machine": machine, "any": shown}


def _file(entry: Mapping[str, Any]) -> dict[str, Any]:
    writers = [mapping(writer) for writer in items(entry.get("writers"))[:WRITERS]]
    more = int(number(entry.get("writers_total"))) - len(writers)
    whole = number(entry.get("true_size"), number(entry.get("size")))
    remarks = [
        ("deleted", bool(entry.get("deleted"))),
        (f"moved to {entry.get('moved_to')}", bool(entry.get("moved_to"))),
        (f"cut: {size(entry.get('size'))} of {size(whole)}", bool(entry.get("cut"))),
        (f"{size(entry.get('missing'))} could not be had", bool(entry.get("missing"))),
        (f"version {int(number(entry.get('version')))}", number(entry.get("version")) > 1),
    ]
    return {
        "path": shorten(str(entry.get("filepath") or entry.get("name", "?")), 400),
        "size": size(whole),
        "type": shorten(str(entry.get("type", "")), 200),
        "sha256": shorten(str(entry.get("sha256", "")), 64),
        "writers": [_process(writer.get("process_name"), writer.get("pid"), writer.get("key")) for writer in writers],
        "more": f"and {count(more, 'more process', 'more processes')}" if more > 0 else "",
        "when": _clock(entry.get("taken")),
        "why": shorten(str(entry.get("why", "")), 40),
        "remarks": [shorten(text, 400) for text, holds in remarks if holds],
        "text": shorten(str(entry.get("preview", "")), 5000),
    }


def _buffer(entry: Mapping[str, Any]) -> dict[str, Any]:
    pids = ", ".join(str(int(number(pid))) for pid in items(entry.get("source_pids"))[:WRITERS])
    source = str(entry.get("path") or entry.get("source", "unknown"))
    return {
        "process": _process(entry.get("process_name"), entry.get("pid"), entry.get("key")),
        "when": _clock(entry.get("first")),
        "size": size(entry.get("size")),
        "cut": f"{size(entry.get('cut'))} of it are not here" if number(entry.get("cut")) else "",
        "source": shorten(f"process {pids}" if pids else source, 400),
        "text": shorten(str(entry.get("text", "")), 20_000),
    }


def _dump(entry: Mapping[str, Any]) -> dict[str, Any]:
    regions = [mapping(region) for region in items(entry.get("regions"))]
    odd = sum("wx" in str(region.get("protect")) for region in regions)
    return {
        "process": _process(entry.get("process_name"), entry.get("pid"), entry.get("key")),
        "file": shorten(str(entry.get("file", "")), 200),
        "size": size(entry.get("size")),
        "cut": size(entry.get("cut")) if number(entry.get("cut")) else "",
        "regions": f"{len(regions):,}",
        "odd": f"{odd:,}" if odd else "",
    }


def _machine(entry: Mapping[str, Any]) -> str:
    """Say what there is of the machine's memory, and of whom there is none; empty without ``--memory``."""
    if not entry.get("file"):
        return ""
    told = f"The memory of the machine is in {entry['file']} ({size(entry.get('size'))})."
    gone = int(number(entry.get("ended_before")))
    return shorten(f"{told} {count(gone, 'process', 'processes')} had ended before." if gone else told, 400)


def _process(name: Any, pid: Any, key: Any) -> dict[str, Any]:
    return {
        "name": shorten(str(name or "?"), 60),
        "pid": int(number(pid)),
        "owner": key if isinstance(key, int) else "",
    }


def _clock(value: Any) -> str:
    seconds = number(value)
    if not 0 < seconds < 32_503_680_000:
        return ""
    return datetime.fromtimestamp(seconds, UTC).strftime("%H:%M:%S.%f")[:-3]
