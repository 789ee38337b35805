"""What is kept: analyses by age and by size in, those that went out. What runs is never touched."""

from __future__ import annotations

import logging
import shutil
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import TracebackType
from typing import Self

import msgspec

from malkoha.config import Retention
from malkoha.errors import MalkohaError
from malkoha.model.task import Status, Task
from malkoha.store import Home
from malkoha.tasks import Tasks

EVERY_S = 60.0
KEPT = (Status.PENDING, Status.RUNNING)

log = logging.getLogger(__name__)


class Removed(msgspec.Struct):
    """How many analyses went, and what they took on the disk."""

    number: int = 0
    bytes: int = 0


def expire(home: Home, tasks: Tasks, before: datetime, *, dry_run: bool = False, waiting: bool = False) -> Removed:
    """Remove the analyses that were submitted before a moment and are over; with ``waiting`` those that wait too."""
    gone = Removed()
    found = [*_over(tasks), *(tasks.all(statuses=[Status.PENDING]) if waiting else ())]
    for task in found:
        if task.added_at <= before:
            _remove(home, tasks, task, gone, dry_run=dry_run)
    return gone


def fit(home: Home, tasks: Tasks, limit: int) -> Removed:
    """Remove the oldest analyses that are over until all of them take at most ``limit`` bytes."""
    sizes = {task.id: _size(home.folder(task.id)) for task in _over(tasks)}
    total = sum(sizes.values())
    gone = Removed()
    for task_id in sorted(sizes):
        if total - gone.bytes <= limit:
            break
        _remove(home, tasks, tasks.get(task_id), gone)
    return gone


def apply(home: Home, tasks: Tasks, settings: Retention) -> Removed:
    """Keep what the settings allow."""
    gone = Removed()
    if settings.days:
        gone = expire(home, tasks, datetime.now(UTC) - timedelta(days=settings.days))
    if settings.max_gb:
        more = fit(home, tasks, settings.max_gb << 30)
        gone = Removed(gone.number + more.number, gone.bytes + more.bytes)
    if gone.number:
        log.warning("%d analyses were removed, %d MiB: retention", gone.number, gone.bytes >> 20)
    return gone


def room(home: Home, settings: Retention) -> bool:
    """Tell whether the disk has the room that a new analysis may need."""
    place = next(path for path in (home.root, *home.root.parents) if path.exists())
    return shutil.disk_usage(place).free >= settings.min_free_gb << 30


class Keeper:
    """Applies the settings once a minute, in a thread of its own; a context manager."""

    def __init__(self, home: Home, tasks: Tasks, settings: Retention) -> None:
        self._home, self._tasks, self._settings = home, tasks, settings
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="malkoha-retention", daemon=True)

    def __enter__(self) -> Self:
        if self._settings.days or self._settings.max_gb:
            self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join()

    def _run(self) -> None:
        while True:
            try:
                apply(self._home, self._tasks, self._settings)
            except MalkohaError as error:
                log.warning("retention: %s", error)
            if self._stop.wait(EVERY_S):
                return


def _over(tasks: Tasks) -> list[Task]:
    """Return the tasks that are neither waiting nor running, the newest first."""
    return tasks.all(statuses=[status for status in Status if status not in KEPT])


def _remove(home: Home, tasks: Tasks, task: Task, gone: Removed, *, dry_run: bool = False) -> None:
    folder = home.folder(task.id)
    size = _size(folder)
    if not dry_run:
        try:
            # the row first: a folder without a row is taken in again, a row without a folder would lie
            tasks.delete(task.id)
        except MalkohaError as error:
            log.info("task %d is kept: %s", task.id, error)
            return
        shutil.rmtree(folder, ignore_errors=True)
    gone.number += 1
    gone.bytes += size


def _size(folder: Path) -> int:
    """Return what a folder takes on the disk, in bytes; files that vanish meanwhile take nothing."""
    total = 0
    for path in folder.rglob("*") if folder.is_dir() else ():
        try:
            total += path.lstat().st_blocks * 512
        except OSError:
            continue
    return total
