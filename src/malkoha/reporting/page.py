"""What report.html says of a report outside of its processes and calls: the model that the template writes out.

In: report.json as plain values, tolerant of absent keys. Out: nested plain values, bounded, not yet escaped; the
template escapes them (autoescape, and ``shown`` for texts of the sample).
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from malkoha.reporting import files, listing, overview, wire, wording
from malkoha.reporting.detection import detection
from malkoha.reporting.listing import TEXT
from malkoha.reporting.wording import count, duration, items, mapping, number, shorten, size

SIGNATURES = 400
_TTP = re.compile(r"TA?[0-9]{4}(?:\.[0-9]{3})?")

_STAGES = (
    ("queued_s", "waited in the queue"),
    ("restore_s", "machine restored"),
    ("deliver_s", "sample delivered"),
    ("run_s", "sample ran"),
    ("process_s", "trace processed"),
    ("report_s", "report written"),
)


def page(report: Mapping[str, Any]) -> dict[str, Any]:
    """Make the model of the page; absent sections are empty."""
    target = mapping(report.get("target"))
    file = mapping(target.get("file"))
    summary = mapping(mapping(report.get("behavior")).get("summary"))
    own = mapping(report.get("malkoha"))
    return {
        "name": shorten(str(file.get("name") or target.get("url") or "analysis"), TEXT),
        "id": int(number(mapping(report.get("info")).get("id"))),
        "verdict": _verdict(report),
        "sample": _sample(target, file),
        "tiles": _tiles(report),
        "gaps": wording.gaps(report)[:200],
        "signatures": _signatures(items(report.get("signatures"))),
        "overview": overview.overview(report),
        "touched": listing.touched(summary, {}, mapping(own.get("summary_omitted"))),
        "noise": listing.noise(mapping(own.get("noise"))),
        "output": listing.output(mapping(mapping(report.get("malkoha")).get("output"))),
        "detection": detection(report),
        "elf": listing.elf(mapping(mapping(report.get("static")).get("elf"))),
        "strings": [shorten(str(text), TEXT) for text in items(report.get("strings"))[:10_000]],
        "files": files.taken(report),
        "network": wire.wire(report),
        "stages": _stages(report),
        "facts": _facts(report),
        "log": [shorten(str(line), 2000) for line in items(mapping(report.get("debug")).get("log"))[-1000:]],
    }


def _verdict(report: Mapping[str, Any]) -> dict[str, Any]:
    verdict = mapping(mapping(report.get("malkoha")).get("verdict"))
    level = verdict.get("level")
    score = min(10.0, max(0.0, number(verdict.get("score"))))
    titles = {
        str(mapping(m).get("name")): str(mapping(m).get("description", "")) for m in items(report.get("signatures"))
    }
    return {
        "level": level if level in ("clean", "suspicious", "malicious") else "unknown",
        "score": f"{score:.1f}",
        "share": round(score * 10),
        "why": [
            {"name": shorten(str(name), 100), "title": shorten(titles.get(str(name)) or str(name), 160)}
            for name in items(verdict.get("why"))[:6]
        ],
        "more": max(0, len(items(verdict.get("why"))) - 6),
    }


def _sample(target: Mapping[str, Any], file: Mapping[str, Any]) -> dict[str, Any]:
    names = ("sha256", "sha1", "md5", "sha512", "ssdeep", "tlsh", "crc32")
    hashes = [(name, str(file[name])) for name in names if file.get(name)]
    return {
        "kind": shorten(str(file.get("type") or ("a URL" if target.get("url") else "unknown type")), 400),
        "size": size(file.get("size")) if file else "",
        "bytes": f"{int(number(file.get('size'))):,} bytes" if number(file.get("size")) >= 1000 else "",
        "hashes": [(name, shorten(value, 256)) for name, value in hashes],
        "urls": [shorten(str(url), TEXT) for url in items(file.get("urls"))[:200]],
        "yara": [shorten(str(mapping(rule).get("name", rule)), 200) for rule in items(file.get("yara"))[:100]],
    }


def _tiles(report: Mapping[str, Any]) -> list[dict[str, str]]:
    """The facts that an analyst asks for first: a title, a value, a remark, and whether it is a warning."""
    own = mapping(report.get("malkoha"))
    trace, machine = mapping(own.get("trace")), mapping(own.get("machine"))
    behavior = mapping(report.get("behavior"))
    lost = number(trace.get("lost"))
    ended = str(trace.get("ended", ""))
    status = wording.wait_status(own.get("exit_status"))
    processes = own.get("processes_total", len(items(behavior.get("processes"))))
    first = mapping(own.get("timings")).get("first_event_s")
    return [
        {
            "title": "Events",
            "value": f"{int(number(trace.get('events'))):,}",
            "note": f"{count(lost, 'event')} lost" if lost else "none lost",
            "warn": "yes" if lost else "",
        },
        {
            "title": "Processes",
            "value": f"{int(number(processes)):,}",
            "note": count(own.get("calls_total"), "system call"),
            "warn": "",
        },
        {
            "title": "Ran for",
            "value": duration(mapping(own.get("timings")).get("run_s")) or "?",
            "note": shorten(ended, 60) or "end unknown",
            "warn": "" if ended in ("all processes gone", "") else "yes",
        },
        {
            "title": "Exit",
            "value": status.removeprefix("exit status ") or "?",
            "note": "killed" if status.startswith("killed") else "status of the sample" if status else "not known",
            "warn": "yes" if status.startswith("killed") else "",
        },
        {
            "title": "Engine",
            "value": shorten(str(trace.get("engine", "?")), 40),
            "note": f"first event after {duration(first)}"
            if first is not None
            else size(trace.get("bytes")) + " of trace",
            "warn": "",
        },
        {
            "title": "Machine",
            "value": shorten(str(machine.get("accelerator", "?")), 20).upper(),
            "note": shorten(f"{machine.get('image', '?')}, {machine.get('architecture', '?')}", 80),
            "warn": "",
        },
    ]


def _signatures(matches: list[Any]) -> list[dict[str, Any]]:
    """Give the signatures, the gravest first."""
    found = [_signature(mapping(match)) for match in matches[:SIGNATURES]]
    return sorted(found, key=lambda match: -int(match["severity"]))


def _signature(match: Mapping[str, Any]) -> dict[str, Any]:
    severity = min(5, max(1, int(number(match.get("severity"), 1))))
    ttps = [(str(code)[:40], shorten(str(name), 120)) for code, name in list(mapping(match.get("ttp")).items())[:20]]
    return {
        "name": shorten(str(match.get("name", "?")), 120),
        "title": shorten(str(match.get("description") or match.get("name", "?")), 400),
        "severity": severity,
        "word": ("", "worth a look", "low", "medium", "high", "malicious on its own")[severity],
        "ttps": [(code, name, _attack(code)) for code, name in ttps],
        "families": [shorten(str(family), 60) for family in items(match.get("families"))[:10]],
        "references": [shorten(str(link), 300) for link in items(match.get("references"))[:10]],
        "marks": [_mark(mapping(mark)) for mark in items(match.get("marks"))[:50]],
        "count": int(number(match.get("markcount"))),
    }


def _attack(code: str) -> str:
    """Give the address of a technique's page, empty for what is no ATT&CK id."""
    if not _TTP.fullmatch(code):
        return ""
    kind = "tactics" if code.startswith("TA") else "techniques"
    return f"https://attack.mitre.org/{kind}/{code.replace('.', '/')}/"


