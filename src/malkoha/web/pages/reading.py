"""report.json of an analysis, only as much of it as a page shows: what is not asked for is skipped, not built."""

from __future__ import annotations

from functools import cache, lru_cache
from pathlib import Path
from typing import Any

import msgspec
from fastapi import HTTPException

from malkoha.errors import UsageError
from malkoha.model.task import Task
from malkoha.store import Store
from malkoha.trace.store import Trace
from malkoha.web.service import Service

MAX_REPORT = 1 << 30
"""A larger report.json is not opened by a page."""


def task_of(given: Service, task_id: int) -> Task:
    """Return a task; refuse one that is not there with status 404."""
    try:
        return given.tasks.get(task_id)
    except UsageError as error:
        raise HTTPException(404, f"There is no analysis {task_id}") from error


def sections(store: Store, *names: str) -> dict[str, Any]:
    """Read top-level sections of the report, or parts of one (``behavior.summary``); what is absent is left out.

    Refuses with status 404 where there is no report, and 500 where it is damaged.
    """
    try:
        if store.report_json.stat().st_size > MAX_REPORT:
            raise HTTPException(413, "The report is too large for a page; report.json can be downloaded")
        found = msgspec.json.decode(store.report_json.read_bytes(), type=_form(names))
    except FileNotFoundError as error:
        raise HTTPException(404, "There is no report yet") from error
    except (OSError, msgspec.MsgspecError) as error:
        raise HTTPException(500, "report.json of this analysis is damaged: malkoha process makes it anew") from error
    return _plain(found)


def trace_of(store: Store) -> Trace:
    """Open the events of an analysis; refuse one that has none with status 404."""
    try:
        found = store.events.stat()
    except OSError as error:
        raise HTTPException(404, "There are no events: the trace is not processed yet, or was removed") from error
    return _opened(store.events, found.st_ino, found.st_mtime_ns)


@lru_cache(maxsize=4)
def _opened(path: Path, inode: int, mtime_ns: int) -> Trace:
    """Keep what the footers of a few traces say: with ten thousand processes it takes a second to read."""
    del inode, mtime_ns  # a trace that was made anew is another
    return Trace(path)


@cache
def _form(names: tuple[str, ...]) -> type[msgspec.Struct]:
    """Make the type that has these fields; msgspec passes over everything else."""
    inner: dict[str, list[str]] = {}
    for name in names:
        top, _, rest = name.partition(".")
        inner.setdefault(top, []).extend([rest] if rest else [])
    fields = []
    for top, rests in inner.items():
        form: Any = _form(tuple(rests)) if rests else Any
        fields.append((top, form | msgspec.UnsetType if rests else Any, msgspec.UNSET))
    return msgspec.defstruct("Part", fields)


def _plain(part: msgspec.Struct) -> dict[str, Any]:
    found = {name: getattr(part, name) for name in part.__struct_fields__}
    return {
        name: _plain(value) if isinstance(value, msgspec.Struct) else value
        for name, value in found.items()
        if value is not msgspec.UNSET
    }
