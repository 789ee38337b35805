"""What an analysis came to: report, files, exports, and how two of them differ."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import msgspec
from fastapi import APIRouter, HTTPException, Query, Response
from fastapi import Path as InPath
from fastapi.responses import FileResponse, StreamingResponse

from malkoha.errors import UsageError
from malkoha.reporting import exports
from malkoha.reporting.comparison import compare
from malkoha.store import Store
from malkoha.web import acting, packing, shapes
from malkoha.web.api import REPORT_POLICY
from malkoha.web.service import Given, Kept, Number, Service, needs
from malkoha.web.tokens import Role
from malkoha.web.v1 import models

router = APIRouter(prefix="/api/v1", tags=["results"], dependencies=[needs(Role.READ)], responses=models.REFUSALS)
BYTES: dict[str, Any] = {"schema": {"type": "string", "format": "binary"}}
Sha256 = Annotated[str, InPath(pattern="^[0-9a-f]{64}$")]
MOST_FILES = 10_000


@router.get("/tasks/{task_id}/report", responses={200: {"model": dict[str, Any]}}, response_class=FileResponse)
def task_report(kept: Kept) -> FileResponse:
    """Give report.json; docs/report.md describes it."""
    return FileResponse(_need(kept.report_json, "report"), media_type="application/json")


@router.get(
    "/tasks/{task_id}/report.html",
    response_class=FileResponse,
    responses={200: {"content": {"text/html": {"schema": {"type": "string"}}}}},
)
def task_report_html(kept: Kept) -> FileResponse:
    """Give the report as one page."""
    headers = {"content-security-policy": REPORT_POLICY}
    return FileResponse(_need(kept.report_html, "report"), media_type="text/html; charset=utf-8", headers=headers)


@router.get("/tasks/{task_id}/summary", responses={200: {"model": dict[str, Any]}})
def task_summary(kept: Kept) -> dict[str, Any]:
    """Give what the report comes to, without calls, strings and packets."""
    return shapes.summary(_report(kept))


@router.get("/tasks/{task_id}/files", response_model=models.Files)
def task_files(kept: Kept) -> dict[str, Any]:
    """List the sample, the files that it wrote, what it was given by the network, and what was unpacked from it."""
    return {"files": list(_files(kept))[:MOST_FILES]}


@router.get(
    "/tasks/{task_id}/files/{sha256}",
    response_class=FileResponse,
    responses={200: {"content": {"application/octet-stream": BYTES}}},
)
def task_file(kept: Kept, sha256: Sha256) -> FileResponse:
    """Give the bytes of one of those files."""
    for folder in (kept.dropped, kept.payloads, kept.unpacked):
        if (folder / sha256).is_file():
            return FileResponse(folder / sha256, media_type="application/octet-stream", filename=sha256)
    if kept.sample.is_file() and _sample(kept).get("sha256") == sha256:
        return FileResponse(kept.sample, media_type="application/octet-stream", filename=sha256)
    raise HTTPException(404, "This analysis has no such file")


@router.get(
    "/tasks/{task_id}/export/{form}",
    response_class=StreamingResponse,
    responses={200: {"content": {"application/octet-stream": BYTES}}},
)
def task_export(kept: Kept, task_id: Number, form: exports.Format) -> StreamingResponse:
    """Give the analysis in another format, as ``malkoha export`` writes it."""
    made = tempfile.TemporaryFile()  # noqa: SIM115 - closed when it has been sent
    try:
        exports.export(kept, form, made)
        made.seek(0)
    except UsageError as error:
        made.close()
        raise HTTPException(404, str(error)) from error
    except BaseException:
        made.close()
        raise
    name = f"{task_id}-{form.value}.{form.ending}"
    headers = {"content-disposition": f'attachment; filename="{name}"'}
    return StreamingResponse(packing.pieces(made), media_type="application/octet-stream", headers=headers)


@router.get("/compare", responses={200: {"model": dict[str, Any]}})
def compare_tasks(
    given: Given, first: Annotated[int, Query(ge=0, lt=1 << 31)], second: Annotated[int, Query(ge=0, lt=1 << 31)]
) -> Response:
    """Tell how two analyses differ: signatures, techniques, commands, files, network, summary, strings."""
    found = compare(_report(_store(given, first)), _report(_store(given, second)))
    return Response(msgspec.json.encode(found), media_type="application/json")


def _store(given: Service, task_id: int) -> Store:
    return given.home.analysis(acting.need_task(given, task_id, f"There is no task {task_id}").id)


def _report(kept: Store) -> dict[str, Any]:
    return msgspec.json.decode(_need(kept.report_json, "report").read_bytes(), type=dict[str, Any])


def _need(path: Path, what: str) -> Path:
    if not path.is_file():
        raise HTTPException(404, f"This analysis has no {what} (yet)")
    return path


def _sample(kept: Store) -> dict[str, Any]:
    """Return the facts of the sample in task.json."""
    try:
        found = msgspec.json.decode(kept.task.read_bytes(), type=dict[str, Any])
    except (OSError, msgspec.MsgspecError):
        return {}
    return found.get("sample") or {}


def _files(kept: Store) -> Iterator[dict[str, Any]]:
    if kept.sample.is_file():
        sample = _sample(kept)
        yield {
            "kind": "sample",
            "name": "sample",
            "size": kept.sample.stat().st_size,
            "sha256": str(sample.get("sha256", "")),
        }
    names = _dropped_names(kept)
    for kind, folder in (("dropped", kept.dropped), ("payload", kept.payloads), ("unpacked", kept.unpacked)):
        for path in sorted(folder.iterdir()) if folder.is_dir() else []:
            if path.is_file() and len(path.name) == 64:
                size = path.stat().st_size
                yield {"kind": kind, "name": names.get(path.name, ""), "size": size, "sha256": path.name}


def _dropped_names(kept: Store) -> dict[str, str]:
    if not kept.report_json.is_file():
        return {}
    dropped = _report(kept).get("dropped") or []
    return {str(each.get("sha256")): str(each.get("filepath", "")) for each in dropped if isinstance(each, dict)}
