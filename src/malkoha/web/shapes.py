"""Tasks, samples and images in the shapes that Cuckoo 2's REST interface gives them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any

import msgspec

from malkoha.machinery.image import Image
from malkoha.model.task import Run, Sample, Task
from malkoha.store import Store

TIME = "%Y-%m-%d %H:%M:%S"


def task(task: Task, samples: Mapping[str, int]) -> dict[str, Any]:
    """Return one task; ``samples`` gives the id of a sample by its SHA-256."""
    own = task.sample if task.category == "file" else None
    sample_id = samples.get(own.sha256) if own else None
    options = dict(task.options.extra) | ({"arguments": task.options.arguments} if task.options.arguments else {})
    return {
        "id": task.id,
        "target": task.target,
        "category": task.category,
        "timeout": round(task.options.timeout_s) or 1,
        "priority": task.priority,
        "custom": task.custom,
        "owner": task.owner,
        "machine": task.options.image,
        "package": task.options.package,
        "tags": task.tags,
        "options": options,
        "platform": "linux",
        "memory": task.options.memory,
        "enforce_timeout": False,
        "clock": _time(task.added_at),
        "added_on": _time(task.added_at),
        "started_on": _time(task.started_at),
        "completed_on": _time(task.completed_at),
        "status": task.status.value,
        "sample_id": sample_id,
        "submit_id": task.submit_id,
        "processing": None,
        "route": task.options.network,
        "duration": _duration(task),
        "guest": {},
        "errors": [task.error] if task.error else [],
        "sample": sample(own, sample_id) if own else {},
    }


def sample(sample: Sample, sample_id: int | None) -> dict[str, Any]:
    """Return the facts about a sample; what was not kept at its time (an older malkoha's) is null."""
    return {
        "id": sample_id,
        "file_size": sample.size,
        "file_type": sample.type,
        "md5": sample.md5 or None,
        "crc32": sample.crc32 or None,
        "sha1": sample.sha1 or None,
        "sha256": sample.sha256,
        "sha512": sample.sha512 or None,
        "ssdeep": None,
    }


def guest(store: Store, task_id: int) -> dict[str, Any]:
    """Return the machine that ran a task, as its run.json tells; empty before the run has ended."""
    try:
        run = msgspec.json.decode(store.run.read_bytes(), type=Run)
    except (OSError, msgspec.MsgspecError):
        return {}
    return {
        "id": task_id,
        "task_id": task_id,
        "name": run.machine,
        "label": run.machine,
        "manager": "QEMU",
        "started_on": _time(run.started_at),
        "shutdown_on": _time(run.ended_at),
        "status": "stopped",
    }


def machine(image: Image, number: int) -> dict[str, Any]:
    """Return an image as the machine that a task can ask for: every run of it is a machine of its own."""
    return {
        "id": number,
        "name": image.name,
        "label": image.name,
        "arch": "x64",
        "platform": "linux",
        "ip": "",
        "tags": [],
        "options": [],
        "interface": None,
        "snapshot": image.id[:12],
        "locked": False,
        "locked_changed_on": None,
        "status": "poweroff",
        "status_changed_on": _time(image.created_at),
        "resultserver_ip": "",
        "resultserver_port": "",
    }


def summary(report: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a report comes to, without calls, strings, files and packets."""
    short = {key: report[key] for key in ("info", "target", "signatures") if key in report}
    behavior = report.get("behavior") or {}
    short["behavior"] = {key: behavior[key] for key in ("summary", "processtree") if key in behavior}
    network = report.get("network") or {}
    short["network"] = {key: network[key] for key in ("hosts", "domains") if key in network}
    if verdict := (report.get("malkoha") or {}).get("verdict"):
        short["malkoha"] = {"verdict": verdict}
    return short


def file_name(text: str) -> str:
    """Return a name that is safe in a header."""
    kept = re.sub(r"[^A-Za-z0-9._-]", "_", text)
    return kept.lstrip(".")[:120] or "file"


def _time(moment: datetime | None) -> str | None:
    return None if moment is None else moment.strftime(TIME)


def _duration(task: Task) -> int:
    if task.started_at is None or task.completed_at is None:
        return -1
    return max(round((task.completed_at - task.started_at).total_seconds()), 0)
