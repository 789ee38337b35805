"""Cuckoo 2's endpoints that read, and those that change one task; docs/guides/rest.md lists them all."""

from __future__ import annotations

import os
import shutil
import signal
import socket
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import msgspec
from fastapi import APIRouter, BackgroundTasks, Depends, HTTPException
from fastapi import Path as InPath
from fastapi.responses import FileResponse, Response

import malkoha
from malkoha.errors import MalkohaError, UsageError
from malkoha.machinery import image as images
from malkoha.model.task import Sample, Status, Task
from malkoha.store import Store
from malkoha.web import acting, packing, shapes
from malkoha.web.service import Given, Number, Service, needs
from malkoha.web.tokens import Role

router = APIRouter(tags=["cuckoo"], dependencies=[needs(Role.READ)])
SUBMIT, ADMIN = [needs(Role.SUBMIT)], [needs(Role.ADMIN)]
REPORT_POLICY = (
    "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'; sandbox allow-scripts"
)
"""Of report.html, whose own policy lets run only its own scripts: whatever it holds, it cannot speak to the service."""


def answers(*kinds: str) -> dict[str, Any]:
    """Describe a route that answers with a file of one of these media types."""
    content = {kind: {"schema": {} if kind == "application/json" else {"type": "string"}} for kind in kinds}
    return {"response_class": FileResponse, "responses": {200: {"description": "The file", "content": content}}}


BYTES = answers("application/octet-stream")
PCAP = answers("application/vnd.tcpdump.pcap")
REPORT = answers("application/json", "text/html", "application/x-tar")
MOST = 10_000
"""Tasks that one list has at most; an offset leads to the others."""
HASHES = {32: "md5", 64: "sha256"}


class Wanted:
    """Which tasks a list shall hold."""

    def __init__(self, completed_after: int | None, owner: str | None, status: str | None) -> None:
        if status is not None and status not in list(Status):
            raise HTTPException(400, f"There is no status {status}")
        try:
            after = None if completed_after is None else datetime.fromtimestamp(completed_after, UTC)
        except (OverflowError, ValueError, OSError) as error:
            raise HTTPException(400, "completed_after is no time in seconds") from error
        self.completed_after, self.owner, self.statuses = after, owner or None, [Status(status)] if status else []

    def listed(self, given: Service, limit: int | None = None, offset: int = 0) -> dict[str, Any]:
        """Return the answer, the newest task first."""
        found = given.tasks.all(
            statuses=self.statuses,
            limit=MOST if limit is None else min(limit, MOST),
            offset=offset,
            owner=self.owner,
            completed_after=self.completed_after,
        )
        return {"tasks": _shown(given, found)}


async def _wanted(completed_after: int | None = None, owner: str | None = None, status: str | None = None) -> Wanted:
    return Wanted(completed_after, owner, status)


Filter = Annotated[Wanted, Depends(_wanted)]


@router.get("/tasks/list")
def tasks_list(given: Given, wanted: Filter) -> dict[str, Any]:
    """List tasks, the newest first."""
    return wanted.listed(given)


@router.get("/tasks/list/{limit}")
def tasks_list_some(given: Given, wanted: Filter, limit: Number) -> dict[str, Any]:
    """List the newest tasks."""
    return wanted.listed(given, limit)


@router.get("/tasks/list/{limit}/{offset}")
def tasks_list_part(given: Given, wanted: Filter, limit: Number, offset: Number) -> dict[str, Any]:
    """List tasks from a place in the list on."""
    return wanted.listed(given, limit, offset)


@router.get("/tasks/view/{task_id}")
def tasks_view(given: Given, task_id: Number) -> dict[str, Any]:
    """Tell all about one task."""
    shown = _shown(given, [_task(given, task_id)])[0]
    return {"task": shown | {"guest": shapes.guest(given.home.analysis(task_id), task_id)}}


@router.get("/tasks/sample/{sample_id}")
def tasks_sample(given: Given, sample_id: Number) -> dict[str, Any]:
    """List the tasks of one sample."""
    sample = _sample_of(given, sample_id)
    return {"tasks": _shown(given, given.tasks.all(sha256=sample.sha256))}


@router.get("/tasks/reschedule/{task_id}", dependencies=SUBMIT)
def tasks_reschedule(given: Given, task_id: Number) -> dict[str, Any]:
    """Put a new task like this one into the queue."""
    return _reschedule(given, task_id, None)


@router.get("/tasks/reschedule/{task_id}/{priority}", dependencies=SUBMIT)
def tasks_reschedule_at(
    given: Given, task_id: Number, priority: Annotated[int, InPath(ge=1, le=100)]
) -> dict[str, Any]:
    """Put a new task like this one into the queue, with another priority."""
    return _reschedule(given, task_id, priority)


