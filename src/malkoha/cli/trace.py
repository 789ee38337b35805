"""``malkoha trace``: look into the events of an analysis."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import msgspec
import typer

from malkoha.cli import finding, terminal

if TYPE_CHECKING:
    from malkoha.model.event import Event

MAX_CELL = 200
"""Characters of an argument that are shown; --json shows all that was recorded."""


def trace(
    analysis: finding.Analysis = "last",
    pid: Annotated[int | None, typer.Option(help="Only events of this process.", metavar="N")] = None,
    syscall: Annotated[str | None, typer.Option(help="Only this system call.", metavar="NAME")] = None,
    sql: Annotated[str | None, typer.Option(help="A query on the table events instead.", metavar="QUERY")] = None,
    limit: Annotated[int, typer.Option(help="Show at most N rows.", metavar="N", min=1)] = 1000,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object a line.")] = False,
    debug: terminal.Debug = False,
) -> None:
    """Show the events of an analysis, or query them.

    The table of a query is called events; docs/trace.md describes its columns.

    \b
    Examples:
      malkoha trace last --syscall openat
      malkoha trace 12 --pid 1034 --limit 50
      malkoha trace 12 --sql 'select api, count(*) n from events group by api order by n desc'
    """
    from malkoha.errors import UsageError
    from malkoha.trace.store import Trace

    home, _ = terminal.surroundings()
    store = finding.find(home, analysis)
    if sql is not None and (pid is not None or syscall is not None):
        raise UsageError("--sql cannot be combined with --pid or --syscall", "", "put the conditions into the query")
    opened = Trace(finding.need(store.events, "events", finding.no_events(store)))
    if sql is not None:
        answer = opened.sql(sql, limit=limit)
        _show(answer.columns, answer.rows, as_json=as_json)
        cut = answer.cut
    else:
        rows = opened.filter(pid=pid, syscall=syscall, limit=limit + 1)
        cut = len(rows) > limit
        if as_json:
            _lines(row.event for row in rows[:limit])
        else:
            _show(COLUMNS, [_cells(row.event) for row in rows[:limit]], as_json=False)
    if cut:
        terminal.say(f"only the first {limit} rows are shown (--limit N shows more)")


COLUMNS = ("time (UTC)", "pid", "tid", "comm", "call", "returned")


def _cells(event: Event) -> tuple[object, ...]:
    moment = datetime.fromtimestamp(event.time_ns / 1e9, UTC)
    arguments = ", ".join(f"{name}={_text(value)}" for name, value in event.args.items())
    returned = " ".join(filter(None, (event.ret_text, event.errno)))
    return (
        f"{moment:%H:%M:%S.%f}",
        event.pid,
        event.tid,
        event.comm,
        f"{event.api or event.kind}({arguments})",
        returned,
    )


def _text(value: object) -> str:
    text = value if isinstance(value, str) else msgspec.json.encode(value).decode()
    return text if len(text) <= MAX_CELL else text[:MAX_CELL] + "…"


def _show(columns: Sequence[str], rows: Sequence[Sequence[object]], *, as_json: bool) -> None:
    if as_json:
        _lines(dict(zip(columns, row, strict=True)) for row in rows)
    else:
        terminal.table(columns, rows)


def _lines(documents: Iterable[object]) -> None:
    for document in documents:
        print(msgspec.json.encode(document, enc_hook=str).decode())
