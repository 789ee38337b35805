"""What stands beside single analyses: statistics, rules, machines."""

from __future__ import annotations

import os
import shutil
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response

import malkoha
from malkoha.catalogue import Catalogue, Kind, Outcome
from malkoha.machinery import image as images
from malkoha.model.task import Status
from malkoha.reporting.wording import duration
from malkoha.store import Home
from malkoha.web.pages.queue import moment
from malkoha.web.pages.rendering import PageRoute, page
from malkoha.web.service import Given, needs
from malkoha.web.tokens import Role

router = APIRouter(route_class=PageRoute, include_in_schema=False, dependencies=[needs(Role.READ)])
LEVELS = ("clean", "suspicious", "malicious")
TOPS: tuple[tuple[str, Kind], ...] = (
    ("Signatures", "signature"),
    ("Techniques", "technique"),
    ("Domains", "domain"),
)
HEIGHT = 100
"""Units of the chart's highest bar."""


@router.get("/statistics")
def statistics(request: Request, given: Given, days: Annotated[int, Query(ge=1, le=366)] = 30) -> Response:
    """Show what was found, day by day, and what most often."""
    catalogue = Catalogue(given.tasks)
    left = catalogue.catch_up()
    begin = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0) - timedelta(days=days - 1)
    since = begin.isoformat()
    outcomes = catalogue.since(since)
    counts = given.tasks.counts()
    levels = Counter(outcome.level for outcome in outcomes)
    return page(
        request, "statistics.html.j2", days=days, bars=_bars(outcomes, begin, days), total=len(outcomes),
        levels=[(level, levels[level]) for level in LEVELS if levels[level]], uncatalogued=left,
        states=[(state.value, number) for state, number in counts.items() if number],
        tops=[
            (title, kind, _shares(catalogue.top(kind, since=since)))
            for title, kind in TOPS
        ],
        durations=[
            ("run", _spread([outcome.run_s for outcome in outcomes])),
            ("whole analysis", _spread([outcome.total_s for outcome in outcomes])),
        ],
        events=sum(outcome.events for outcome in outcomes),
    )  # fmt: skip


def _bars(outcomes: Sequence[Outcome], begin: datetime, days: int) -> list[dict[str, Any]]:
    """Stack the verdicts of each day; heights are shares of the busiest day."""
    found = {(begin + timedelta(days=day)).date().isoformat(): Counter[str]() for day in range(days)}
    for outcome in outcomes:
        if outcome.ended_at[:10] in found:
            found[outcome.ended_at[:10]][outcome.level if outcome.level in LEVELS else "unknown"] += 1
    most = max((sum(levels.values()) for levels in found.values()), default=0) or 1
    bars = []
    for place, (day, levels) in enumerate(found.items()):
        top, parts = float(HEIGHT), []
        for level in (*LEVELS, "unknown"):
            height = levels[level] * HEIGHT / most
            top -= height
            if height:
                parts.append((level, round(top, 2), round(height, 2)))
        told = ", ".join(f"{levels[level]} {level}" for level in (*LEVELS, "unknown") if levels[level])
        bars.append(
            {"day": day, "x": 20 * place + 2, "parts": parts, "total": sum(levels.values()), "told": told or "none"}
        )
    return bars


def _shares(found: list[tuple[str, int]]) -> list[tuple[str, int, float]]:
    most = max((number for _, number in found), default=1)
    return [(text, number, round(100 * number / most, 1)) for text, number in found]


def _spread(values: Sequence[float | None]) -> list[tuple[str, str]]:
    """Say median, the time within which nine of ten were done, and the longest."""
    known = sorted(value for value in values if value is not None)
    if not known:
        return []
    return [
        ("median", duration(round(known[len(known) // 2], 3))),
        ("nine of ten within", duration(round(known[min(len(known) * 9 // 10, len(known) - 1)], 3))),
        ("longest", duration(round(known[-1], 3))),
    ]


@router.get("/rules")
def rules(request: Request, given: Given, q: Annotated[str, Query(max_length=200)] = "") -> Response:
    """Show the signatures and the sets of YARA and Sigma rules, and how often each signature matched."""
    from malkoha.rules import sets
    from malkoha.rules.yara import bundled
    from malkoha.signatures.catalogue import SIGNATURES

    matched = dict(Catalogue(given.tasks).top("signature", limit=10_000))
    wanted = q.strip().lower()
    found = [
        {
            "name": each.name,
            "description": each.description,
            "severity": each.severity,
            "attack": list(each.attack),
            "matched": matched.get(each.name, 0),
        }
        for each in SIGNATURES
    ]
    if wanted:
        found = [each for each in found if wanted in f"{each['name']} {each['description']} {each['attack']}".lower()]
    found.sort(key=lambda each: (-int(str(each["severity"])), str(each["name"])))
    own = {"name": "malkoha", "origin": "comes with it", "files": {"yara": len(bundled())}, "skipped": 0, "updated": ""}
    known = [
        {"name": each.name, "origin": each.origin, "files": each.files, "skipped": each.skipped,
         "updated": moment(each.updated_at)}
        for each in sets.every(given.home)
    ]  # fmt: skip
    return page(request, "rules_page.html.j2", q=q, signatures=found, known=len(SIGNATURES), sets=[own, *known])


@router.get("/machines")
def machines(request: Request, given: Given) -> Response:
    """Show images, armed snapshots, what runs now, and how this host does."""
    total, _, free = shutil.disk_usage(given.home.root if given.home.root.exists() else "/")
    page_size = os.sysconf("SC_PAGE_SIZE")
    running = given.tasks.all(statuses=[Status.RUNNING], limit=50)
    return page(
        request, "machines.html.j2",
        images=[
            {"name": each.name, "id": each.id[:12], "kernel": each.kernel_release, "packages": list(each.packages)[:40],
             "size": sum(each.sizes.get(part, 0) for part in ("disk", "kernel", "initrd")),
             "made": moment(each.created_at)}
            for each in images.list_images(given.home)
        ],
        snapshots=_snapshots(given.home), running=running,
        host=[
            ("version", malkoha.__version__),
            ("processors", str(os.cpu_count())),
            ("load", " ".join(f"{value:.2f}" for value in os.getloadavg())),
            ("memory", (os.sysconf("SC_PHYS_PAGES") * page_size, os.sysconf("SC_AVPHYS_PAGES") * page_size)),
            ("disk", (total, free)),
            ("accelerator", given.settings.machine.accelerator),
        ],
        now=datetime.now(UTC),
    )  # fmt: skip


def _snapshots(home: Home) -> list[dict[str, Any]]:
    """List the armed machines that are kept, the newest first."""
    found = []
    for folder in home.snapshots.iterdir() if home.snapshots.is_dir() else ():
        try:
            if folder.is_dir() and not folder.name.startswith("."):
                used = sum(path.stat().st_blocks * 512 for path in folder.iterdir() if path.is_file())
                made = datetime.fromtimestamp(folder.stat().st_mtime, UTC)
                found.append(
                    {"id": folder.name[:12], "used": used, "made": moment(made), "parts": len(list(folder.iterdir()))}
                )
        except OSError:  # removed a moment ago
            continue
    return sorted(found, key=lambda each: str(each["made"]), reverse=True)
