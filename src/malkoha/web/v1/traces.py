"""The trace of an analysis: its processes, its events by filters, and a locked-down query."""

from __future__ import annotations

import threading
from typing import Annotated, Any, Literal

import msgspec
from fastapi import APIRouter, Depends, HTTPException, Query, Response

from malkoha.errors import UsageError
from malkoha.trace import columns
from malkoha.trace.store import Trace
from malkoha.web.service import Kept, needs
from malkoha.web.tokens import Role
from malkoha.web.v1 import models

router = APIRouter(prefix="/api/v1/tasks", tags=["trace"], dependencies=[needs(Role.READ)], responses=models.REFUSALS)
Kind = Literal["syscall", "fork", "exec", "exit", "signal", "adopt", "unknown"]
MOST_SECONDS = 1e9
ANSWER_BYTES = 64 << 20
_queries = threading.BoundedSemaphore(2)
"""Each query may take half a gigabyte of memory."""
FIELDS = (
    "seq", "kind", "time_ns", "duration_ns", "pid", "tid", "ppid", "comm", "api", "args", "ret", "ret_text",
    "errno", "raw",
)  # fmt: skip


def _trace(kept: Kept) -> Trace:
    if not kept.events.is_file():
        raise HTTPException(404, "This analysis has no events (yet)")
    return Trace(kept.events)


Opened = Annotated[Trace, Depends(_trace)]
Seconds = Annotated[float | None, Query(ge=-MOST_SECONDS, le=MOST_SECONDS)]


@router.get("/{task_id}/processes", responses={200: {"model": list[dict[str, Any]]}})
def task_processes(trace: Opened) -> Response:
    """List the processes of the trace, in order of appearance; docs/trace.md describes them."""
    return _json(msgspec.to_builtins(trace.processes))


@router.get("/{task_id}/events", responses={200: {"model": models.Events}})
def task_events(
    trace: Opened,
    pid: Annotated[int | None, Query(ge=0, lt=1 << 31)] = None,
    process: Annotated[int | None, Query(ge=-1, lt=1 << 31, description="Key of a process.")] = None,
    syscall: Annotated[list[str] | None, Query(description="Names of calls.", max_length=50)] = None,
    kind: Annotated[list[Kind] | None, Query(max_length=10)] = None,
    failed: Annotated[bool | None, Query(description="Only calls that failed, or only the others.")] = None,
    text: Annotated[str | None, Query(description="Text in the arguments, in any case.", max_length=1000)] = None,
    after: Seconds = None,
    before: Seconds = None,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
    offset: Annotated[int, Query(ge=0, lt=1 << 31)] = 0,
) -> Response:
    """Find events, in order of the trace; ``after`` and ``before`` are seconds since the first."""
    first = trace.stats.first_ns or 0
    moments = {
        name: None if value is None else first + round(value * 1e9)
        for name, value in (("after_ns", after), ("before_ns", before))
    }
    rows = trace.filter(
        pid=pid, process=process, syscall=syscall, kind=kind, failed=failed, text=text, **moments,
        offset=offset, limit=limit + 1,
    )  # fmt: skip
    events = [
        {name: getattr(row.event, name) for name in FIELDS} | {"process": row.process, "index": row.index}
        for row in rows[:limit]
    ]
    return _json({"events": events, "more": len(rows) > limit})


@router.post("/{task_id}/query", responses={200: {"model": models.Answer}})
def task_query(trace: Opened, query: models.Query) -> Response:
    """Run one SELECT on the view ``events``: it reaches this trace alone, in bounded memory and time."""
    if not _queries.acquire(timeout=30):
        raise HTTPException(429, "Too many queries are running", {"retry-after": "10"})
    try:
        found = trace.sql(query.sql, limit=query.limit)
    except UnicodeError as error:
        raise UsageError("the query is no text") from error
    finally:
        _queries.release()
    return _json({"columns": found.columns, "rows": [list(row) for row in found.rows], "more": found.cut})


def _json(value: Any) -> Response:
    content = columns.to_json(value)
    if len(content) > ANSWER_BYTES:
        raise HTTPException(400, f"The answer has more than {ANSWER_BYTES >> 20} MiB: ask for less")
    return Response(content, media_type="application/json")
