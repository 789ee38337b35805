"""The page of one analysis: a frame that needs no report, and tabs that read the part of the report that they show."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from fastapi import APIRouter, HTTPException, Query, Request, Response
from fastapi.responses import RedirectResponse

from malkoha.model.task import Status
from malkoha.reporting.page import page as report_page
from malkoha.reporting.wording import items
from malkoha.web import acting
from malkoha.web.pages import live
from malkoha.web.pages.frame import frame
from malkoha.web.pages.reading import sections, task_of, trace_of
from malkoha.web.pages.rendering import PageRoute, page
from malkoha.web.pages.tree import tree
from malkoha.web.service import Asker, Given, Number, needs
from malkoha.web.tokens import Role

router = APIRouter(
    prefix="/analysis/{task_id}", route_class=PageRoute, include_in_schema=False, dependencies=[needs(Role.READ)]
)
STRINGS = 2_000
"""Strings that a page shows at once."""


@router.get("")
def overview(request: Request, given: Given, task_id: Number) -> Response:
    """Show the verdict with its reasons, or what is going on while there is none."""
    task = task_of(given, task_id)
    store = given.home.analysis(task_id)
    if task.status in (Status.PENDING, Status.RUNNING) or not store.report_json.is_file():
        return page(request, "waiting.html.j2", **{**live.told(given, task), **frame(given, task)}, update=False)
    report = sections(store, "info", "target", "signatures", "malkoha", "debug.errors", "behavior.summary")
    model = _linked(report_page(report), task_id)
    return page(request, "overview.html.j2", **{**model, **frame(given, task)})


def _linked(model: dict[str, Any], task_id: int) -> dict[str, Any]:
    """Let the reasons of the verdict lead to the signatures."""
    place = f"/analysis/{task_id}/signatures"
    for reason in model["verdict"]["why"]:
        reason["link"] = f"{place}#{reason['name']}"
    model["verdict"]["link"] = place
    return model


@router.get("/signatures")
def signatures(request: Request, given: Given, task_id: Number) -> Response:
    """Show the signatures with the events that made them match, and the rules."""
    task = task_of(given, task_id)
    report = sections(given.home.analysis(task_id), "signatures", "malkoha")
    return page(request, "signatures.html.j2", **{**report_page(report), **frame(given, task)})


@router.get("/processes")
def processes(
    request: Request,
    given: Given,
    task_id: Number,
    q: Annotated[str, Query(max_length=200)] = "",
    start: Annotated[int, Query(ge=0, lt=1 << 31)] = 0,
) -> Response:
    """Show the tree of processes beside their time."""
    task = task_of(given, task_id)
    store = given.home.analysis(task_id)
    known = trace_of(store).processes
    try:
        told: Mapping[str, Any] = sections(store, "signatures", "network", "dropped")
    except HTTPException:  # the tree is made from the trace; without a report its lines bear fewer marks
        told = {}
    template = "tree_rows.html.j2" if start else "processes.html.j2"
    return page(request, template, **frame(given, task), **tree(known, told, words=q, start=start), q=q)


@router.get("/activity")
def activity(request: Request, given: Given, task_id: Number) -> Response:
    """Show what was touched, and what the sample printed."""
    task = task_of(given, task_id)
    report = sections(given.home.analysis(task_id), "behavior.summary", "malkoha")
    return page(request, "activity.html.j2", **{**report_page(report), **frame(given, task)})


@router.get("/network")
def network(request: Request, given: Given, task_id: Number) -> Response:
    """Show what went over the wire, by protocol, with the process behind."""
    task = task_of(given, task_id)
    report = sections(given.home.analysis(task_id), "info", "network")
    return page(request, "network_tab.html.j2", **{**report_page(report), **frame(given, task)})


@router.get("/static")
def static_facts(
    request: Request, given: Given, task_id: Number, q: Annotated[str, Query(max_length=200)] = ""
) -> Response:
    """Show what the file says without being run."""
    task = task_of(given, task_id)
    report = sections(given.home.analysis(task_id), "target", "static", "strings", "malkoha.yara")
    model = report_page(report)
    wanted = q.strip().lower()
    found = [text for text in model["strings"] if wanted in text.lower()] if wanted else model["strings"]
    model |= {
        "strings": found[:STRINGS],
        "strings_found": len(found),
        "strings_total": len(items(report.get("strings"))),
    }
    return page(request, "static_tab.html.j2", **{**model, **frame(given, task)}, q=q)


@router.get("/run")
def run(request: Request, given: Given, task_id: Number) -> Response:
    """Show how the analysis went."""
    task = task_of(given, task_id)
    report = sections(given.home.analysis(task_id), "info", "malkoha", "debug", "target")
    return page(request, "run_tab.html.j2", **{**report_page(report), **frame(given, task)})


@router.post("/again", dependencies=[needs(Role.SUBMIT)])
def run_again(given: Given, task_id: Number) -> Response:
    """Put a new task like this one into the queue."""
    return RedirectResponse(f"/analysis/{acting.again(given, task_of(given, task_id)).id}", 303)


@router.post("/process", dependencies=[needs(Role.ADMIN)])
def process_again(given: Given, task_id: Number) -> Response:
    """Let a worker make the report anew."""
    task_of(given, task_id)
    given.tasks.process_again(task_id)
    return RedirectResponse(f"/analysis/{task_id}", 303)


@router.post("/delete", dependencies=[needs(Role.ADMIN)])
def delete(given: Given, task_id: Number) -> Response:
    """Delete a task with all that it made."""
    task_of(given, task_id)
    acting.erase(given, task_id)
    return RedirectResponse("/", 303)


@router.post("/cancel", dependencies=[needs(Role.SUBMIT)])
def cancel(given: Given, asker: Asker, task_id: Number) -> Response:
    """End a task that waits or runs."""
    acting.cancel(given, task_of(given, task_id), asker.name if asker else "")
    return RedirectResponse(f"/analysis/{task_id}", 303)
