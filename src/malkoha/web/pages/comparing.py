"""Two analyses side by side: what both have, what only one has, and how often each call was made."""

from __future__ import annotations

from collections import Counter
from typing import Annotated, Any

from fastapi import APIRouter, HTTPException, Query, Request, Response

from malkoha.catalogue import Catalogue
from malkoha.model.task import Status
from malkoha.reporting.comparison import Difference, compare
from malkoha.reporting.wording import duration, shorten
from malkoha.trace.store import Trace
from malkoha.web.pages.queue import name_of, rows_of
from malkoha.web.pages.reading import sections, task_of
from malkoha.web.pages.rendering import PageRoute, page
from malkoha.web.service import Given, Service, needs
from malkoha.web.tokens import Role

router = APIRouter(route_class=PageRoute, include_in_schema=False, dependencies=[needs(Role.READ)])
ENTRIES = 200
"""Entries of one list that are shown; all are counted."""
CHOICES = 30
PARTS = ("info", "target", "signatures", "behavior.summary", "network", "dropped", "strings", "malkoha")
GROUPS = (
    ("Signatures", ("signatures", "techniques")),
    ("Commands", ("commands", "summary.command_line")),
    ("Files", ("dropped",)),
    ("Network", ()),
    ("Other behaviour", ()),
    ("Static", ("strings",)),
)
Id = Annotated[int | None, Query(ge=0, lt=1 << 31)]


@router.get("/compare")
def comparison(request: Request, given: Given, first: Id = None, second: Id = None) -> Response:
    """Compare two analyses; with one of them only, offer others to compare it with."""
    if first is None or second is None:
        return _choose(request, given, first)
    sides = [_side(given, number) for number in (first, second)]
    reports = [_report(given, number) for number in (first, second)]
    found = compare(*reports)
    return page(
        request, "compare.html.j2", sides=sides, alike=round(100 * found.alike), groups=_groups(found.differences),
        calls=_calls(given, first, second), entries=ENTRIES,
    )  # fmt: skip


def _choose(request: Request, given: Service, first: int | None) -> Response:
    """Offer the newest reports; those of the same file first."""
    tasks = given.tasks.all(statuses=[Status.REPORTED], limit=CHOICES)
    if first is not None:
        sample = task_of(given, first).sample
        same = given.tasks.all(sha256=sample.sha256, limit=10) if sample else []
        known = {task.id: task for task in [*same, *tasks] if task.status is Status.REPORTED and task.id != first}
        tasks = list(known.values())
    return page(request, "compare_choice.html.j2", first=first, rows=rows_of(Catalogue(given.tasks), tasks))


def _report(given: Service, task_id: int) -> dict[str, Any]:
    try:
        return sections(given.home.analysis(task_id), *PARTS)
    except HTTPException as error:
        raise HTTPException(error.status_code, f"Analysis {task_id}: {error.detail}") from error


def _side(given: Service, task_id: int) -> dict[str, Any]:
    task = task_of(given, task_id)
    outcome = Catalogue(given.tasks).outcomes([task_id]).get(task_id)
    options = task.options
    return {
        "id": task_id,
        "name": name_of(task),
        "outcome": outcome,
        "facts": {
            "sha256": task.sample.sha256[:16] if task.sample else "",
            "events": f"{outcome.events:,}" if outcome else "",
            "processes": f"{outcome.processes:,}" if outcome else "",
            "ran for": duration(outcome.run_s) if outcome else "",
            "user": options.user,
            "network": options.network,
            "engine": options.engine,
            "image": options.image,
            "time": options.time,
            "arguments": shorten(options.arguments, 200),
        },
    }


def _groups(differences: list[Difference]) -> list[dict[str, Any]]:
    """Gather the aspects under what they are about."""
    where = {aspect: title for title, aspects in GROUPS for aspect in aspects}
    groups: dict[str, list[dict[str, Any]]] = {title: [] for title, _ in GROUPS}
    for each in differences:
        area = each.aspect.partition(".")[0]
        about = each.aspect.partition(".")[2]
        title = where.get(each.aspect) or (
            "Network" if area == "network" or about.startswith(("connect", "resolves", "fetches", "listens"))
            else "Files" if about.startswith(("file_", "directory_", "downloads"))
            else "Static" if area == "static" else "Other behaviour"
        )  # fmt: skip
        groups[title].append(
            {
                "aspect": (about or area).replace("_", " "),
                "both": each.both, "first": each.first, "second": each.second,
                "only_first": [shorten(text, 300) for text in each.only_first[:ENTRIES]],
                "only_second": [shorten(text, 300) for text in each.only_second[:ENTRIES]],
            }
        )  # fmt: skip
    return [{"title": title, "aspects": aspects} for title, aspects in groups.items() if aspects]


def _calls(given: Service, first: int, second: int) -> list[tuple[str, int, int, float, float]]:
    """Count the calls of both by name; those whose numbers differ most come first, with shares of the highest."""
    counts = []
    for number in (first, second):
        path = given.home.analysis(number).events
        total: Counter[str] = Counter()
        if path.is_file():
            for apis in Trace(path).apistats().values():
                total.update(apis)
        counts.append(total)
    left, right = counts
    names = sorted(set(left) | set(right), key=lambda name: (-abs(left[name] - right[name]), name))[:ENTRIES]
    most = max((max(left[name], right[name]) for name in names), default=1) or 1
    return [
        (name, left[name], right[name], round(100 * left[name] / most, 1), round(100 * right[name] / most, 1))
        for name in names
    ]
