"""``malkoha trace``: look into the events of an analysis."""

from __future__ import annotations

import csv
import sys
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
import typer

from malkoha.cli import finding, terminal

if TYPE_CHECKING:
    from malkoha.trace.store import Row, Trace

MAX_CELL = 200
"""Characters of an argument that a table shows; the other forms show all that was recorded."""


class Format(StrEnum):
    """What can be printed."""

    TABLE = "table"
    CSV = "csv"
    JSON = "json"
    NDJSON = "ndjson"


def trace(
    analysis: finding.Analysis = "last",
    pid: Annotated[int | None, typer.Option(help="Only events of this process id.", metavar="N")] = None,
    process: Annotated[
        int | None, typer.Option(help="Only events of the process with this key; pids are reused.", metavar="KEY")
    ] = None,
    syscall: Annotated[
        list[str] | None, typer.Option(help="Only this system call; repeatable.", metavar="NAME")
    ] = None,
    kind: Annotated[
        list[str] | None,
        typer.Option(
            help="Only this kind: syscall, fork, exec, exit, signal, adopt, unknown; repeatable.", metavar="K"
        ),
    ] = None,
    failed: Annotated[
        bool | None, typer.Option("--failed/--succeeded", help="Only calls that failed, or only the others.")
    ] = None,
    text: Annotated[
        str | None, typer.Option(help="Only events with this text in their arguments, in any case.", metavar="TEXT")
    ] = None,
    after: Annotated[
        float | None, typer.Option(help="Only events so many seconds after the first, or later.", metavar="S")
    ] = None,
    before: Annotated[
        float | None, typer.Option(help="Only events less than so many seconds after the first.", metavar="S")
    ] = None,
    sql: Annotated[str | None, typer.Option(help="A query on the table events instead.", metavar="QUERY")] = None,
    limit: Annotated[int, typer.Option(help="Show at most N rows.", metavar="N", min=1)] = 1000,
    offset: Annotated[int, typer.Option(help="Leave out the first N rows.", metavar="N", min=0)] = 0,
    form: Annotated[
        Format, typer.Option("--format", "-f", help="table, csv, json (one list) or ndjson (an object a line).")
    ] = Format.TABLE,
    as_json: Annotated[bool, typer.Option("--json", help="The same as --format ndjson.")] = False,
    debug: terminal.Debug = False,
) -> None:
    """Show the events of an analysis, or query them.

    The table of a query is called events; docs/trace.md describes its columns.

    \b
    Examples:
      malkoha trace last --syscall openat --syscall unlinkat --succeeded
      malkoha trace 12 --pid 1034 --offset 100 --limit 50
      malkoha trace 12 --after 1.5 --before 2 --text /etc/ --format csv
      malkoha trace 12 --sql 'select api, count(*) n from events group by api order by n desc'
    """
    from malkoha.errors import UsageError
    from malkoha.trace.store import Trace

    home, _ = terminal.surroundings()
    store = finding.find(home, analysis)
    form = Format.NDJSON if as_json else form
    opened = Trace(finding.need(store.events, "events", finding.no_events(store)))
    chosen: dict[str, Any] = {
        "pid": pid, "process": process, "syscall": syscall or None, "kind": kind or None, "failed": failed,
        "text": text, "after_ns": _moment(opened, after), "before_ns": _moment(opened, before),
    }  # fmt: skip
    if sql is not None:
        if offset or any(value is not None for value in chosen.values()):
            raise UsageError("--sql cannot be combined with filters", "", "put the conditions into the query")
        answer = opened.sql(sql, limit=limit)
        PRINTERS[form](answer.columns, answer.rows)
        cut = answer.cut
    else:
        rows = opened.filter(**chosen, offset=offset, limit=limit + 1)
        cut = len(rows) > limit
        if form is Format.TABLE:
            _table(COLUMNS, [_cells(row) for row in rows[:limit]])
        else:
            PRINTERS[form](*_all(rows[:limit]))
    if cut:
        terminal.say(f"only the first {limit} rows are shown (--limit N shows more)")


COLUMNS = ("time (UTC)", "pid", "tid", "comm", "call", "returned")


def _moment(opened: Trace, seconds: float | None) -> int | None:
    """Turn seconds after the first event into the trace's time; one too large for it is its end."""
    if seconds is None:
        return None
    return (opened.stats.first_ns or 0) + round(max(min(seconds, 1e9), -1e9) * 1e9)


def _cells(row: Row) -> tuple[object, ...]:
    event = row.event
    moment = datetime.fromtimestamp(event.time_ns / 1e9, UTC)
    arguments = ", ".join(f"{name}={_text(value)}" for name, value in event.args.items())
    returned = " ".join(filter(None, (event.ret_text, event.errno)))
    shown = f"{event.api or event.kind}({arguments})" if event.raw is None or event.args else _text(event.raw)
    return (f"{moment:%H:%M:%S.%f}", event.pid, event.tid, event.comm, shown, returned)


def _text(value: object) -> str:
    text = value if isinstance(value, str) else msgspec.json.encode(value).decode()
    return text if len(text) <= MAX_CELL else text[:MAX_CELL] + "…"


def _all(rows: Iterable[Row]) -> tuple[Sequence[str], list[Sequence[object]]]:
    """Give events with the columns of events.parquet."""
    from malkoha.trace.columns import COLUMNS, PLACE

    found: list[Sequence[object]] = []
    for row in rows:
        values = {name: getattr(row.event, name) for name in COLUMNS if name not in PLACE}
        values |= {"process": row.process, "index": row.index}
        found.append([values[name] for name in COLUMNS])
    return tuple(COLUMNS), found


def _table(columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    terminal.table(columns, rows)


def _csv(columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Quoted as RFC 4180 has it; what is neither number nor text stands as JSON, and null as nothing."""
    out = csv.writer(sys.stdout, lineterminator="\n")
    out.writerow(columns)
    for row in rows:
        out.writerow(["" if cell is None else _cell(cell) for cell in row])


def _cell(cell: object) -> object:
    if isinstance(cell, str | int | float):
        return cell
    return msgspec.json.encode(cell, enc_hook=str).decode() if isinstance(cell, dict | list | tuple) else str(cell)


def _json(columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    sys.stdout.write("[" + ",\n ".join(_documents(columns, rows)) + "]\n")


def _ndjson(columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    for document in _documents(columns, rows):
        print(document)


def _documents(columns: Sequence[str], rows: Sequence[Sequence[object]]) -> Iterable[str]:
    # a query may give two columns one name: the later ones are numbered, so that none is lost
    names: list[str] = []
    for column in columns:
        names.append(column if column not in names else f"{column}_{len(names)}")
    for row in rows:
        yield msgspec.json.encode(dict(zip(names, row, strict=True)), enc_hook=str).decode()


PRINTERS = {Format.TABLE: _table, Format.CSV: _csv, Format.JSON: _json, Format.NDJSON: _ndjson}
