"""What the service knows and can do: signatures and rules, statistics of the queue, machines and packages."""

from __future__ import annotations

import shutil
from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any

from fastapi import APIRouter

import malkoha
from malkoha import submit
from malkoha.config import ROUTED, Settings
from malkoha.machinery import image as images
from malkoha.model.task import Status, Task
from malkoha.reporting.exports import Format
from malkoha.web.service import Given, needs
from malkoha.web.tokens import Role
from malkoha.web.v1 import models

router = APIRouter(prefix="/api/v1", tags=["service"], dependencies=[needs(Role.READ)], responses=models.REFUSALS)
LOOKED_AT = 2000
"""Days and durations are told of so many tasks, the newest."""
DAYS = 30


@router.get("/rules", response_model=models.Rules)
def view_rules(given: Given) -> dict[str, Any]:
    """List the signatures and the sets of YARA and Sigma rules."""
    from malkoha.rules import sets, yara
    from malkoha.signatures.catalogue import SIGNATURES

    signatures = [
        {
            "name": each.name,
            "description": each.description,
            "severity": each.severity,
            "attack": list(each.attack),
            "families": list(each.families),
        }
        for each in SIGNATURES
    ]
    own = {"name": "malkoha", "files": {"yara": len(yara.bundled())}, "updated_at": None}
    users = [{"name": e.name, "files": e.files, "updated_at": e.updated_at} for e in sets.every(given.home)]
    return {"signatures": signatures, "sets": [own, *users]}


@router.get("/statistics", response_model=models.Statistics)
def view_statistics(given: Given) -> dict[str, Any]:
    """Tell what the queue has done; days and durations are those of the newest two thousand tasks."""
    counts = given.tasks.counts()
    tasks = given.tasks.all(limit=LOOKED_AT)
    now = datetime.now(UTC)
    waiting = [task.added_at for task in tasks if task.status is Status.PENDING]
    usage = shutil.disk_usage(given.home.root)
    return {
        "total": sum(counts.values()),
        "statuses": {status.value: number for status, number in counts.items() if number},
        "waiting": counts[Status.PENDING],
        "running": counts[Status.RUNNING],
        "oldest_waiting_s": round((now - min(waiting)).total_seconds(), 1) if waiting else None,
        "days": _days(tasks, now),
        "run_s": _durations(tasks),
        "hour": sum(1 for task in tasks if task.completed_at and now - task.completed_at < timedelta(hours=1)),
        "disk": {"used": usage.used, "free": usage.free},
    }


@router.get("/abilities", response_model=models.Abilities)
def view_abilities(given: Given) -> dict[str, Any]:
    """Tell what a task can ask for here."""
    machines = [
        {"name": one.name, "id": one.id[:12], "kernel": one.kernel_release, "packages": list(one.packages)}
        for one in images.list_images(given.home)
    ]
    return {
        "version": malkoha.__version__,
        "machines": machines,
        "packages": submit.package_names(),
        "networks": [mode for mode in submit.NETWORKS if _is_open(mode, given.settings)],
        "engines": list(submit.ENGINES),
        "formats": [form.value for form in Format],
        "max_sample_mb": given.settings.analysis.max_sample_mb,
    }


def _is_open(mode: str, settings: Settings) -> bool:
    """Tell whether a task can ask for this network: a route has to be set up by an administrator."""
    return mode not in ROUTED or bool(submit.way_out(mode, settings.routes))


def _days(tasks: list[Task], now: datetime) -> list[dict[str, Any]]:
    added = Counter(task.added_at.date() for task in tasks)
    completed = Counter(task.completed_at.date() for task in tasks if task.completed_at)
    days = sorted((now - timedelta(days=back)).date() for back in range(DAYS))
    return [{"day": day.isoformat(), "added": added[day], "completed": completed[day]} for day in days]


def _durations(tasks: list[Task]) -> dict[str, float]:
    done = [(task.started_at, task.completed_at) for task in tasks]
    spent = sorted((end - start).total_seconds() for start, end in done if start and end)
    if not spent:
        return {}
    return {"median": round(spent[len(spent) // 2], 3), "p95": round(spent[int(len(spent) * 0.95)], 3)}
