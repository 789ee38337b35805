"""What every endpoint works on, and how it gets it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, HTTPException, Path, Request
from fastapi.params import Depends as Dependency

from malkoha.config import Settings
from malkoha.errors import UsageError
from malkoha.model.task import Task
from malkoha.store import Home, Store
from malkoha.tasks import Tasks
from malkoha.web.access import Access, Caller
from malkoha.web.tokens import Role


@dataclass(frozen=True)
class Service:
    """One home with its settings and its table of tasks."""

    home: Home
    settings: Settings
    tasks: Tasks
    access: Access


async def service(request: Request) -> Service:
    """Return what the application works on.

    Like the other small dependencies it is a coroutine: a function would cost each request a change of threads.
    """
    found: Service = request.app.state.service
    return found


Given = Annotated[Service, Depends(service)]


async def caller(request: Request) -> Caller | None:
    """Return who made a request, as the guard found; None for somebody unknown on a path that is open to all."""
    found: Caller | None = request.scope.get("malkoha.caller")
    return found


def needs(role: Role) -> Dependency:
    """Return the dependency that refuses callers without ``role``; every route has one."""

    async def check(request: Request) -> None:
        found = await caller(request)
        if found is None:
            raise HTTPException(401, "Please log in")
        if not found.role.covers(role):
            raise HTTPException(403, f"The token {found.name} may not do this: it needs the role {role.value}")
        if role is not Role.READ and request.headers.get("sec-fetch-site") in ("cross-site", "same-site"):
            # the guard lets a link from elsewhere lead to a page; Cuckoo changes things by GET as well
            raise HTTPException(403, "Pages of other origins may not use this service")

    found: Dependency = Depends(check)
    return found


Asker = Annotated[Caller | None, Depends(caller)]


Number = Annotated[int, Path(ge=0, le=(1 << 31) - 1)]
"""The id of a task in a path."""


def found_task(given: Given, task_id: Number) -> Task:
    """Return the task that a path names."""
    try:
        return given.tasks.get(task_id)
    except UsageError as error:
        raise HTTPException(404, f"There is no task {task_id}") from error


Found = Annotated[Task, Depends(found_task)]


async def _store(given: Given, task: Found) -> Store:
    return given.home.analysis(task.id)


Kept = Annotated[Store, Depends(_store)]
"""The analysis folder of the task that a path names."""
