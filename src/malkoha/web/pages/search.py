"""Search over all analyses: by hash, name, address, domain, path, command or signature, and by likeness of files."""

from __future__ import annotations

from typing import Annotated, Any, Literal, cast

from fastapi import APIRouter, HTTPException, Query, Request, Response

from malkoha.catalogue import KINDS, Catalogue
from malkoha.errors import UsageError
from malkoha.model.task import Task
from malkoha.reporting.wording import shorten
from malkoha.web.pages.near import SSDEEP, TLSH, by_ssdeep, by_tlsh
from malkoha.web.pages.queue import rows_of
from malkoha.web.pages.rendering import PageRoute, page
from malkoha.web.service import Given, Service, needs
from malkoha.web.tokens import Role

router = APIRouter(route_class=PageRoute, include_in_schema=False, dependencies=[needs(Role.READ)])
HITS = 100
SAYING: dict[str, str] = {"ip": "IP address", "path": "path in the guest"}


@router.get("/search")
def search(
    request: Request,
    given: Given,
    q: Annotated[str, Query(max_length=400)] = "",
    kind: str = "",
    near: Annotated[int | None, Query(ge=0, lt=1 << 31)] = None,
) -> Response:
    """Show the analyses that have a text, or whose samples are like that of another."""
    if kind and kind not in KINDS:
        raise HTTPException(400, f"Nothing is kept as {kind}")
    catalogue = Catalogue(given.tasks)
    left = catalogue.catch_up()
    wanted = q.strip()
    hits: list[dict[str, Any]] = []
    cut = False
    if near is not None:
        hits = _alike(given, catalogue, near)
    elif TLSH.fullmatch(wanted.upper()):
        hits = _by_digest(given, catalogue, "tlsh", wanted.upper())
    elif SSDEEP.fullmatch(wanted):
        hits = _by_digest(given, catalogue, "ssdeep", wanted)
    elif wanted:
        found, cut = catalogue.search(wanted, kind or None, limit=HITS)
        by_id = {hit.task_id: hit for hit in found}
        hits = _rows(given, catalogue, list(by_id))
        for hit in hits:
            known = by_id[hit["task"].id]
            hit["found"] = [(SAYING.get(what, what), shorten(text, 200)) for what, text in known.found]
            hit["more"] = known.total - len(known.found)
    return page(
        request, "search.html.j2", q=q, kind=kind, kinds=KINDS, near=near, hits=hits, cut=cut, uncatalogued=left,
        asked=bool(wanted) or near is not None,
    )  # fmt: skip


def _alike(given: Service, catalogue: Catalogue, task_id: int) -> list[dict[str, Any]]:
    """Find the analyses of files that are like the sample of one, by either hash."""
    outcome = catalogue.outcomes([task_id]).get(task_id)
    if outcome is None:
        raise HTTPException(404, f"Analysis {task_id} has no report that is known here")
    found: dict[int, list[tuple[str, str]]] = {}
    for name, digest in (("tlsh", outcome.tlsh), ("ssdeep", outcome.ssdeep)):
        for other, text in _likeness(catalogue, name, digest):
            found.setdefault(other, []).append((name, text))
    found.pop(task_id, None)
    return _told(given, catalogue, found)


def _by_digest(given: Service, catalogue: Catalogue, name: str, digest: str) -> list[dict[str, Any]]:
    return _told(given, catalogue, {other: [(name, text)] for other, text in _likeness(catalogue, name, digest)})


def _likeness(catalogue: Catalogue, name: str, digest: str) -> list[tuple[int, str]]:
    known = catalogue.digests(cast("Literal['tlsh', 'ssdeep']", name))
    if name == "tlsh":
        return [(other, f"distance {apart}") for other, apart in by_tlsh(digest, known, HITS)]
    return [(other, f"{alike} of 100") for other, alike in by_ssdeep(digest, known, HITS)]


def _told(given: Service, catalogue: Catalogue, found: dict[int, list[tuple[str, str]]]) -> list[dict[str, Any]]:
    rows = _rows(given, catalogue, list(found)[:HITS])
    for row in rows:
        row |= {"found": found[row["task"].id], "more": 0}
    return rows


def _rows(given: Service, catalogue: Catalogue, ids: list[int]) -> list[dict[str, Any]]:
    tasks: list[Task] = []
    for task_id in ids:
        try:
            tasks.append(given.tasks.get(task_id))
        except UsageError:  # deleted a moment ago
            continue
    return rows_of(catalogue, tasks)
