"""The network part of report.html: findings, downloads, conversations, lookups; rows of plain text, bounded."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from malkoha.reporting.wording import count, items, mapping, number, shorten, size

ROWS = 300
TEXT = 300


def wire(report: Mapping[str, Any]) -> dict[str, Any]:
    """Make the model of the part; ``tables`` is empty where nothing went over the wire."""
    network = mapping(report.get("network"))
    began = number(mapping(report.get("info")).get("started"))
    suricata = mapping(report.get("suricata"))
    chain = items(mapping(mapping(report.get("malkoha")).get("chain")).get("links"))
    tables = [
        _table("Alerts of Suricata", ("Priority", "Rule", "Category", "To", "From"), suricata, "alerts", _alert),
        _table("What it amounts to", ("What", "How often"), network, "findings", _finding),
        _table("Downloads", ("URL", "Size", "File", "Run by", "Fetched by"), network, "downloads", _download),
        _table(
            "Chain of downloads", ("Download", "Kind", "From", "Analysis", "Verdict"), network, "chain", _link, chain
        ),
        _table("Requests", ("Request", "Status", "From"), network, "requests", _request, _requests(network)),
        _table("Names", ("Name", "Kind", "Answers", "From"), network, "dns", _lookup),
        _table("TLS", ("Server", "To", "Version", "JA3", "JA4", "From"), network, "tls", _tls),
        _table("Conversations", ("Kind", "With", "What was said", "From"), network, "sessions", _session),
        _table("TCP", ("At", "To", "Sent", "Received", "From"), network, "tcp", lambda row: _flow(row, began)),
        _table("UDP", ("At", "To", "Sent", "Received", "From"), network, "udp", lambda row: _flow(row, began)),
        _table("Pings", ("At", "To", "Kind", "From"), network, "icmp", lambda row: _ping(row, began)),
    ]
    return {
        "mode": shorten(str(network.get("mode") or "none"), 40),
        "way": shorten(str(network.get("way") or ""), 120),
        "passed": [shorten(part, 400) for part in passed(report)],
        "packets": int(number(network.get("packets"))),
        "tables": [table for table in tables if table["rows"]],
    }


def passed(report: Mapping[str, Any]) -> list[str]:
    """Say what went through a route that leads out and what was kept from it; nothing where none does."""
    egress = mapping(mapping(mapping(report.get("malkoha")).get("network")).get("egress"))
    if not egress:
        return []
    blocked = sorted(mapping(egress.get("blocked")).items(), key=lambda item: -number(item[1]))
    stopped = ", ".join(f"{int(number(times)):,} {rule}" for rule, times in blocked[:6])
    limits = mapping(egress.get("limits"))
    return [
        f"{size(egress.get('sent'))} out, {size(egress.get('received'))} in",
        count(egress.get("flows"), "conversation"),
        f"blocked: {stopped}" if stopped else "nothing blocked",
        *(f"limit of {name} reached" for name in limits),
    ]


def _table(
    title: str, heads: tuple[str, ...], network: Mapping[str, Any], key: str, row: Any, rows: list[Any] | None = None
) -> dict[str, Any]:
    found = items(network.get(key)) if rows is None else rows
    total = len(found) + int(number(mapping(network.get("omitted")).get(key)))
    shown = [[shorten(str(cell), TEXT) for cell in row(mapping(entry))] for entry in found[:ROWS]]
    origins = [_origin(mapping(entry)) for entry in found[:ROWS]]
    return {
        "title": title, "heads": heads, "rows": shown, "origins": origins, "total": total, "cut": total > len(shown)
    }  # fmt: skip


def _origin(row: Mapping[str, Any]) -> tuple[int, int | None] | None:
    """Give the key of the process behind a row and the number of its call; None where there is none."""
    cause = mapping(row.get("cause"))
    key, cid = cause.get("key"), cause.get("cid")
    if not isinstance(key, int):
        return None
    return key, cid if isinstance(cid, int) and cid >= 0 else None


def _who(row: Mapping[str, Any]) -> str:
    cause = mapping(row.get("cause"))
    if not cause:
        return "no call of the sample"
    note = f" ({cause['note']})" if cause.get("note") else ""
    return f"{cause.get('process_name', '')} [{cause.get('pid', '')}] {cause.get('api', '')}{note}"


def _alert(row: Mapping[str, Any]) -> list[Any]:
    where = f"{row.get('dst_ip') or ''}:{row.get('dst_port') or ''}/{str(row.get('protocol') or '').lower()}"
    rule = f"{row.get('signature', '')} [{row.get('sid', '')}]"
    return [row.get("severity") or "", rule, row.get("category", ""), where, _who(row)]


def _finding(row: Mapping[str, Any]) -> list[Any]:
    return [row.get("description", ""), row.get("count", "")]


def _download(row: Mapping[str, Any]) -> list[Any]:
    pids = ", ".join(str(pid) for pid in items(row.get("executed")))
    files = ", ".join(str(path) for path in items(row.get("files")))
    return [row.get("url", ""), size(number(row.get("size"))), files, pids, _who(row)]


def _link(row: Mapping[str, Any]) -> list[Any]:
    name = f"{'> ' * (int(number(row.get('depth'))) - 1)}{row.get('url', '')}"
    found = "none" if row.get("id") is None else f"{row['id']}: {row.get('name', '')}"
    return [name, row.get("kind", ""), f"analysis {row.get('via', '')}", found, outcome(row)]


def outcome(row: Mapping[str, Any]) -> str:
    """Say what came of one link of a chain."""
    if row.get("level"):
        why = ", ".join(map(str, items(row.get("signatures"))[:4]))
        return f"{row['level']} {number(row.get('score')):.1f}{': ' if why else ''}{why}"
    return str(row.get("why") or row.get("status") or "")


def _requests(network: Mapping[str, Any]) -> list[Any]:
    """Requests that were seen from both sides, else those in the capture."""
    seen = [*items(network.get("http_ex")), *items(network.get("https_ex"))]
    return sorted(seen or items(network.get("http")), key=lambda row: number(mapping(row).get("time")))


def _request(row: Mapping[str, Any]) -> list[Any]:
    uri = str(row.get("uri", ""))
    url = uri if "://" in uri else f"{row.get('protocol', 'http')}://{row.get('host', '')}{uri}"
    return [f"{row.get('method', '')} {url}", row.get("status") or "", _who(row)]


def _lookup(row: Mapping[str, Any]) -> list[Any]:
    answers = ", ".join(str(mapping(answer).get("data", "")) for answer in items(row.get("answers")))
    return [row.get("request", ""), row.get("type", ""), answers, _who(row)]


def _tls(row: Mapping[str, Any]) -> list[Any]:
    where = f"{row.get('dst', '')}:{row.get('dport', '')}"
    version = row.get("version") or row.get("client_version", "")
    return [row.get("server_name", ""), where, version, row.get("ja3", ""), row.get("ja4", ""), _who(row)]


def _session(row: Mapping[str, Any]) -> list[Any]:
    steps = [mapping(step) for step in items(row.get("steps"))[:6]]
    said = "; ".join(
        " ".join(str(value) for key, value in step.items() if key not in ("time", "headers", "what")) for step in steps
    )
    where = f"{row.get('dst', '')}:{row.get('dport', '')}/{row.get('transport', '')}"
    return [row.get("service") or "unknown", where, said or row.get("preview_sent", ""), _who(row)]


def _flow(row: Mapping[str, Any], began: float) -> list[Any]:
    where = f"{row.get('dst', '')}:{row.get('dport', '')}"
    where += "" if row.get("answered") else ", no answer"
    sent, received = size(number(row.get("sent"))), size(number(row.get("received")))
    return [f"{max(number(row.get('time')) - began, 0.0):.2f} s", where, sent, received, _who(row)]


def _ping(row: Mapping[str, Any], began: float) -> list[Any]:
    kind = {8: "echo request", 0: "echo reply", 3: "unreachable"}.get(int(number(row.get("type"))), row.get("type"))
    return [f"{max(number(row.get('time')) - began, 0.0):.2f} s", row.get("dst", ""), kind, _who(row)]
