"""The calls of an analysis, a page at a time, straight from events.parquet: ten million are no more work than ten."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, HTTPException, Query, Request, Response

from malkoha.model.event import Event
from malkoha.model.process import Process
from malkoha.processing.behavior import call_of
from malkoha.reporting.wording import argument_kinds, duration, shorten, value_text
from malkoha.trace.store import Row, Trace
from malkoha.web.pages.frame import frame
from malkoha.web.pages.reading import task_of, trace_of
from malkoha.web.pages.rendering import PageRoute, page
from malkoha.web.service import Given, Number, needs
from malkoha.web.tokens import Role

router = APIRouter(
    prefix="/analysis/{task_id}", route_class=PageRoute, include_in_schema=False, dependencies=[needs(Role.READ)]
)
ROWS = 200
BEFORE = 15
"""Calls that are shown in front of the one that was asked for."""
LISTED = 400
"""Processes that can be chosen from a list; others from the tree."""
TEXT = 300
WHOLE = 64 << 10
"""Characters of one argument of a call that is opened."""

Key = Annotated[int | None, Query(ge=0, lt=1 << 31)]
Words = Annotated[str, Query(alias="q", max_length=400)]
Names = Annotated[str, Query(max_length=400)]


@router.get("/calls")
def calls(
    request: Request,
    given: Given,
    task_id: Number,
    process: str = "",
    q: Words = "",
    api: Names = "",
    failed: str = "",
    at: str = "",
) -> Response:
    """Show the calls of one process, or of all, from a place on."""
    task = task_of(given, task_id)
    trace = trace_of(given.home.analysis(task_id))
    key, place = _whole(process), _whole(at)
    found = _page(trace, key, q, api, bool(failed), place=place)
    names = [each for each in trace.processes if not each.launcher]
    listed = [
        (each.key, f"{each.pid} {shorten(each.name, 40)} ({each.calls - each.setup_calls:,})")
        for each in names[:LISTED]
    ]
    if key is not None and all(key != listed_key for listed_key, _ in listed):
        chosen = _process(trace, key)
        listed.insert(0, (key, f"{chosen.pid} {shorten(chosen.name, 40)} ({chosen.calls:,})"))
    return page(
        request, "calls.html.j2", **frame(given, task), **found, q=q, api=api, failed=bool(failed), wanted=place,
        process=key, card=_card(trace, key), processes=listed, unlisted=max(len(names) - LISTED, 0),
        total=trace.stats.calls,
    )  # fmt: skip


@router.get("/calls/more")
def calls_more(
    request: Request,
    given: Given,
    task_id: Number,
    process: Key = None,
    q: Words = "",
    api: Names = "",
    failed: str = "",
    offset: Annotated[int | None, Query(ge=0, lt=1 << 31)] = None,
    seq: Annotated[int | None, Query(ge=0, lt=1 << 63)] = None,
) -> Response:
    """Show the next rows: from a number of the process's calls on, or from a place in the trace on."""
    task_of(given, task_id)
    trace = trace_of(given.home.analysis(task_id))
    found = _page(trace, process, q, api, bool(failed), offset=offset, seq=seq)
    return page(
        request,
        "call_rows.html.j2",
        id=task_id,
        q=q,
        api=api,
        failed=bool(failed),
        process=process,
        wanted=None,
        **found,
    )


@router.get("/call/{seq}")
def call(request: Request, given: Given, task_id: Number, seq: int) -> Response:
    """Show one call with the whole of its arguments."""
    task_of(given, task_id)
    trace = trace_of(given.home.analysis(task_id))
    rows = trace.filter(from_seq=seq, to_seq=seq, limit=1) if 0 <= seq < 1 << 63 else []
    if not rows:
        raise HTTPException(404, "There is no such call")
    return page(request, "call.html.j2", id=task_id, call=_whole_call(rows[0], trace))


