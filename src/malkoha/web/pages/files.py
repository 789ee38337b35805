"""Files of an analysis: what the sample wrote, looked into as text or bytes, and handed out so that nothing runs it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Any, Literal

from fastapi import APIRouter, HTTPException, Query, Request, Response
from fastapi.responses import FileResponse

from malkoha.reporting.files import taken
from malkoha.store import Store
from malkoha.web import packing
from malkoha.web.pages.frame import frame
from malkoha.web.pages.reading import sections, task_of
from malkoha.web.pages.rendering import PageRoute, page
from malkoha.web.service import Given, Number, needs
from malkoha.web.tokens import Role

router = APIRouter(
    prefix="/analysis/{task_id}", route_class=PageRoute, include_in_schema=False, dependencies=[needs(Role.READ)]
)
BYTES = 4096
"""Bytes that are shown at once as hexadecimal numbers."""
TEXT = 64 << 10
_SHA256 = re.compile(r"[0-9a-f]{64}")
View = Literal["auto", "hex", "text"]


@router.get("/files")
def files(request: Request, given: Given, task_id: Number) -> Response:
    """List what the sample wrote, read from a pipe, and what is kept of memory."""
    task = task_of(given, task_id)
    report = sections(given.home.analysis(task_id), "dropped", "buffer", "procmemory", "memory")
    return page(request, "files_tab.html.j2", **frame(given, task), files=taken(report))


@router.get("/files/{name}")
def file_view(
    request: Request,
    given: Given,
    task_id: Number,
    name: str,
    view: View = "auto",
    offset: Annotated[int, Query(ge=0, lt=1 << 50)] = 0,
) -> Response:
    """Show a piece of a file, as text or as bytes."""
    task_of(given, task_id)
    path = _path(given.home.analysis(task_id), name)
    return page(request, "file_view.html.j2", id=task_id, file=name, **_piece(path, view, offset))


@router.get("/files/{name}/raw")
def file_raw(given: Given, task_id: Number, name: str) -> Response:
    """Give a file as it is; a browser saves it under its hash and never shows it."""
    task_of(given, task_id)
    path = _path(given.home.analysis(task_id), name)
    return FileResponse(path, media_type="application/octet-stream", filename=f"{name}.bin")


@router.get("/files/{name}/zip")
def file_zip(given: Given, task_id: Number, name: str) -> Response:
    """Give a file in an encrypted archive."""
    task_of(given, task_id)
    return packing.zipped([(f"{name}.bin", _path(given.home.analysis(task_id), name))], f"{name}.zip", locked=True)


@router.get("/sample.zip")
def sample_zip(given: Given, task_id: Number) -> Response:
    """Give the sample in an encrypted archive."""
    task = task_of(given, task_id)
    sha256 = task.sample.sha256 if task.sample else ""
    name = sha256 if _SHA256.fullmatch(sha256) else "sample"
    path = _path(given.home.analysis(task_id), "sample")
    return packing.zipped([(f"{name}.bin", path)], f"{name}.zip", locked=True)


@router.get("/events.parquet")
def events(given: Given, task_id: Number) -> Response:
    """Give the events."""
    task_of(given, task_id)
    path = given.home.analysis(task_id).events
    if not path.is_file():
        raise HTTPException(404, "There are no events")
    return FileResponse(path, media_type="application/octet-stream", filename=f"{task_id}-events.parquet")


def _path(store: Store, name: str) -> Path:
    """Return where a file lies: the sample, or one that is named by its hash. Refuses everything else."""
    if name == "sample":
        found = [store.sample]
    elif _SHA256.fullmatch(name):
        found = [store.dropped / name, store.unpacked / name, store.payloads / name]
    else:
        found = []
    for path in found:
        if path.is_file() and not path.is_symlink():
            return path
    raise HTTPException(404, "There is no such file in this analysis")


def _piece(path: Path, view: View, offset: int) -> dict[str, Any]:
    size = path.stat().st_size
    with path.open("rb") as file:
        if view == "auto":
            view = "text" if _is_text(file.read(BYTES)) else "hex"
        step = TEXT if view == "text" else BYTES
        offset = min(offset, max(size - 1, 0)) // step * step
        file.seek(offset)
        data = file.read(step)
    shown: dict[str, Any] = (
        {"text": data.decode("utf-8", "replace")} if view == "text" else {"lines": _hex(data, offset)}
    )
    return {
        "view": view, "size": size, "offset": offset, "end": offset + len(data), "step": step,
        "before": offset - step if offset else None,
        "after": offset + step if offset + step < size else None,
        "last": max(size - 1, 0) // step * step, **shown,
    }  # fmt: skip


def _is_text(head: bytes) -> bool:
    if b"\0" in head:
        return False
    odd = sum(1 for byte in head if byte < 9 or 13 < byte < 32)
    return odd * 20 <= len(head)


def _hex(data: bytes, offset: int) -> list[tuple[str, str, str]]:
    """Write bytes sixteen a line: place, numbers, what can be printed of them."""
    lines = []
    for at in range(0, len(data), 16):
        some = data[at : at + 16]
        numbers = some[:8].hex(" ") + "  " + some[8:].hex(" ")
        lines.append((f"{offset + at:08x}", f"{numbers:<48}", "".join(chr(b) if 32 <= b < 127 else "." for b in some)))
    return lines
