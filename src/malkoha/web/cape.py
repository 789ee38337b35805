"""The part of CAPE's /apiv2 that its clients use; answers are ``{"error": false, "data": ...}``, also for what fails.

Source: web/apiv2 of CAPEv2 (urls and views). As there, a refusal has the status 200; what the guard refuses, and
what is no request at all, has the status and the shape of all other interfaces.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
from fastapi import APIRouter, Depends, Form, UploadFile
from fastapi import Path as InPath
from fastapi.responses import FileResponse, JSONResponse, Response

from malkoha.errors import MalkohaError, UsageError
from malkoha.model.task import Task
from malkoha.reporting.iocs import indicators
from malkoha.store import Store
from malkoha.web import acting, packing, shapes
from malkoha.web.acting import Batch
from malkoha.web.api import REPORT, REPORT_POLICY, answers, cuckoo_status, machines_list
from malkoha.web.asking import Asking
from malkoha.web.service import Given, Number, Service, needs
from malkoha.web.tokens import Role

router = APIRouter(prefix="/apiv2", tags=["cape"], dependencies=[needs(Role.READ)])
SUBMIT, ADMIN = [needs(Role.SUBMIT)], [needs(Role.ADMIN)]
Form_ = Annotated[Asking, Depends()]
FILE = answers("application/octet-stream", "application/zip", "application/vnd.tcpdump.pcap", "application/json")
LIMIT = 10
"""How many tasks a list has where nobody says."""
Hash = Literal["md5", "sha1", "sha256"]
DIGITS = {"md5": 32, "sha1": 40, "sha256": 64}


def _good(data: Any, **more: Any) -> dict[str, Any]:
    return {"error": False, "data": data, **more}


def _bad(why: str) -> dict[str, Any]:
    return {"error": True, "error_value": why}


@router.post("/tasks/create/file", dependencies=SUBMIT)
def create_file(given: Given, form: Form_, file: list[UploadFile] | None = None) -> dict[str, Any]:
    """Put files into the queue."""
    if not file:
        return _bad("No file was submitted")
    return _created(given, form, [(lambda batch, each=each: batch.file(each, unpack=True)) for each in file])


@router.post("/tasks/create/url", dependencies=SUBMIT)
def create_url(given: Given, form: Form_, url: Annotated[str, Form()] = "") -> dict[str, Any]:
    """Put URLs, separated by commas, into the queue."""
    wanted = [each.strip() for each in url.split(",") if each.strip()]
    if not wanted:
        return _bad("URL value is empty")
    return _created(given, form, [(lambda batch, each=each: batch.url(each)) for each in wanted[:100]])


def _created(given: Service, form: Asking, jobs: list[Any]) -> dict[str, Any]:
    errors: list[str] = []
    try:
        batch = Batch(given, form.checked(given.home, given.settings).wanted)
        for job in jobs:
            try:
                job(batch)
            except UsageError as error:
                errors.append(str(error))
    except UsageError as error:
        return _bad(str(error))
    if not batch.tasks:
        return _bad("; ".join(errors)) | {"errors": errors}
    task_ids = [task.id for task in batch.tasks]
    shown = ", ".join(map(str, task_ids))
    said = f"Task ID {shown} has been submitted" if len(task_ids) == 1 else f"Task IDs {shown} have been submitted"
    return _good({"task_ids": task_ids, "message": said}, errors=errors + batch.remarks)


@router.get("/tasks/status/{task_id}")
def tasks_status(given: Given, task_id: Number) -> dict[str, Any]:
    """Tell the state of a task."""
    task = _task(given, task_id)
    return _bad("Task does not exist") if task is None else _good(task.status.value)


@router.get("/tasks/view/{task_id}")
def tasks_view(given: Given, task_id: Number) -> dict[str, Any]:
    """Tell all about one task."""
    task = _task(given, task_id)
    if task is None:
        return _bad("Task not found in database")
    return _good(_shown(given, [task])[0] | {"guest": shapes.guest(given.home.analysis(task_id), task_id)})


@router.get("/tasks/list")
def tasks_list(given: Given) -> dict[str, Any]:
    """List the newest tasks."""
    return tasks_list_part(given, LIMIT, 0)


@router.get("/tasks/list/{limit}")
def tasks_list_some(given: Given, limit: Number) -> dict[str, Any]:
    """List as many of the newest tasks."""
    return tasks_list_part(given, limit, 0)


@router.get("/tasks/list/{limit}/{offset}")
def tasks_list_part(given: Given, limit: Number, offset: Number) -> dict[str, Any]:
    """List tasks from a place in the list on."""
    found = _shown(given, given.tasks.all(limit=limit, offset=offset))
    return _good(found, config=f"Limit: {limit}, Offset: {offset}", buf=len(found))


@router.get("/tasks/search/{kind}/{value}")
def tasks_search(
    given: Given, kind: Hash, value: Annotated[str, InPath(pattern="^[0-9a-fA-F]{32,64}$")]
) -> dict[str, Any]:
    """List the tasks of a sample."""
    if len(value) != DIGITS[kind]:
        return _bad(f"This is no {kind}")
    found = acting.samples(given, kind, value.lower())
    return _good(_shown(given, found))


@router.get("/tasks/delete/{task_id}", dependencies=ADMIN)
def tasks_delete(given: Given, task_id: Number) -> dict[str, Any]:
    """Delete a task with all that it made."""
    try:
        acting.erase(given, task_id)
    except UsageError:
        return _bad("Task ID does not exist")
    except MalkohaError as error:
        return _bad(str(error))
    return _good(f"Task(s) ID(s) {task_id} has been deleted")


@router.get("/tasks/reschedule/{task_id}", dependencies=SUBMIT)
def tasks_reschedule(given: Given, task_id: Number) -> dict[str, Any]:
    """Put a new task like this one into the queue."""
    task = _task(given, task_id)
    if task is None:
        return _bad(f"An error occurred while trying to reschedule Task ID {task_id}")
    new = acting.again(given, task)
    return _good({"new_task_id": new.id, "message": f"Task ID {task_id} has been rescheduled"})


@router.get("/tasks/get/report/{task_id}", **REPORT)
def report(given: Given, task_id: Number) -> Response:
    """Give report.json."""
    return report_as(given, task_id, "json")


@router.get("/tasks/get/report/{task_id}/{form}", **REPORT)
def report_as(given: Given, task_id: Number, form: str) -> Response:
    """Give the report: json, lite (without calls, strings and packets), html or htmlsummary."""
    store = _store(given, task_id)
    if store is None or not store.report_json.is_file():
        return JSONResponse(_bad("Task does not exist" if store is None else "Report is not ready"))
    if form == "json":
        return FileResponse(store.report_json, media_type="application/json")
    if form == "lite":
        return JSONResponse(shapes.summary(_report(store)))
    if form in ("html", "htmlsummary") and store.report_html.is_file():
        headers = {"content-security-policy": REPORT_POLICY}
        return FileResponse(store.report_html, media_type="text/html; charset=utf-8", headers=headers)
    return JSONResponse(_bad("Invalid report format"))


@router.get("/tasks/get/iocs/{task_id}")
def iocs(given: Given, task_id: Number) -> dict[str, Any]:
    """Give the indicators of an analysis, by kind."""
    store = _store(given, task_id)
    if store is None or not store.report_json.is_file():
        return _bad("Task does not exist" if store is None else "Report is not ready")
    report = _report(store)
    behavior, network = report.get("behavior") or {}, report.get("network") or {}
    summary = behavior.get("summary") or {}
    own = report.get("malkoha") or {}
    found: dict[str, list[str]] = {}
    for each in indicators(report):
        found.setdefault(each.type, []).append(each.value)
    return _good(
        {
            "malscore": (own.get("verdict") or {}).get("score"),
            "malfamily": next((f for s in report.get("signatures") or [] for f in s.get("families") or []), ""),
            "target": report.get("target") or {},
            "network": {key: network.get(key) or [] for key in ("hosts", "domains", "dns", "http")},
            "signatures": [s.get("name") for s in report.get("signatures") or []],
            "process_tree": behavior.get("processtree") or [],
            "executed_commands": summary.get("command_line") or [],
            "files": {
                "modified": summary.get("file_written") or [],
                "deleted": summary.get("file_deleted") or [],
                "read": summary.get("file_read") or [],
            },
            "dropped": [
                {key: each.get(key) for key in ("filepath", "size", "md5", "sha1", "sha256")}
                for each in report.get("dropped") or []
            ],
            "iocs": found,
        }
    )


@router.get("/tasks/get/pcap/{task_id}", **FILE)
def pcap(given: Given, task_id: Number) -> Response:
    """Give the capture of a run."""
    store = _store(given, task_id)
    if store is None or not store.pcap.is_file():
        return JSONResponse(_bad(f"PCAP does not exist for task {task_id}"))
    return FileResponse(store.pcap, media_type="application/vnd.tcpdump.pcap", filename=f"{task_id}_dump.pcap")


@router.get("/tasks/get/dropped/{task_id}", **FILE)
def dropped(given: Given, task_id: Number) -> Response:
    """Give the files that the sample wrote, as a zip with the password ``infected``."""
    store = _store(given, task_id)
    files = _files(store.dropped) if store else []
    if not files:
        return JSONResponse(_bad(f"No dropped files for task {task_id}"))
    return packing.zipped(files, f"{task_id}_dropped.zip", locked=True)


@router.get("/files/get/{kind}/{value}", **FILE)
def files_get(
    given: Given, kind: Literal["md5", "sha1", "sha256", "task"], value: Annotated[str, InPath(max_length=64)]
) -> Response:
    """Give the bytes of a sample, by a hash or by its task."""
    if kind == "task":
        number = int(value) if value.isascii() and value.isdecimal() and len(value) < 10 else -1
        found = [task for task in [_task(given, number)] if task is not None]
    else:
        found = acting.samples(given, kind, value.lower()) if len(value) == DIGITS[kind] else []
    for task in found:
        path = given.home.analysis(task.id).sample
        if task.sample is not None and path.is_file():
            return FileResponse(path, media_type="application/octet-stream", filename=task.sample.sha256)
    return JSONResponse(_bad("Sample not found"))


@router.get("/machines/list")
def machines(given: Given) -> dict[str, Any]:
    """List what a task can ask for as its machine."""
    return _good(machines_list(given)["machines"])


@router.get("/cuckoo/status")
def status(given: Given) -> dict[str, Any]:
    """Tell how this service does."""
    return _good(cuckoo_status(given))


def _task(given: Service, task_id: int) -> Task | None:
    try:
        return given.tasks.get(task_id)
    except UsageError:
        return None


def _store(given: Service, task_id: int) -> Store | None:
    task = _task(given, task_id)
    return None if task is None else given.home.analysis(task.id)


def _report(store: Store) -> dict[str, Any]:
    return msgspec.json.decode(store.report_json.read_bytes(), type=dict[str, Any])


def _files(folder: Path) -> list[tuple[str, Path]]:
    return [(path.name, path) for path in sorted(folder.iterdir()) if path.is_file()] if folder.is_dir() else []


def _shown(given: Service, tasks: list[Task]) -> list[dict[str, Any]]:
    ids = given.tasks.first_of(sorted({task.sample.sha256 for task in tasks if task.sample}))
    return [shapes.task(task, ids) for task in tasks]