def _page(
    trace: Trace,
    process: int | None,
    words: str,
    api: str,
    failed: bool,
    *,
    place: int | None = None,
    offset: int | None = None,
    seq: int | None = None,
) -> dict[str, Any]:
    """Make rows, and the parameters that lead to the next ones."""
    began = min((each.started_ns for each in trace.processes if each.started_ns and not each.launcher), default=0)
    names = {each.key: (each.pid, shorten(each.name, 40)) for each in trace.processes} if process is None else {}
    ahead: dict[str, int] | None
    if process is not None and not (words.strip() or api.strip() or failed):
        known = _process(trace, process)
        first = offset if offset is not None else max((place if place is not None else known.setup_calls) - BEFORE, 0)
        first = max(first, 0) if place is not None or offset is not None else known.setup_calls
        rows = trace.calls(process, first, ROWS)
        ahead = {"offset": first + ROWS} if first + ROWS < known.calls else None
    else:
        apis = api.replace(",", " ").split()
        rows, following = trace.find(
            from_seq=seq or 0, process=process, kind="syscall", syscall=apis or None, failed=True if failed else None,
            text=words.strip() or None, limit=ROWS,
        )  # fmt: skip
        ahead = None if following is None else {"seq": following}
    return {"rows": [_row(row, began, names) for row in rows], "ahead": ahead}


def arguments_of(event: Event, limit: int = TEXT) -> list[tuple[str, str]]:
    """Show the arguments of a call, names and values, texts in quotes."""
    kinds, shown = argument_kinds(event.api), []
    for position, (name, value) in enumerate(event.args.items()):
        text = kinds[position] == "t" if position < len(kinds) else None
        shown.append((shorten(name, 80), shorten(value_text(value, text=text), limit)))
    return shown


def _row(row: Row, began: int, names: dict[int, tuple[int, str]]) -> dict[str, Any]:
    event = row.event
    return {
        "seq": event.seq,
        "index": row.index,
        "process": row.process,
        "who": names.get(row.process),
        "time": f"{max(event.time_ns - began, 0) / 1e9:.6f}",
        "api": event.api,
        "arguments": arguments_of(event)[:16],
        "ret": shorten(event.ret_text, 40),
        "errno": event.errno,
    }


def _whole_call(row: Row, trace: Trace) -> dict[str, Any]:
    event = row.event
    told = call_of(event)
    process = _process(trace, row.process)
    return {
        "api": event.api,
        "arguments": arguments_of(event, WHOLE),
        "facts": [
            ("result", f"{event.ret_text} {event.errno}".strip() or "did not return"),
            ("took", "" if event.duration_ns is None else duration(event.duration_ns / 1e9)),
            ("process", f"{event.pid} {shorten(process.name, 80)}"),
            ("thread", str(event.tid) if event.tid != event.pid else ""),
            ("kind", told.category),
            ("number", f"{row.index:,} of the process, {event.seq:,} of the trace" if row.index is not None else ""),
            ("from", f"{event.ip:#x} {event.abi}" if event.ip else ""),
        ],
        "raw": shorten(event.raw or "", WHOLE),
    }


def _process(trace: Trace, key: int) -> Process:
    for process in trace.processes:
        if process.key == key:
            return process
    raise HTTPException(404, "There is no such process in the trace")


def _card(trace: Trace, key: int | None) -> dict[str, Any] | None:
    """Make what stands above the calls of one process."""
    if key is None:
        return None
    process = _process(trace, key)
    ids = process.ids[0] if process.ids else None
    return {
        "pid": process.pid,
        "name": shorten(process.name, 200),
        "exe": shorten(process.exe, 400),
        "command": shorten(process.command_line, 4096),
        "images": [(shorten(image.path, 300), shorten(" ".join(image.argv), 600)) for image in process.images[:20]],
        "facts": [
            ("made by", str(process.ppid)),
            ("threads", str(process.threads) if process.threads > 1 else ""),
            ("user", f"{ids.uid}" + (f", acting as {ids.euid}" if ids.euid != ids.uid else "") if ids else ""),
            ("calls", f"{process.calls:,}"),
            ("folder", shorten(process.images[0].cwd, 300) if process.images else ""),
        ],
    }


def _whole(text: str) -> int | None:
    """Read a number of a form; None for a field that was left empty. Refuses anything else."""
    if not text.strip():
        return None
    if not (text.isascii() and text.isdecimal() and len(text) < 11):
        raise HTTPException(400, "That is not a number")
    return int(text)
