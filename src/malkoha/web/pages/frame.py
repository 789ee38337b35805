"""What stands around the tabs of an analysis; it is made without its report."""

from __future__ import annotations

from typing import Any

from malkoha.catalogue import Catalogue
from malkoha.model.task import Status, Task
from malkoha.web.pages.queue import moment, name_of
from malkoha.web.service import Service

TABS = (
    ("", "Overview"),
    ("signatures", "Signatures"),
    ("processes", "Processes"),
    ("calls", "Calls"),
    ("activity", "Activity"),
    ("network", "Network"),
    ("files", "Files"),
    ("static", "Static"),
    ("run", "Run"),
)


def frame(given: Service, task: Task) -> dict[str, Any]:
    """Make what stands around the tabs of an analysis."""
    store = given.home.analysis(task.id)
    outcome = Catalogue(given.tasks).outcomes([task.id]).get(task.id)
    downloads = (
        (store.report_json, f"/tasks/report/{task.id}/json", "report.json"),
        (store.report_html, f"/tasks/report/{task.id}/html", "report.html"),
        (store.pcap, f"/pcap/get/{task.id}", "network.pcap"),
        (store.events, f"/analysis/{task.id}/events.parquet", "events.parquet"),
        (store.sample, f"/analysis/{task.id}/sample.zip", "sample.zip, password infected"),
    )
    return {
        "id": task.id,
        "task": task,
        "name": name_of(task),
        "outcome": outcome if task.status is Status.REPORTED else None,
        "added": moment(task.added_at),
        "tabs": TABS,
        "downloads": [(place, label) for path, place, label in downloads if path.is_file()],
        "ended": task.status not in (Status.PENDING, Status.RUNNING),
    }
