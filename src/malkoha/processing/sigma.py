"""Section ``sigma``: the user's Sigma rules, asked of the events as SQL on tables in SQLite.

In: events.parquet and the rules of MALKOHA_HOME/rules. Out: which rules matched, with the events; which cannot be
answered by a trace (logs of services), failed or took too long is told.
"""

from __future__ import annotations

import re
import signal
import sqlite3
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from functools import lru_cache
from itertools import islice
from pathlib import Path
from typing import Any

from malkoha.config import home_from
from malkoha.processing.base import Earlier, Facts, Processing
from malkoha.processing.sigma_tables import COLUMNS, ROWS, Reading, line
from malkoha.rules import sets
from malkoha.rules.sigma import Converted, convert_all
from malkoha.trace.store import Trace

EVENTS = 20
"""Events of one match that the report holds; ``count`` is the true number up to ``COUNTED``."""
COUNTED = 10_000
RULE_S = 5.0
ALL_S = 90.0
"""Time for all rules: the module is stopped after twice that, and nothing would be left of it."""
FIELDS = 500
_TECHNIQUE = re.compile(r"attack\.(t\d{4}(?:\.\d{3})?)", re.IGNORECASE)


class SigmaModule(Processing):
    """Make the section ``sigma``."""

    name = "sigma"
    isolated = True
    timeout_s = 180.0

    @classmethod
    def applies(cls, facts: Facts) -> bool:
        return facts.store.events.exists() and bool(sets.files(home_from(), "sigma"))

    def run(self, facts: Facts, earlier: Earlier) -> dict[str, Any]:
        del earlier
        home = home_from()
        converted = convert_all(sets.files(home, "sigma"), home.cache)
        with (
            tempfile.TemporaryDirectory(prefix="malkoha-sigma-") as folder,
            closing(sqlite3.connect(Path(folder) / "events.db")) as connection,
        ):
            rows, left_out = fill(connection, Trace(facts.store.events), converted.rules)
            matches, errors = ask(connection, converted.rules)
        return {
            "rules": len(converted.rules),
            "without_table": sum(1 for rule in converted.rules if not rule.table),
            "rows": rows,
            "rows_left_out": left_out,
            "matches": matches,
            "errors": [*converted.errors, *errors],
        }


def fill(connection: sqlite3.Connection, trace: Trace, rules: list[Converted]) -> tuple[dict[str, int], int]:
    """Make the tables; a field that a rule names and a trace does not have is an empty column."""
    connection.executescript("PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF;")
    connection.create_function("REGEXP", 2, _regexp, deterministic=True)
    known = {table: list(columns) for table, columns in COLUMNS.items()}
    for rule in rules:
        names = known.get(rule.table, [])
        for field in rule.fields:
            if len(names) < FIELDS and field.lower() not in {name.lower() for name in names}:
                names.append(field)
    for table, names in known.items():
        columns = ", ".join(f'"{name.replace(chr(34), "")}" TEXT COLLATE NOCASE' for name in names)
        connection.execute(
            f'CREATE TABLE "{table}" (_seq INTEGER, _process INTEGER, _index INTEGER, raw TEXT, {columns})'
        )
    counts, left_out = dict.fromkeys(COLUMNS, 0), 0
    for table, row, values in Reading(trace.processes).rows(trace):
        if counts[table] >= ROWS:
            left_out += 1
            continue
        counts[table] += 1
        listed = ", ".join(f'"{name}"' for name in values)
        marks = ", ".join("?" * (len(values) + 4))
        places = (row.event.seq, row.process, row.index, line(table, values, row.event))
        texts = [None if value is None else _clean(str(value)) for value in values.values()]
        connection.execute(
            f'INSERT INTO "{table}" (_seq, _process, _index, raw, {listed}) VALUES ({marks})',  # noqa: S608 - own names
            [*places[:3], _clean(places[3]), *texts],
        )
    connection.commit()
    return counts, left_out


def _clean(text: str) -> str:
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def ask(connection: sqlite3.Connection, rules: list[Converted]) -> tuple[list[dict[str, Any]], list[str]]:
    """Ask every rule that a table answers, each within its time; nothing in it can write or attach a file.

    Rules whose turn does not come are named.
    """
    connection.set_authorizer(_authorize)
    connection.row_factory = sqlite3.Row
    matches: list[dict[str, Any]] = []
    errors: list[str] = []
    deadline = time.monotonic() + ALL_S
    for rule in rules:
        if not rule.table:
            continue
        left = deadline - time.monotonic()
        if left <= 0:
            errors.append(f"{rule.file}: {rule.title}: not asked: all rules together took {ALL_S:g} s"[:500])
            continue
        try:
            with _limit(connection, min(RULE_S, left)):
                found = list(islice(connection.execute(rule.sql), COUNTED))
        except (sqlite3.Error, sqlite3.Warning, TimeoutError) as error:
            errors.append(f"{rule.file}: {rule.title}: {type(error).__name__}: {error}"[:500])
            continue
        if found:
            matches.append(_match(rule, found))
    return sorted(matches, key=lambda match: (-match["severity"], match["title"])), errors


def _match(rule: Converted, found: list[sqlite3.Row]) -> dict[str, Any]:
    events = []
    columns = [name for name in tuple(found[0].keys()) if name not in _OWN]
    for row in found[:EVENTS]:
        fields = {name: str(row[name])[:1000] for name in columns if row[name] not in ("", None)}
        events.append({"seq": row["_seq"], "key": row["_process"], "cid": row["_index"], "fields": fields})
    return {
        "title": rule.title,
        "id": rule.id,
        "level": rule.level,
        "severity": rule.severity,
        "description": rule.description,
        "tags": rule.tags,
        "attack": sorted({match[1].upper() for tag in rule.tags if (match := _TECHNIQUE.fullmatch(tag))}),
        "table": rule.table,
        "source": rule.file,
        "count": len(found),
        "events": events,
    }


_OWN = frozenset(("_seq", "_process", "_index", "raw"))
_ALLOWED = frozenset((sqlite3.SQLITE_SELECT, sqlite3.SQLITE_READ, sqlite3.SQLITE_FUNCTION))


def _authorize(action: int, *_: object) -> int:
    return sqlite3.SQLITE_OK if action in _ALLOWED else sqlite3.SQLITE_DENY


@lru_cache(maxsize=2000)
def _pattern(text: str) -> re.Pattern[str]:
    return re.compile(text)


def _regexp(pattern: str, value: str | None) -> bool:
    return value is not None and _pattern(pattern).search(value) is not None


@contextmanager
def _limit(connection: sqlite3.Connection, seconds: float) -> Iterator[None]:
    """Stop what takes too long: SQLite by its progress handler, a regular expression within it by an alarm."""
    deadline = time.monotonic() + seconds
    connection.set_progress_handler(lambda: time.monotonic() > deadline, 100_000)

    def stop(*_: object) -> None:
        raise TimeoutError(f"stopped after {seconds:g} s")

    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
        connection.set_progress_handler(None, 0)
