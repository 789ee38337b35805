"""The list of analyses: the queue as it is now, and what was found."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, HTTPException, Query, Request, Response

from malkoha.catalogue import Catalogue, Outcome
from malkoha.model.task import Status, Task
from malkoha.reporting.wording import duration, shorten
from malkoha.submit import shown
from malkoha.web.pages.rendering import PageRoute, page
from malkoha.web.service import Given, Service, needs
from malkoha.web.tokens import Role

router = APIRouter(route_class=PageRoute, include_in_schema=False, dependencies=[needs(Role.READ)])
ROWS = 50
MAX_PAGE = 100_000

Words = Annotated[str, Query(alias="q", max_length=200)]
PageNumber = Annotated[int, Query(alias="page", ge=1, le=MAX_PAGE)]


@router.get("/")
def queue(request: Request, given: Given, q: Words = "", status: str = "", number: PageNumber = 1) -> Response:
    """Show the analyses, the newest first."""
    return page(request, "queue.html.j2", **_listed(given, q, status, number))


@router.get("/queue")
def queue_rows(
    request: Request,
    given: Given,
    q: Words = "",
    status: str = "",
    number: PageNumber = 1,
    seen: Annotated[str, Query(max_length=40)] = "",
) -> Response:
    """Show the rows anew; nothing (status 204) when they are as they were."""
    listed = _listed(given, q, status, number)
    if seen == listed["seen"]:
        return Response(status_code=204)
    return page(request, "rows_only.html.j2", **listed)


def _listed(given: Service, words: str, status: str, number: int) -> dict[str, Any]:
    """Make what the list shows; ``seen`` stands for all of it."""
    if status and status not in list(Status):
        raise HTTPException(400, f"There is no state {status}")
    catalogue = Catalogue(given.tasks)
    left = catalogue.catch_up()
    tasks = _tasks(given, catalogue, words, status, number)
    rows = rows_of(catalogue, tasks[:ROWS])
    counts = {state.value: total for state, total in given.tasks.counts().items()}
    state = repr((rows, counts, left)).encode("utf-8", "backslashreplace")
    return {
        "q": words, "chosen": status, "number": number, "rows": rows, "counts": counts, "more": len(tasks) > ROWS,
        "uncatalogued": left, "seen": hashlib.sha256(state).hexdigest()[:16],
    }  # fmt: skip


def _tasks(given: Service, catalogue: Catalogue, words: str, status: str, number: int) -> list[Task]:
    """Return the tasks of one page and, if there are more, one of the next."""
    chosen, offset = [Status(status)] if status else [], (number - 1) * ROWS
    if not words.strip():
        return given.tasks.all(statuses=chosen, limit=ROWS + 1, offset=offset)
    return [given.tasks.get(found) for found in catalogue.named(words, chosen, limit=ROWS + 1, offset=offset)]


def rows_of(catalogue: Catalogue, tasks: Sequence[Task]) -> list[dict[str, Any]]:
    """Make what a list shows of each of these tasks."""
    ids = [task.id for task in tasks]
    outcomes, signatures = catalogue.outcomes(ids), catalogue.signatures(ids)
    return [_row(task, outcomes.get(task.id), signatures.get(task.id, [])) for task in tasks]


def _row(task: Task, outcome: Outcome | None, signatures: list[str]) -> dict[str, Any]:
    more = len(signatures) - 3
    return {
        "task": task,
        "name": name_of(task),
        "kind": shorten(task.sample.type if task.sample and task.category == "file" else "URL", 90),
        # while it is processed anew, the state says more than an older verdict
        "outcome": outcome if task.status is Status.REPORTED else None,
        "why": [*signatures[:3], *([f"+{more}"] if more > 0 else [])],
        "run": duration(outcome.run_s) if outcome else "",
        "how": f"{task.options.network} · {task.options.engine}",
        "added": moment(task.added_at),
    }


def name_of(task: Task) -> str:
    """Return what people call the target of a task."""
    if task.category == "file" and task.sample is not None:
        return shorten(shown(task.sample.name), 200)
    return shorten(task.target, 200)


def moment(when: datetime | None) -> str:
    """Say a moment, in UTC."""
    return "" if when is None else when.strftime("%Y-%m-%d %H:%M")