def _reschedule(given: Service, task_id: int, priority: int | None) -> dict[str, Any]:
    """Put a new task like this one into the queue; this one is then ``recovered``, as in Cuckoo."""
    task = _task(given, task_id)
    new = acting.again(given, task, priority)
    if task.status not in (Status.RUNNING, Status.COMPLETED, Status.RECOVERED):
        given.tasks.move(task_id, Status.RECOVERED)
    return {"status": "OK", "task_id": new.id}


@router.get("/tasks/delete/{task_id}", dependencies=ADMIN)
def tasks_delete(given: Given, task_id: Number) -> dict[str, Any]:
    """Delete a task with all that it made."""
    _task(given, task_id)
    try:
        acting.erase(given, task_id)
    except UsageError as error:
        raise HTTPException(404, "Task not found") from error
    except MalkohaError as error:
        raise HTTPException(500, "The task is currently being processed, cannot delete") from error
    return {"status": "OK"}


@router.get("/tasks/rereport/{task_id}", dependencies=SUBMIT)
def tasks_rereport(given: Given, task_id: Number) -> dict[str, Any]:
    """Let a worker make the report anew."""
    _need(_store(given, task_id).run, "The task was not run to its end")
    given.tasks.process_again(task_id)
    return {"success": True}


@router.get("/tasks/report/{task_id}", **REPORT)
def tasks_report_json(given: Given, task_id: Number) -> Response:
    """Give report.json."""
    return tasks_report(given, task_id, "json")


@router.get("/tasks/report/{task_id}/{form}", **REPORT)
def tasks_report(given: Given, task_id: Number, form: str) -> Response:
    """Give the report: json, html, or a tar archive of ``all`` files (no memory) or of the ``dropped`` ones."""
    store = _store(given, task_id)
    if form == "json":
        return FileResponse(_need(store.report_json, "Report not found"), media_type="application/json")
    if form == "html":
        path = _need(store.report_html, "Report not found")
        headers = {"content-security-policy": REPORT_POLICY}
        return FileResponse(path, media_type="text/html; charset=utf-8", headers=headers)
    if form == "all":
        return packing.tar(_everything(store), f"{task_id}.tar.bz2")
    if form == "dropped":
        return packing.tar(_listed(store.dropped, "files"), f"{task_id}-dropped.tar.bz2")
    raise HTTPException(400, "Invalid report format")


@router.get("/tasks/summary/{task_id}")
def tasks_summary(given: Given, task_id: Number) -> dict[str, Any]:
    """Give what the report comes to."""
    path = _need(_store(given, task_id).report_json, "Report not found")
    return shapes.summary(msgspec.json.decode(path.read_bytes(), type=dict[str, Any]))


@router.get("/tasks/screenshots/{task_id}", **answers("application/zip"))
def tasks_screenshots(given: Given, task_id: Number) -> Response:
    """Give the screenshots as a zip; a guest without a screen has none."""
    shots = _listed(_store(given, task_id).screenshots, "shots")
    if not shots:
        raise HTTPException(404, "Screenshots not found")
    return packing.zipped(shots, f"{task_id}-screenshots.zip")


@router.get("/tasks/screenshots/{task_id}/{number}", **answers("image/jpeg", "image/png"))
def tasks_screenshot(given: Given, task_id: Number, number: Number) -> FileResponse:
    """Give one screenshot."""
    folder = _store(given, task_id).screenshots
    for ending, kind in (("jpg", "image/jpeg"), ("png", "image/png")):
        if (path := folder / f"{number:04d}.{ending}").is_file():
            return FileResponse(path, media_type=kind)
    raise HTTPException(404, "Screenshot not found")


@router.get("/files/view/{kind}/{value}")
def files_view(given: Given, kind: str, value: str) -> dict[str, Any]:
    """Tell about a sample by its md5, sha256 or id."""
    sample = None
    if kind == "id" and value.isascii() and value.isdecimal() and len(value) < 10:
        sample = _sample_of(given, int(value))
    elif HASHES.get(len(value)) == kind:
        task = _by_hash(given, kind, value.lower())
        sample = task.sample if task else None
    elif kind not in ("id", *HASHES.values()):
        raise HTTPException(400, "Invalid lookup term")
    if sample is None:
        raise HTTPException(404, "File not found")
    return {"sample": shapes.sample(sample, given.tasks.first_of([sample.sha256]).get(sample.sha256))}


@router.get("/files/get/{sha256}", **BYTES)
def files_get(given: Given, sha256: str) -> FileResponse:
    """Give the bytes of a sample."""
    task = _by_hash(given, "sha256", sha256.lower()) if len(sha256) == 64 else None
    if task is None:
        raise HTTPException(404, "File not found")
    return _bytes(given.home.analysis(task.id).sample, sha256.lower())


@router.get("/pcap/get/{task_id}", **PCAP)
def pcap_get(given: Given, task_id: Number) -> FileResponse:
    """Give the capture of a run."""
    return _bytes(_store(given, task_id).pcap, f"{task_id}.pcap", "application/vnd.tcpdump.pcap")