def _mark(mark: Mapping[str, Any]) -> dict[str, Any]:
    call = mapping(mark.get("call"))
    if call:
        text = wording.call_text(call, 400)
    else:
        text = " ".join(str(mark[name]) for name in ("category", "ioc", "description") if mark.get(name))
    owner = mark.get("key") if mark.get("key") is not None else mark.get("pid", call.get("pid"))
    return {
        "text": shorten(text, 400),
        "pid": mark.get("pid", call.get("pid")),
        "by": "key" if mark.get("key") is not None else "pid",
        "owner": owner if isinstance(owner, int) else "",
        "cid": mark["cid"] if isinstance(mark.get("cid"), int) else "",
    }


def _stages(report: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The stages of the analysis as shares of a bar, in percent."""
    timings = mapping(mapping(report.get("malkoha")).get("timings"))
    known = [(key, label, number(timings[key])) for key, label in _STAGES if timings.get(key) is not None]
    total = sum(seconds for _, _, seconds in known) or 1.0
    stages, begin = [], 0.0
    for key, label, seconds in known:
        share = 100 * seconds / total
        stages.append(
            {"key": key[:-2], "label": label, "text": duration(seconds), "x": round(begin, 2), "width": round(share, 2)}
        )
        begin += share
    return stages


def _facts(report: Mapping[str, Any]) -> list[tuple[str, str]]:
    own, info = mapping(report.get("malkoha")), mapping(report.get("info"))
    trace, machine, timings = mapping(own.get("trace")), mapping(own.get("machine")), mapping(own.get("timings"))
    setup = number(mapping(own.get("omitted")).get("launcher_calls"))
    command = items(own.get("command"))
    rows = [
        ("analysis", str(int(number(info.get("id"))))),
        ("started", _moment(info.get("started"))),
        ("ended", _moment(info.get("ended"))),
        ("package", str(info.get("package") or "")),
        ("command", shlex.join(map(str, command)) if command else ""),
        ("options", str(info.get("options") or "")),
        ("network", str(info.get("route") or "")),
        ("image", str(machine.get("image") or "")),
        ("accelerator", str(machine.get("accelerator") or "")),
        ("architecture", str(machine.get("architecture") or "")),
        ("engine", str(trace.get("engine") or "")),
        ("size of the trace", size(trace["bytes"]) if trace.get("bytes") is not None else ""),
        ("end of the run", str(trace.get("ended") or "")),
        ("first event", duration(timings.get("first_event_s"))),
        ("whole analysis", duration(timings.get("total_s"))),
        ("not shown", f"{count(setup, 'call')} of the launcher, before it ran the sample" if setup else ""),
        ("malkoha", str(own.get("version") or "")),
    ]
    return [(name, shorten(value, TEXT)) for name, value in rows if value]


def _moment(value: Any) -> str:
    seconds = number(value)
    if not 0 < seconds < 32_503_680_000:
        return ""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
