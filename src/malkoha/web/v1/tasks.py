"""Tasks: submit, list, look at, run again, cancel, delete."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Form, HTTPException, Query, Response, UploadFile

from malkoha import submit
from malkoha.errors import MalkohaError, UsageError
from malkoha.machinery import image as images
from malkoha.model.task import Options, Status
from malkoha.web import acting
from malkoha.web.acting import Batch, Wanted
from malkoha.web.service import Asker, Found, Given, needs
from malkoha.web.tokens import Role
from malkoha.web.v1 import models

router = APIRouter(prefix="/api/v1/tasks", tags=["tasks"], dependencies=[needs(Role.READ)], responses=models.REFUSALS)
SUBMIT, ADMIN = [needs(Role.SUBMIT)], [needs(Role.ADMIN)]
MAX_TAGS = 32
Text = Annotated[str, Form(max_length=4096)]


@router.post("", status_code=201, response_model=models.Submitted, dependencies=SUBMIT)
def submit_tasks(
    given: Given,
    files: Annotated[list[UploadFile] | None, Form(description="Samples; archives are unpacked.")] = None,
    url: Annotated[str, Form(description="A URL instead of files.", max_length=2048)] = "",
    timeout_s: Annotated[float | None, Form(gt=0, le=86400)] = None,
    package: Annotated[str, Form(description="How to start it; empty: what fits.", max_length=64)] = "",
    arguments: Text = "",
    user: Annotated[str, Form(max_length=32)] = "root",
    network: Annotated[str, Form(description="One of ``networks`` of /api/v1/abilities.", max_length=32)] = "",
    engine: Annotated[Literal["tracepoint", "kprobe"], Form()] = "tracepoint",
    image: Annotated[str, Form(max_length=64)] = "default",
    memory: Annotated[bool, Form()] = False,
    time: Annotated[Literal["real", "skip"], Form()] = "real",
    option: Annotated[list[str] | None, Form(description="KEY=VALUE, for packages.", max_length=50)] = None,
    priority: Annotated[int, Form(ge=1, le=100)] = 1,
    tags: Annotated[list[str] | None, Form(max_length=MAX_TAGS)] = None,
    custom: Text = "",
    owner: Text = "",
) -> dict[str, Any]:
    """Put files or a URL into the queue. All of them, or none: what is refused is told in the answer 400."""
    if bool(files) == bool(url):
        raise HTTPException(400, "Give files, or a url")
    if image != "default" and image not in [each.name for each in images.list_images(given.home)]:
        raise HTTPException(400, f"There is no machine {image}")
    chosen = Options(
        timeout_s=timeout_s or given.settings.analysis.timeout_s,
        package=package or None,
        arguments=arguments,
        user=user,
        network=network or given.settings.network.mode,
        engine=engine,
        image=image,
        memory=memory,
        time=time,
        extra=dict(_pair(each) for each in option or []),
    )
    submit.check(chosen, given.settings.routes)
    facts = {"custom": custom, "owner": owner, "tags": tags or []}
    batch = Batch(given, Wanted(options=chosen, priority=priority, facts=facts), together=len(files or []) > 1)
    try:
        for file in files or []:
            batch.file(file, unpack=True)
        if url:
            batch.url(url)
    except MalkohaError:
        for task in batch.tasks:
            acting.erase(given, task.id)
        raise
    return {"tasks": [models.task_facts(task) for task in batch.tasks], "remarks": batch.remarks}


@router.get("", response_model=models.TaskList)
def list_tasks(
    given: Given,
    status: Annotated[list[Status] | None, Query(max_length=len(Status))] = None,
    owner: Annotated[str | None, Query(max_length=4096)] = None,
    sha256: Annotated[str | None, Query(pattern="^[0-9a-f]{64}$")] = None,
    limit: Annotated[int, Query(ge=1, le=1000)] = 50,
    offset: Annotated[int, Query(ge=0, lt=1 << 31)] = 0,
) -> dict[str, Any]:
    """List tasks, the newest first."""
    found = given.tasks.all(statuses=status or [], owner=owner, sha256=sha256, limit=limit, offset=offset)
    return {"tasks": [models.task_facts(task) for task in found], "total": sum(given.tasks.counts().values())}


@router.get("/{task_id}", response_model=models.TaskFacts)
def view_task(task: Found) -> dict[str, Any]:
    """Tell all about one task."""
    return models.task_facts(task)


@router.delete("/{task_id}", status_code=204, dependencies=ADMIN)
def delete_task(given: Given, task: Found) -> Response:
    """Delete a task with all that it made; one that runs has to be cancelled first."""
    try:
        acting.erase(given, task.id)
    except UsageError as error:
        raise HTTPException(404, f"There is no task {task.id}") from error
    except MalkohaError as error:
        raise HTTPException(409, f"Task {task.id} is in the hands of a worker") from error
    return Response(status_code=204)


@router.post("/{task_id}/cancel", response_model=models.TaskFacts, dependencies=SUBMIT)
def cancel_task(given: Given, task: Found, asker: Asker) -> dict[str, Any]:
    """End a task: one that waits is never run, one that runs stops and reports what it recorded until then."""
    return models.task_facts(acting.cancel(given, task, asker.name if asker else "somebody"))


@router.post("/{task_id}/rerun", status_code=201, response_model=models.TaskFacts, dependencies=SUBMIT)
def rerun_task(
    given: Given, task: Found, priority: Annotated[int | None, Query(ge=1, le=100)] = None
) -> dict[str, Any]:
    """Put a new task for the same target with the same options into the queue."""
    return models.task_facts(acting.again(given, task, priority))


@router.post("/{task_id}/process", status_code=202, response_model=models.TaskFacts, dependencies=SUBMIT)
def process_task(given: Given, task: Found) -> dict[str, Any]:
    """Let a worker make the report anew from what was recorded."""
    if not given.home.analysis(task.id).run.is_file():
        raise HTTPException(409, f"Task {task.id} was not run to its end")
    try:
        given.tasks.process_again(task.id)
    except MalkohaError as error:
        raise HTTPException(409, str(error)) from error
    return models.task_facts(given.tasks.get(task.id))


def _pair(text: str) -> tuple[str, str]:
    key, separator, value = text.partition("=")
    if not separator or not key:
        raise HTTPException(400, f"The option {text[:100]} has no value: write KEY=VALUE")
    return key, value