@router.get("/memory/list/{task_id}")
def memory_list(given: Given, task_id: Number) -> dict[str, Any]:
    """List the memory of processes that was kept."""
    folder = _store(given, task_id).memory
    names = sorted(path.name for path in folder.glob("*.dmp")) if folder.is_dir() else []
    if not names:
        raise HTTPException(404, "Memory dump not found")
    return {"dump_files": names}


@router.get("/memory/get/{task_id}/{pid}", **BYTES)
def memory_get(given: Given, task_id: Number, pid: Number) -> FileResponse:
    """Give the memory of one process."""
    return _bytes(_store(given, task_id).process_memory(pid), f"{task_id}-{pid}.dmp")


@router.get("/machines/list")
def machines_list(given: Given) -> dict[str, Any]:
    """List what a task can ask for as its machine."""
    return {"machines": _machines(given)}


@router.get("/machines/view/{name}")
def machines_view(given: Given, name: str) -> dict[str, Any]:
    """Tell about one machine."""
    for machine in _machines(given):
        if machine["name"] == name:
            return {"machine": machine}
    raise HTTPException(404, "Machine not found")


@router.get("/exit", dependencies=ADMIN)
def end(background: BackgroundTasks) -> dict[str, str]:
    """End the service, once this has been answered; what was running goes back into the queue."""
    background.add_task(os.kill, os.getpid(), signal.SIGTERM)
    return {"message": "Server stopped"}


@router.get("/cuckoo/status")
def cuckoo_status(given: Given) -> dict[str, Any]:
    """Tell how this service does."""
    counts = given.tasks.counts()
    known = (Status.PENDING, Status.RUNNING, Status.COMPLETED, Status.REPORTED)
    machines = len(_machines(given))
    usage = shutil.disk_usage(given.home.root)
    disk = {"total": usage.total, "used": usage.used, "free": usage.free}
    page = os.sysconf("SC_PAGE_SIZE")
    memory, available = os.sysconf("SC_PHYS_PAGES") * page, os.sysconf("SC_AVPHYS_PAGES") * page
    return {
        "version": malkoha.__version__,
        "protocol_version": 1,
        "hostname": socket.gethostname(),
        "machines": {"total": machines, "available": machines},
        "tasks": {"total": sum(counts.values())} | {status.value: counts[status] for status in known},
        "diskspace": {"analyses": disk, "binaries": disk, "temporary": disk},
        "cpuload": list(os.getloadavg()),
        "cpucount": os.cpu_count(),
        "memory": round(100 * (memory - available) / memory, 1),
        "memtotal": memory >> 10,
        "memavail": available >> 10,
    }


def _task(given: Service, task_id: int) -> Task:
    return acting.need_task(given, task_id, "Task not found")


def _store(given: Service, task_id: int) -> Store:
    return given.home.analysis(_task(given, task_id).id)


def _shown(given: Service, tasks: list[Task]) -> list[dict[str, Any]]:
    ids = given.tasks.first_of(sorted({task.sample.sha256 for task in tasks if task.sample}))
    return [shapes.task(task, ids) for task in tasks]


def _sample_of(given: Service, sample_id: int) -> Sample:
    """Return the sample of an id, which is that of the first task that had it."""
    task = acting.need_task(given, sample_id, "Sample not found")
    if task.sample is None or task.category != "file":
        raise HTTPException(404, "Sample not found")
    return task.sample


def _by_hash(given: Service, kind: str, value: str) -> Task | None:
    if kind == "md5":
        return given.tasks.with_md5(value)
    number = given.tasks.first_of([value]).get(value)
    return None if number is None else given.tasks.get(number)


def _machines(given: Service) -> list[dict[str, Any]]:
    return [shapes.machine(image, number) for number, image in enumerate(images.list_images(given.home), 1)]


def _listed(folder: Path, name: str) -> list[tuple[str, Path]]:
    """Return the files that lie in a folder, each with its name below ``name``; no links, nothing further down."""
    found = sorted(folder.iterdir()) if folder.is_dir() else []
    return [(f"{name}/{path.name}", path) for path in found if path.is_file() and not path.is_symlink()]


def _everything(store: Store) -> list[tuple[str, Path]]:
    found = [path for path in sorted(store.root.rglob("*")) if path.is_file() and not path.is_symlink()]
    left_out = (store.memory, store.machine_memory)
    kept = [path for path in found if not any(path.is_relative_to(place) for place in left_out)]
    return [(str(path.relative_to(store.root)), path) for path in kept]


def _need(path: Path, message: str) -> Path:
    if not path.is_file():
        raise HTTPException(404, message)
    return path


def _bytes(path: Path, name: str, kind: str = "application/octet-stream") -> FileResponse:
    return FileResponse(_need(path, "File not found"), media_type=kind, filename=shapes.file_name(name))
