"""What report.html shows of detection without the trace: ATT&CK, rules that matched, and what the file says of itself.

In: report.json as plain values. Out: nested plain values, bounded, not yet escaped.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from malkoha.reporting.attack import matrix
from malkoha.reporting.documents import documents
from malkoha.reporting.wording import items, mapping, number, shorten

TEXT = 600
HEAD = 60
_KINDS = (
    ("urls", "URLs in the strings"),
    ("ips", "IP addresses"),
    ("domains", "domains"),
    ("onions", "onion addresses"),
    ("emails", "e-mail addresses"),
    ("wallets", "wallets"),
    ("keys", "keys and tokens"),
    ("commands", "commands"),
    ("paths", "paths"),
)
_SCRIPT = (
    ("downloads", "downloads"),
    ("piped_to_interpreter", "piped into an interpreter"),
    ("evaluates", "evaluated text"),
    ("connections", "connections"),
    ("hidden_names", "hidden names"),
    ("reads_request", "read from requests"),
)


def detection(report: Mapping[str, Any]) -> dict[str, Any]:
    """Give the model of the parts attack.html.j2, rules.html.j2 and facts.html.j2."""
    own, static = mapping(report.get("malkoha")), mapping(report.get("static"))
    elf = mapping(static.get("elf"))
    return {
        "attack": matrix(report),
        "yara": [_yara(mapping(match)) for match in items(mapping(own.get("yara")).get("matches"))[:200]],
        "sigma": [_sigma(mapping(match)) for match in items(mapping(own.get("sigma")).get("matches"))[:200]],
        "rule_errors": [
            shorten(str(error), TEXT)
            for name in ("yara", "sigma")
            for error in items(mapping(own.get(name)).get("errors"))
        ][:100],
        "oddities": [shorten(str(text), TEXT) for text in items(elf.get("oddities"))[:50]],
        "made_by": [shorten(str(text), 80) for text in items(elf.get("made_by"))[:20]],
        "telfhash": shorten(str(elf.get("telfhash") or ""), 100),
        "packer": _packer(mapping(static.get("packer"))),
        "script": _script(mapping(static.get("script"))),
        "documents": documents(static),
        "indicators": [
            *_lists(mapping(static.get("indicators")), _KINDS),
            *_lists({"capa": _capabilities(mapping(static.get("capa")))}, (("capa", "Capabilities (capa)"),)),
        ],
    }


def _capabilities(told: Mapping[str, Any]) -> list[str]:
    found = [mapping(each) for each in items(told.get("capabilities"))]
    return [f"{each.get('name', '?')} ({each.get('namespace') or 'no namespace'})" for each in found]


def _lists(told: Mapping[str, Any], names: tuple[tuple[str, str], ...]) -> list[dict[str, Any]]:
    return [
        {
            "label": label,
            "key": f"static_{name}",
            "head": [shorten(str(text), TEXT) for text in items(told.get(name))[:HEAD]],
            "rest": [],
            "block": "",
            "total": len(items(told.get(name))),
            "missed": 0,
        }
        for name, label in names
        if items(told.get(name))
    ]


def _severity(match: Mapping[str, Any]) -> int:
    return min(5, max(1, int(number(match.get("severity"), 1))))


def _yara(match: Mapping[str, Any]) -> dict[str, Any]:
    places = [mapping(place) for place in items(match.get("places"))[:6]]
    return {
        "name": shorten(str(match.get("rule", "?")), 128),
        "title": shorten(str(match.get("description") or ""), 400),
        "severity": _severity(match),
        "where": shorten(
            f"{match.get('on', '')} {match.get('file', '')}" if match.get("on") != "sample" else "sample", 90
        ),
        "source": shorten(str(match.get("source", "")), 120),
        "attack": [shorten(str(code), 12) for code in items(match.get("attack"))[:10]],
        "lines": [_place(place) for place in places],
        "count": len(items(match.get("places"))),
    }


def _place(place: Mapping[str, Any]) -> str:
    text = shorten(str(place.get("text", "")), 120)
    return f"{place.get('name', '')} at {int(number(place.get('offset'))):#x}: {text}"


def _sigma(match: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "name": shorten(str(match.get("title", "?")), 200),
        "title": shorten(str(match.get("description") or ""), 400),
        "severity": _severity(match),
        "where": shorten(str(match.get("level", "")), 20),
        "source": shorten(f"{match.get('source', '')} {match.get('id', '')}", 200),
        "attack": [shorten(str(code), 12) for code in items(match.get("attack"))[:10]],
        "lines": [_fields(mapping(event)) for event in items(match.get("events"))[:6]],
        "count": int(number(match.get("count"))),
    }


def _fields(event: Mapping[str, Any]) -> str:
    shown = [f"{name}={value}" for name, value in mapping(event.get("fields")).items()]
    return shorten(f"{int(number(event.get('seq')))}: " + "  ".join(shown), 400)


def _packer(told: Mapping[str, Any]) -> str:
    if not told:
        return ""
    if told.get("unpacked"):
        length = f"{int(number(told.get('size'))):,} bytes"
        return shorten(f"{told.get('name', '')}: unpacked to {length}, sha256 {told.get('sha256', '')}", 300)
    return shorten(f"{told.get('name', '')}: not unpacked: {told.get('why', '')}", 400)


def _script(told: Mapping[str, Any]) -> dict[str, Any]:
    if not told:
        return {}
    calls = mapping(told.get("calls"))
    lists = _lists(told, _SCRIPT) + _lists(calls, tuple((str(kind), str(kind)) for kind in list(calls)[:20]))
    heredocs = [mapping(each) for each in items(told.get("heredocs"))[:20]]
    payloads = [mapping(each) for each in items(told.get("payloads"))[:40]]
    return {
        "language": shorten(str(told.get("language", "")), 40),
        "lists": lists,
        "texts": [*map(_heredoc, heredocs), *map(_payload, payloads)],
    }


def _heredoc(told: Mapping[str, Any]) -> dict[str, str]:
    return {"title": shorten(f"heredoc: {told.get('to', '')}", 200), "text": str(told.get("text", ""))[:4000]}


def _payload(told: Mapping[str, Any]) -> dict[str, str]:
    way = " › ".join(map(str, items(told.get("how"))))
    title = f"decoded: {way}, {int(number(told.get('size'))):,} bytes"
    return {"title": shorten(title, 200), "text": str(told.get("text", ""))[:4000]}
