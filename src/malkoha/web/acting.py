"""What the interfaces do with tasks: submit files (also archives) and URLs, run again, cancel, delete."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
from fastapi import HTTPException, UploadFile

from malkoha import retention, submit
from malkoha.errors import MalkohaError, SubmitError, UsageError
from malkoha.model.task import Options, Status, Task
from malkoha.processing import containers
from malkoha.web.service import Service

_BLOCK = 1 << 20
_LOOKED_THROUGH = 5000
"""Tasks in which a hash without an index is looked for."""


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """How to run what is submitted."""

    options: Options
    priority: int = 1
    unique: bool = False
    facts: dict[str, Any] = {}
    """Fields of Task: custom, owner, tags."""


class Batch:
    """Tasks that are submitted together: all but the first get its number as ``submit_id``, and so does the first."""

    def __init__(self, given: Service, wanted: Wanted, *, together: bool = False) -> None:
        self._given, self._wanted, self._together = given, wanted, together
        self.tasks: list[Task] = []
        self.remarks: list[str] = []

    def file(self, upload: UploadFile, *, unpack: bool = False) -> None:
        """Put an uploaded file into the queue; with ``unpack`` an archive becomes a task for each of its members."""
        name = (upload.filename or "").encode("utf-8", "backslashreplace") or b"sample"
        source = upload.file.fileno()  # what was small enough to be kept in memory is written to disk by this
        upload.file.flush()
        os.lseek(source, 0, os.SEEK_SET)
        unpack = unpack and self._wanted.options.extra.get("unpack", "yes") == "yes"
        if unpack and _is_archive(source):
            self._archive(source, name)
            return
        given, wanted = self._given, self._wanted
        with self._kept() as made:
            task = submit.receive(
                given.home, given.settings, source, name, wanted.options, priority=wanted.priority, **wanted.facts
            )
            made.append(task)
            assert task.sample is not None
            if wanted.unique and given.tasks.first_of([task.sample.sha256]):
                raise SubmitError("This file has already been submitted")

    def url(self, url: str) -> None:
        """Put a URL into the queue."""
        wanted = self._wanted
        with self._kept() as made:
            made.append(
                submit.submit_url(self._given.home, url, wanted.options, priority=wanted.priority, **wanted.facts)
            )

    def _archive(self, source: int, name: bytes) -> None:
        from malkoha import archives

        given, wanted = self._given, self._wanted
        with tempfile.TemporaryDirectory(prefix="malkoha-upload-") as folder, self._kept() as made:
            # under a name of ours: what the client calls it is only shown
            path = Path(folder) / "archive"
            with path.open("wb") as target:
                while block := os.read(source, _BLOCK):
                    target.write(block)
            found = archives.submit(
                given.home, given.settings, os.fsencode(path), wanted.options, priority=wanted.priority
            )
            label = submit.shown(os.fsencode(path))
            shown = submit.shown(name)
            self.remarks += [remark.replace(label, shown) for remark in found.remarks]
            for task in found.tasks:
                target_name = task.target.replace(label, shown)
                made.append(msgspec.structs.replace(task, target=target_name, **wanted.facts))

    @contextlib.contextmanager
    def _kept(self) -> Iterator[list[Task]]:
        """Yield a list for new tasks and record them; where that fails none leaves a folder."""
        if not retention.room(self._given.home, self._given.settings.retention):
            raise HTTPException(507, "The disk of this service is full: nothing is taken until there is room")
        made: list[Task] = []
        try:
            yield made
            for task in made:
                first = self.tasks[0].id if self.tasks else made[0].id
                several = self._together or len(made) > 1
                done = msgspec.structs.replace(task, submit_id=first) if several else task
                submit.save(done, self._given.home.analysis(task.id))
                self.tasks.append(self._given.tasks.add(done))
        except MalkohaError:
            recorded = {task.id for task in self.tasks}
            for task in made:
                if task.id not in recorded:
                    shutil.rmtree(self._given.home.analysis(task.id).root, ignore_errors=True)
            raise


def again(given: Service, task: Task, priority: int | None = None) -> Task:
    """Put a new task for the same target and options into the queue."""
    facts: dict[str, Any] = {"custom": task.custom, "owner": task.owner, "tags": task.tags}
    number = task.priority if priority is None else priority
    if task.category == "url":
        new = submit.submit_url(given.home, task.target, task.options, priority=number, **facts)
    elif task.sample is None:
        raise SubmitError(f"task {task.id} has no sample")
    else:
        with given.home.analysis(task.id).sample.open("rb") as source:
            new = submit.receive(
                given.home, given.settings, source.fileno(), task.sample.name, task.options, priority=number, **facts
            )
    try:
        return given.tasks.add(new)
    except MalkohaError:
        shutil.rmtree(given.home.analysis(new.id).root, ignore_errors=True)
        raise


def erase(given: Service, task_id: int) -> None:
    """Delete a task with all that it made; raise UsageError when there is none, MalkohaError while it runs."""
    given.tasks.delete(task_id)
    shutil.rmtree(given.home.folder(task_id), ignore_errors=True)


def cancel(given: Service, task: Task, who: str) -> Task:
    """End a task: one that waits is never run, one that runs is stopped and reports what it recorded until then."""
    with contextlib.suppress(MalkohaError):
        if task.status is Status.PENDING:
            return given.tasks.move(task.id, Status.FAILED_ANALYSIS, error=f"cancelled by {who}")
    task = given.tasks.get(task.id)
    if task.status is not Status.RUNNING:
        raise HTTPException(409, f"Task {task.id} is {task.status.value} and cannot be cancelled")
    given.home.analysis(task.id).stop.touch()
    return task


def samples(given: Service, kind: str, value: str) -> list[Task]:
    """Return the tasks of a sample by its md5, sha1 or sha256, the newest first; by sha1 among the newest only."""
    if kind == "sha1":
        newest = given.tasks.all(limit=_LOOKED_THROUGH)
        return [task for task in newest if task.category == "file" and task.sample and task.sample.sha1 == value]
    if kind == "md5":
        first = given.tasks.with_md5(value)
        value = first.sample.sha256 if first is not None and first.sample is not None else ""
    return given.tasks.all(sha256=value) if value else []


def need_task(given: Service, task_id: int, message: str) -> Task:
    """Return a task, or raise the answer 404 with this message."""
    try:
        return given.tasks.get(task_id)
    except UsageError as error:
        raise HTTPException(404, message) from error


def _is_archive(source: int) -> bool:
    with Path(f"/proc/self/fd/{source}").open("rb") as file:
        head = file.read(containers.HEAD)
        return containers.kind_of(head) in ("7z", "rar") or containers.is_collection(file)
