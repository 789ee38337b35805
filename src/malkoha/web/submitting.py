"""tasks/create/file, url and submit: a form in, tasks in the queue out."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Callable, Iterator
from functools import partial
from typing import Annotated, Any

import msgspec
from fastapi import APIRouter, Depends, Form, HTTPException, UploadFile

from malkoha import submit
from malkoha.errors import MalkohaError, SubmitError
from malkoha.model.task import Task
from malkoha.web.asking import Asked, Asking
from malkoha.web.service import Given, Service, needs
from malkoha.web.tokens import Role

router = APIRouter(prefix="/tasks/create", dependencies=[needs(Role.SUBMIT)])
MAX_STRINGS = 100
"""Lines of create/submit's ``strings`` that are taken."""


Form_ = Annotated[Asking, Depends()]


@router.post("/file")
def create_file(given: Given, form: Form_, file: UploadFile | None = None) -> dict[str, Any]:
    """Put one file into the queue."""
    if file is None:
        raise HTTPException(400, "No file has been provided")
    asked = form.checked(given.home, given.settings)
    task = _file(given, file, asked)
    return {"task_id": task.id, "task_ids": [task.id], **_ignored(asked)}


@router.post("/url")
def create_url(given: Given, form: Form_, url: Annotated[str, Form()] = "") -> dict[str, Any]:
    """Put one URL into the queue."""
    if not url:
        raise HTTPException(400, "No URL has been provided")
    asked = form.checked(given.home, given.settings)
    task = _url(given, url, asked)
    return {"task_id": task.id, "task_ids": [task.id], **_ignored(asked)}


@router.post("/submit")
def create_submit(
    given: Given,
    form: Form_,
    file: UploadFile | None = None,
    files: list[UploadFile] | None = None,
    strings: Annotated[str, Form()] = "",
) -> dict[str, Any]:
    """Put several files, or the URLs of ``strings`` (one a line), into the queue; what is refused is told beside."""
    asked = form.checked(given.home, given.settings)
    uploads = [*([file] if file else []), *(files or [])]
    lines = [line.strip() for line in strings.splitlines() if line.strip()]
    if not uploads and not lines:
        raise HTTPException(400, "No files or strings have been given!")
    if len(lines) > MAX_STRINGS:
        raise HTTPException(400, f"At most {MAX_STRINGS} strings are accepted")
    made: list[Task] = []
    errors = []
    jobs: list[Callable[[int], Task]] = [
        *(partial(_file, given, upload, asked) for upload in uploads),
        *(partial(_url, given, line, asked) for line in lines),
    ]
    for job in jobs:
        try:
            made.append(job(made[0].id if made else 0))
        except SubmitError as error:
            errors.append(str(error))
    task_ids = [task.id for task in made]
    return {"submit_id": task_ids[0] if task_ids else None, "task_ids": task_ids, "errors": errors, **_ignored(asked)}


def _ignored(asked: Asked) -> dict[str, Any]:
    return {"ignored": asked.ignored} if asked.ignored else {}


def _file(given: Service, upload: UploadFile, asked: Asked, together: int | None = None) -> Task:
    name = (upload.filename or "").encode("utf-8", "backslashreplace")
    source = upload.file.fileno()  # what was small enough to be kept in memory is written to disk by this
    upload.file.flush()
    os.lseek(source, 0, os.SEEK_SET)
    with _kept(given) as add:
        task = submit.receive(
            given.home, given.settings, source, name or b"sample", asked.options, priority=asked.priority, **asked.facts
        )
        assert task.sample is not None
        if asked.unique and given.tasks.first_of([task.sample.sha256]):
            shutil.rmtree(given.home.analysis(task.id).root, ignore_errors=True)
            raise SubmitError("This file has already been submitted")
        return add(task, together)


def _url(given: Service, url: str, asked: Asked, together: int | None = None) -> Task:
    with _kept(given) as add:
        task = submit.submit_url(given.home, url, asked.options, priority=asked.priority, **asked.facts)
        return add(task, together)


@contextlib.contextmanager
def _kept(given: Service) -> Iterator[Callable[[Task, int | None], Task]]:
    """Yield what records a task; one that cannot be recorded leaves no folder."""
    made: list[Task] = []

    def add(task: Task, together: int | None) -> Task:
        made.append(task)
        if together is not None:
            task = msgspec.structs.replace(task, submit_id=together or task.id)
            submit.save(task, given.home.analysis(task.id))
        return given.tasks.add(task)

    try:
        yield add
    except MalkohaError:
        for task in made:
            shutil.rmtree(given.home.analysis(task.id).root, ignore_errors=True)
        raise


def again(given: Service, task: Task, priority: int | None) -> Task:
    """Put a new task for the same target and options into the queue."""
    facts: dict[str, Any] = {"custom": task.custom, "owner": task.owner, "tags": task.tags}
    number = task.priority if priority is None else priority
    with _kept(given) as add:
        if task.category == "url":
            return add(submit.submit_url(given.home, task.target, task.options, priority=number, **facts), None)
        if task.sample is None:
            raise SubmitError(f"task {task.id} has no sample")
        path = given.home.analysis(task.id).sample
        with path.open("rb") as source:
            new = submit.receive(
                given.home, given.settings, source.fileno(), task.sample.name, task.options, priority=number, **facts
            )
        return add(new, None)
