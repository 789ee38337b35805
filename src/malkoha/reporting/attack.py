"""ATT&CK in a report: which techniques were seen, by what, and in which tactics.

In: report.json as plain values. Out: techniques with names and sources, for the matrix, the Navigator and the exports.
Former ids become those of today: who matched by either, matched the same.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from malkoha import attack
from malkoha.reporting.wording import items, mapping, number

TECHNIQUE = re.compile(r"T[0-9]{4}(?:\.[0-9]{3})?")
SOURCES = 40


def techniques(report: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Give what was seen: technique's id to ``name``, ``severity`` (the highest) and ``sources`` (what saw it)."""
    found: dict[str, dict[str, Any]] = {}

    def add(code: str, name: str, severity: int, source: str) -> None:
        if not TECHNIQUE.fullmatch(code):
            return
        code = attack.current(code)
        entry = found.setdefault(code, {"name": _name(code), "severity": 0, "sources": []})
        entry["name"] = entry["name"] or name[:120]
        entry["severity"] = max(entry["severity"], severity)
        if source not in entry["sources"] and len(entry["sources"]) < SOURCES:
            entry["sources"].append(source)

    for match in map(mapping, items(report.get("signatures"))):
        for code, name in mapping(match.get("ttp")).items():
            add(str(code), str(name), int(number(match.get("severity"), 1)), str(match.get("name", "?"))[:120])
    own = mapping(report.get("malkoha"))
    for section, key in (("yara", "rule"), ("sigma", "title")):
        for match in map(mapping, items(mapping(own.get(section)).get("matches"))):
            for code in items(match.get("attack")):
                source = f"{section.upper() if section == 'yara' else 'Sigma'}: {str(match.get(key, '?'))[:120]}"
                add(str(code), "", int(number(match.get("severity"), 1)), source)
    return dict(sorted(found.items()))


def _name(code: str) -> str:
    return attack.name(code) if code in attack.techniques() else ""


def tactics_of(code: str) -> list[str]:
    """Name the tactics of a technique or sub-technique, by today's id; empty for one that is not known here."""
    known = attack.techniques()
    for one in (code, code.partition(".")[0]):
        if one in known:
            return attack.tactics(one)
    return []


def matrix(report: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Give the columns of the matrix that hold something: tactic's id, title, and its techniques."""
    seen = techniques(report)
    columns = []
    for name, code in attack.matrix().items():
        entries = [{"id": key, **entry} for key, entry in seen.items() if name in tactics_of(key)]
        if entries:
            columns.append({"id": code, "title": name.replace("-", " ").capitalize(), "techniques": entries})
    rest = [{"id": key, **entry} for key, entry in seen.items() if not tactics_of(key)]
    return [*columns, {"id": "", "title": "Other", "techniques": rest}] if rest else columns
