"""A running analysis as server-sent events: its state, the events of its trace, and what the sample prints."""

from __future__ import annotations

import codecs
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Annotated, Any

from anyio import sleep, to_thread
from fastapi import APIRouter, Depends, Header, HTTPException, Query
from fastapi.responses import StreamingResponse

from malkoha.model.event import Event
from malkoha.model.task import Status, Task
from malkoha.store import Store
from malkoha.trace import columns
from malkoha.trace.tail import Tail
from malkoha.web.service import Given, Service, found_task, needs
from malkoha.web.tokens import Role

POLL_S = 0.25
QUIET_S = 15.0
"""How often a stream without news shows that it lives."""
LONGEST_S = 3600.0
"""A stream ends after that; browsers ask again by themselves and go on where they were."""
MOST_STREAMS = 64
MOST_CALLS = 500
"""Calls that one message tells; forks, execs and exits are told whatever their number."""
MOST_TEXT = 300
CONSOLE_BYTES = 64 << 10
ENDED = frozenset(Status) - {Status.PENDING, Status.RUNNING, Status.COMPLETED}

router = APIRouter(prefix="/api/v1/tasks", tags=["live"], dependencies=[needs(Role.READ)])
_open = [0]

EXAMPLE = """\
event: state
data: {"id":12,"status":"running","error":""}

id: 40960
event: events
data: {"events":[{"kind":"exec","pid":1325,"args":{"exe":"/bin/bash"}}],"skipped":0}

event: console
data: {"stream":"stdout","text":"hello\\n"}

event: end
data: {"id":12,"status":"reported","error":""}
"""


@router.get(
    "/{task_id}/live",
    response_class=StreamingResponse,
    responses={200: {"content": {"text/event-stream": {"schema": {"type": "string"}, "example": EXAMPLE}}}},
)
async def task_live(
    given: Given,
    task: Annotated[Task, Depends(found_task)],
    calls: Annotated[bool, Query(description="Whether system calls are told, or only processes.")] = True,
    last_event_id: Annotated[str, Header(description="Where an earlier stream had come to.")] = "",
) -> StreamingResponse:
    """Stream a run while it goes on: ``state``, ``events``, ``console``, ``restart`` (another attempt), ``end``.

    A call is told when it has returned. A finished analysis is streamed from its beginning as well, as long as its
    records are there.
    """
    if _open[0] >= MOST_STREAMS:
        raise HTTPException(429, "Too many analyses are being watched", {"retry-after": "60"})
    offset = int(last_event_id) if last_event_id.isascii() and last_event_id.isdecimal() else 0
    stream = _stream(given, task.id, min(offset, 1 << 62), calls=calls)
    return StreamingResponse(stream, media_type="text/event-stream")


async def _stream(given: Service, task_id: int, offset: int, *, calls: bool) -> AsyncIterator[bytes]:
    _open[0] += 1
    try:
        began = spoke = time.monotonic()
        watch = await to_thread.run_sync(Watch, given, task_id, offset, calls)
        while time.monotonic() - began < LONGEST_S:
            said = await to_thread.run_sync(watch.news)
            for message in said:
                yield message
                spoke = time.monotonic()
            if watch.over:
                return
            if time.monotonic() - spoke > QUIET_S:
                yield b": still here\n\n"
                spoke = time.monotonic()
            if not said:
                await sleep(POLL_S)
    finally:
        _open[0] -= 1


class Watch:
    """Looks at one task again and again; ``news`` returns what is new as messages."""

    def __init__(self, given: Service, task_id: int, offset: int, calls: bool) -> None:
        self.over = False
        self._given, self._task_id, self._calls = given, task_id, calls
        self._state: tuple[str, str] | None = None
        self._begin(offset)

    def _begin(self, offset: int) -> None:
        store = self._given.home.analysis(self._task_id)
        self._tail = Tail(store.records, offset)
        self._consoles = [Console(name, path) for name, path in _streams(store)]

    def news(self) -> list[bytes]:
        """Return messages, ready to be sent; ``over`` says that none will follow."""
        try:
            task = self._given.tasks.get(self._task_id)
        except Exception:  # noqa: BLE001 - deleted meanwhile, or the table is gone: the stream ends
            self.over = True
            return [_message("end", {"id": self._task_id, "status": None, "error": "the task is gone"})]
        said = []
        state = task.status.value, task.error
        told = {"id": task.id, "status": state[0], "error": state[1]}
        if state != self._state:
            self._state = state
            said.append(_message("state", told))
        newest = self._given.home.analysis(self._task_id).records
        if self._tail.offset > _size(self._tail.path) or newest != self._tail.path:
            self._begin(0)
            said.append(_message("restart", {"id": task.id}))
        if events := self._tail.more():
            shown, skipped = self._chosen(events)
            if shown or skipped:
                said.append(_message("events", {"events": shown, "skipped": skipped}, self._tail.offset))
        for console in self._consoles:
            said += [_message("console", text) for text in console.news()]
        if task.status in ENDED and len(said) <= (1 if said and b"event: state" in said[0] else 0):
            self.over = True
            said.append(_message("end", told))
        return said

    def _chosen(self, events: list[Event]) -> tuple[list[dict[str, Any]], int]:
        calls = [event for event in events if event.kind == "syscall"] if self._calls else []
        kept = {event.seq for event in calls[:MOST_CALLS]}
        shown = [_shown(event) for event in events if event.kind != "syscall" or event.seq in kept]
        return shown, len(calls) - len(kept)


class Console:
    """What the sample writes to one of its outputs, as text, by and by."""

    def __init__(self, name: str, path: Path) -> None:
        self._name, self._path, self._at = name, path, 0
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")

    def news(self) -> Iterator[dict[str, str]]:
        """Yield what is new, at most ``CONSOLE_BYTES``."""
        try:
            with self._path.open("rb") as file:
                file.seek(self._at)
                new = file.read(CONSOLE_BYTES)
        except OSError:
            return
        self._at += len(new)
        if text := self._decoder.decode(new):
            yield {"stream": self._name, "text": text}


def _streams(store: Store) -> list[tuple[str, Path]]:
    return [("stdout", store.stdout), ("stderr", store.stderr)]


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0


def _message(kind: str, value: dict[str, Any], number: int | None = None) -> bytes:
    # JSON has no line ends of its own, so nothing that a sample writes can begin a field
    head = b"" if number is None else b"id: %d\n" % number
    return b"%sevent: %s\ndata: %s\n\n" % (head, kind.encode(), columns.to_json(value))


def _shown(event: Event) -> dict[str, Any]:
    told: dict[str, Any] = {
        name: getattr(event, name)
        for name in ("seq", "kind", "time_ns", "duration_ns", "pid", "tid", "ppid", "comm", "api", "ret_text", "errno")
    }
    return told | {"args": {name: _cut(value) for name, value in event.args.items()}}


def _cut(value: Any) -> Any:
    if isinstance(value, str):
        return value if len(value) <= MOST_TEXT else value[:MOST_TEXT] + "…"
    if isinstance(value, list):
        return [_cut(item) for item in value[:50]]
    if isinstance(value, dict):
        return {key: _cut(item) for key, item in list(value.items())[:50]}
    return value
