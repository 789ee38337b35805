"""Sigma rules to SQL by pySigma's SQLite backend: which table answers a rule, and with which query.

Conversion takes seconds for hundreds of rules, so what came out is kept in MALKOHA_HOME/cache by a hash of the rules.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

if TYPE_CHECKING:
    from sigma.rule import SigmaDetection, SigmaRule

TABLES = ("process_creation", "file_event", "network_connection", "auditd")
LEVELS = {"informational": 1, "low": 1, "medium": 3, "high": 4, "critical": 5}
FORM = "1"
"""Of the cache."""
ERRORS = 500


class Converted(msgspec.Struct, frozen=True):
    """One rule as a query."""

    file: str
    id: str
    title: str
    level: str
    tags: list[str]
    description: str
    table: str
    """Empty when no table of a trace answers it: the logs of a service, or another system."""
    sql: str
    fields: list[str]

    @property
    def severity(self) -> int:
        """The level as 1 to 5."""
        return LEVELS.get(self.level, 2)


class Rules(msgspec.Struct):
    """All that was converted, and what could not be."""

    rules: list[Converted]
    errors: list[str]


def convert_all(files: list[tuple[str, Path]], cache: Path | None = None) -> Rules:
    """Convert the rules of files; one that cannot be converted is named by file and left out."""
    kept = None
    if cache is not None:
        digest = hashlib.sha256(FORM.encode())
        for name, path in files:
            digest.update(name.encode() + b"\0" + path.read_bytes())
        kept = cache / f"sigma-{digest.hexdigest()[:32]}.json"
        try:
            return msgspec.json.decode(kept.read_bytes(), type=Rules)
        except (OSError, msgspec.MsgspecError):
            pass
    made = _convert(files)
    if kept is not None:
        kept.parent.mkdir(parents=True, exist_ok=True)
        part = kept.with_suffix(".part")
        part.write_bytes(msgspec.json.encode(made))
        part.replace(kept)
    return made


def _convert(files: Iterable[tuple[str, Path]]) -> Rules:
    from sigma.collection import SigmaCollection
    from sigma.rule import SigmaRule

    make: Any = import_module("sigma.backends.sqlite").sqliteBackend  # it has no types
    found = Rules([], [])
    for name, path in files:
        try:
            collection = SigmaCollection.from_yaml(path.read_text(encoding="utf-8"))
            for rule in collection.rules:
                if not isinstance(rule, SigmaRule):
                    raise TypeError("correlation rules are not run")
                table = _table(rule)
                backend = make(table=table or "logs", fulltext_field="raw")
                queries = backend.convert_rule(rule)
                found.rules += [_converted(name, rule, table, str(query)) for query in queries]
        except Exception as error:  # noqa: BLE001 - a rule of somebody fails in whatever way it likes
            found.errors.append(f"{name}: {type(error).__name__}: {error}"[:500])
    found.errors = found.errors[:ERRORS]
    return found


def _table(rule: SigmaRule) -> str:
    """Name the table that answers a rule; keywords without a category are looked for in the lines of auditd."""
    source = rule.logsource
    if source.product not in (None, "linux"):
        return ""
    if source.category in TABLES:
        return str(source.category)
    if source.service == "auditd" or (source.category is None and source.service is None):
        return "auditd"
    return ""


def _converted(name: str, rule: SigmaRule, table: str, sql: str) -> Converted:
    return Converted(
        file=name,
        id=str(rule.id or ""),
        title=str(rule.title)[:200],
        level=rule.level.name.lower() if rule.level else "",
        tags=[str(tag) for tag in rule.tags][:40],
        description=str(rule.description or "")[:500],
        table=table,
        sql=sql,
        fields=sorted({field for each in rule.detection.detections.values() for field in _fields(each)}),
    )


def _fields(detection: SigmaDetection) -> Iterator[str]:
    for item in detection.detection_items:
        inner: Any = item
        if hasattr(inner, "detection_items"):
            yield from _fields(inner)
        elif inner.field:
            yield str(inner.field)
