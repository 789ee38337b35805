"""tasks/create/file, url and submit: a form in, tasks in the queue out."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Form, HTTPException, UploadFile

from malkoha.errors import SubmitError
from malkoha.web.acting import Batch
from malkoha.web.asking import Asked, Asking
from malkoha.web.service import Given, needs
from malkoha.web.tokens import Role

router = APIRouter(prefix="/tasks/create", tags=["cuckoo"], dependencies=[needs(Role.SUBMIT)])
MAX_STRINGS = 100
"""Lines of create/submit's ``strings`` that are taken."""


Form_ = Annotated[Asking, Depends()]


@router.post("/file")
def create_file(given: Given, form: Form_, file: UploadFile | None = None) -> dict[str, Any]:
    """Put one file into the queue."""
    if file is None:
        raise HTTPException(400, "No file has been provided")
    asked = form.checked(given.home, given.settings)
    batch = Batch(given, asked.wanted)
    batch.file(file)
    return _made(batch, asked)


@router.post("/url")
def create_url(given: Given, form: Form_, url: Annotated[str, Form()] = "") -> dict[str, Any]:
    """Put one URL into the queue."""
    if not url:
        raise HTTPException(400, "No URL has been provided")
    asked = form.checked(given.home, given.settings)
    batch = Batch(given, asked.wanted)
    batch.url(url)
    return _made(batch, asked)


@router.post("/submit")
def create_submit(
    given: Given,
    form: Form_,
    file: UploadFile | None = None,
    files: list[UploadFile] | None = None,
    strings: Annotated[str, Form()] = "",
) -> dict[str, Any]:
    """Put several files, or the URLs of ``strings`` (one a line), into the queue; what is refused is told beside.

    An archive becomes one task for each member that can be run.
    """
    asked = form.checked(given.home, given.settings)
    uploads = [*([file] if file else []), *(files or [])]
    lines = [line.strip() for line in strings.splitlines() if line.strip()]
    if not uploads and not lines:
        raise HTTPException(400, "No files or strings have been given!")
    if len(lines) > MAX_STRINGS:
        raise HTTPException(400, f"At most {MAX_STRINGS} strings are accepted")
    batch = Batch(given, asked.wanted, together=True)
    errors = []
    jobs: list[Callable[[], None]] = [
        *(partial(batch.file, upload, unpack=True) for upload in uploads),
        *(partial(batch.url, line) for line in lines),
    ]
    for job in jobs:
        try:
            job()
        except SubmitError as error:
            errors.append(str(error))
    task_ids = [task.id for task in batch.tasks]
    found = {"submit_id": task_ids[0] if task_ids else None, "task_ids": task_ids, "errors": errors + batch.remarks}
    return found | _ignored(asked)


def _made(batch: Batch, asked: Asked) -> dict[str, Any]:
    task_ids = [task.id for task in batch.tasks]
    return {"task_id": task_ids[0], "task_ids": task_ids, **_ignored(asked)}


def _ignored(asked: Asked) -> dict[str, Any]:
    return {"ignored": asked.ignored} if asked.ignored else {}
