"""A run while it goes on: its processes, what they do and what they print, asked for again every second."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict, deque
from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response

from malkoha.model.event import Event
from malkoha.model.task import Status, Task
from malkoha.reporting.wording import duration, shorten
from malkoha.store import Store
from malkoha.trace.processes import Builder
from malkoha.trace.tail import Tail
from malkoha.web.pages.calls import arguments_of
from malkoha.web.pages.reading import task_of
from malkoha.web.pages.rendering import PageRoute, page
from malkoha.web.pages.tree import tree
from malkoha.web.service import Given, Number, Service, needs
from malkoha.web.tokens import Role

router = APIRouter(
    prefix="/analysis/{task_id}", route_class=PageRoute, include_in_schema=False, dependencies=[needs(Role.READ)]
)
FOLLOWED = 8
"""Runs that are followed at once; the one that nobody looked at for longest is left."""
CONSOLE = 16 << 10
"""Bytes of the end of what was printed."""
RECENT = 400
EVENTS = 80
"""Events that one answer adds."""
PROCESSES = 100
READ_S = 0.4
"""How long one answer may take to read on."""


class Follower:
    """What was seen so far of one run: its processes, and the events that came last."""

    def __init__(self, path: Path) -> None:
        self.lock = threading.Lock()
        self.inode = path.stat().st_ino
        self.events = 0
        self.recent: deque[tuple[int, Event]] = deque(maxlen=RECENT)
        """Events in the order in which they were over, with their numbers."""
        self.began = 0
        self._tail, self._builder = Tail(path), Builder()

    def read(self) -> None:
        """Take in what is new, until there is nothing more or the time is over."""
        until = time.monotonic() + READ_S
        while time.monotonic() < until and (some := self._tail.more()):
            for event in some:
                self._builder.feed(event)
                self.events += 1
                self.recent.append((self.events, event))

    @property
    def behind(self) -> int:
        """Bytes of the trace that were not read yet."""
        try:
            return max(self._tail.path.stat().st_size - self._tail.offset, 0)
        except OSError:
            return 0

    def tree(self) -> dict[str, Any]:
        """Return the processes so far, beside their time."""
        known = self._builder.finish()
        self.began = min((each.started_ns for each in known if each.started_ns and not each.launcher), default=0)
        return tree(known, {}, rows=PROCESSES)


class Followers:
    """The runs that somebody looks at; several who look at one share it."""

    def __init__(self) -> None:
        self._known: OrderedDict[Path, Follower] = OrderedDict()
        self._lock = threading.Lock()

    def of(self, path: Path) -> Follower | None:
        """Return what follows a trace; None while there is none."""
        with self._lock:
            known = self._known.pop(path, None)
            try:
                if known is None or known.inode != path.stat().st_ino:  # an earlier attempt had a trace of its own
                    known = Follower(path)
            except OSError:
                return None
            self._known[path] = known
            while len(self._known) > FOLLOWED:
                self._known.popitem(last=False)
            return known

    def forget(self, path: Path) -> None:
        """Leave a trace that is complete."""
        with self._lock:
            self._known.pop(path, None)


FOLLOWERS = Followers()


@router.get("/live")
def live(
    request: Request, given: Given, task_id: Number, since: Annotated[int, Query(ge=-1, lt=1 << 63)] = -1
) -> Response:
    """Show what is new of a run; lead to the report when it is there, and say so when the run failed."""
    task = task_of(given, task_id)
    store = given.home.analysis(task_id)
    if task.status not in (Status.PENDING, Status.RUNNING, Status.COMPLETED):
        FOLLOWERS.forget(store.records)
        return Response(headers={"hx-redirect": f"/analysis/{task_id}"})
    return page(request, "live.html.j2", **told(given, task, since), update=True)


def told(given: Service, task: Task, since: int = -1) -> dict[str, Any]:
    """Make what the page shows; ``since`` is the last event that it has."""
    store = given.home.analysis(task.id)
    follower = FOLLOWERS.of(store.records)
    shown, fresh, number, behind, began = tree([], {}), list[tuple[int, Event]](), 0, 0, 0
    if follower is not None:
        with follower.lock:
            follower.read()
            shown, number, behind, began = follower.tree(), follower.events, follower.behind, follower.began
            # of another attempt the page has seen nothing
            seen = since if since <= number else -1
            fresh = [entry for entry in follower.recent if entry[0] > seen][-EVENTS:]
    return {
        **shown,
        "id": task.id,
        "q": "",
        "next": None,
        "state": task.status.value,
        "waiting": given.tasks.counts()[Status.PENDING] if task.status is Status.PENDING else 0,
        "events": [_line(event, began) for _, event in fresh],
        "since": number,
        "number": number,
        "behind": behind,
        "processes_more": max(shown["total"] - PROCESSES, 0),
        "span": duration((fresh[-1][1].time_ns - began) / 1e9) if fresh else "",
        "console": [entry for entry in (_console(store.stdout, "Output"), _console(store.stderr, "Errors")) if entry],
        "log": _log(store),
    }


def _line(event: Event, began: int) -> dict[str, Any]:
    call = event.kind == "syscall"
    return {
        "time": f"{max(event.time_ns - began, 0) / 1e9:.3f}",
        "pid": event.pid,
        "comm": shorten(event.comm, 20),
        "api": event.api if call else event.kind,
        "kind": "call" if call else event.kind,
        "arguments": arguments_of(event, 120) if call else [(name, shorten(str(v), 120)) for name, v in _few(event)],
        "ret": shorten(event.ret_text, 24),
        "errno": event.errno,
    }


def _few(event: Event) -> list[tuple[str, Any]]:
    """Choose what is worth a line of a thing that is no call."""
    names = ("child_pid", "exe", "argv", "code", "signal", "why", "what")
    return [(name, event.args[name]) for name in names if event.args.get(name) not in (None, "", [], 0)]


def _console(path: Path, title: str) -> dict[str, Any] | None:
    try:
        with path.open("rb") as file:
            size = file.seek(0, 2)
            file.seek(max(size - CONSOLE, 0))
            text = file.read(CONSOLE).decode("utf-8", "replace")
    except OSError:
        return None
    return {"title": title, "size": size, "text": text} if size else None


def _log(store: Store) -> list[str]:
    """Give the last lines of the log, which tell what is done before the sample runs."""
    try:
        with store.log.open("rb") as file:
            size = file.seek(0, 2)
            file.seek(max(size - 4096, 0))
            lines = file.read(4096).decode("utf-8", "replace").splitlines()
    except OSError:
        return []
    return [shorten(line, 300) for line in lines[-6:]]
