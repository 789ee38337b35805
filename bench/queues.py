"""What one more task costs as the queue grows, and how many short analyses an hour this machine finishes."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from malkoha import config
from malkoha.model.task import Options, Sample, Status, Task, needs
from malkoha.queue import open_queue
from malkoha.store import Home
from malkoha.tasks import Tasks, table

ROOT = Path(__file__).parent.parent
COMMAND = [sys.executable, "-m", "malkoha.cli"]
BACKLOG = 100_000
STEPS = 200
OPTIONS = Options(network="sim")
SHORT = "#!/bin/sh\necho hello\n"
EACH = 8
"""Analyses for each slot in one measurement of throughput."""


def figures(runs: int) -> dict[str, Any]:
    """Time adding, listing, viewing, counting and taking with an empty queue and behind a backlog."""
    del runs
    found: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder, Tasks(Home(Path(folder))) as tasks:
        small = _steps(tasks, 1)
        _fill(tasks)
        large = _steps(tasks, BACKLOG * 2)
        for name, value in large.items():
            found[f"queue.{name}_ms"] = _figure(value, "ms", f"median of {STEPS}, {BACKLOG:,} tasks wait")
            found[f"queue.{name}_growth"] = _figure(
                round(value / small[name], 2), "x", f"against the same with at most {STEPS} that wait"
            )
    return found


def throughput(runs: int) -> dict[str, Any]:
    """Count finished analyses of a script that says hello, with one to three slots."""
    del runs
    found: dict[str, Any] = {}
    best = 0.0
    for slots in (1, 2, 3):
        number = EACH * slots
        seconds = _drain(slots, number)
        hourly = round(number / seconds * 3600)
        best = max(best, hourly)
        found[f"throughput.slots_{slots}"] = _figure(hourly, "1/h", f"{number} analyses of a shell script, network sim")
    found["throughput.best"] = _figure(best, "1/h", "the best number of slots")
    return found


def _drain(slots: int, number: int) -> float:
    """Return how long it takes from the first analysis's start to the last one's end."""
    real = config.home_from()
    with _workspace(real) as home:
        sample = home.root / "short.sh"
        sample.write_text(SHORT)
        environment = {**os.environ, "MALKOHA_HOME": str(home.root)}
        subprocess.run(
            [*COMMAND, "submit", *[str(sample)] * number], check=True, env=environment, stdout=subprocess.DEVNULL
        )
        with (
            subprocess.Popen([*COMMAND, "worker", "--slots", str(slots)], env=environment) as worker,
            Tasks(home) as tasks,
        ):
            try:
                while (counts := tasks.counts())[Status.REPORTED] < number:
                    if counts[Status.PENDING] + counts[Status.RUNNING] + counts[Status.COMPLETED] == 0:
                        raise SystemExit("an analysis failed: no figure")
                    time.sleep(0.2)
            finally:
                worker.terminate()
            done = tasks.all()
    begun = min(task.started_at for task in done if task.started_at)
    return max((datetime.now(UTC) - begun).total_seconds(), 0.001)


@contextmanager
def _workspace(real: Home) -> Iterator[Home]:
    """Yield a home of its own with the images and snapshots of the user's."""
    with tempfile.TemporaryDirectory() as folder:
        home = Home(Path(folder))
        for place in (real.images, real.snapshots, real.cache):
            place.mkdir(parents=True, exist_ok=True)
            (home.root / place.name).symlink_to(place)
        yield home


def _fill(tasks: Tasks) -> None:
    row = dict(_row(tasks))
    with tasks.database.write() as connection:
        for start in range(1000, 1000 + BACKLOG, 5000):
            rows = [row | {"id": number, "priority": 1 + number % 3} for number in range(start, start + 5000)]
            connection.execute(table.insert(), rows)


def _row(tasks: Tasks) -> Any:
    with tasks.database.read() as connection:
        return connection.execute(table.select().where(table.c.status == "pending").limit(1)).mappings().one()


def _steps(tasks: Tasks, first: int) -> dict[str, float]:
    numbers = iter(range(first, first + STEPS))
    sample = Sample(name=b"x", size=1, sha256="0" * 64, type="data", md5="0" * 32)

    def add() -> None:
        tasks.add(
            Task(id=next(numbers), target="/x", sample=sample, options=OPTIONS, added_at=datetime.now(UTC), owner="me")
        )

    with open_queue(tasks) as queue:

        def take() -> None:
            task = queue.take([needs(OPTIONS)])
            assert task is not None
            queue.give_back(task)

        return {
            "add": _median(add),
            "list": _median(lambda: tasks.all(limit=50)),
            "list_pending": _median(lambda: tasks.all(statuses=[Status.PENDING], limit=50)),
            "view": _median(lambda: tasks.get(first)),
            "count": _median(tasks.counts),
            "take": _median(take),
        }


def _median(step: Callable[[], object]) -> float:
    times = []
    for _ in range(STEPS):
        began = time.perf_counter()
        step()
        times.append(time.perf_counter() - began)
    return round(statistics.median(times) * 1000, 3)


def _figure(value: float, unit: str, against: str) -> dict[str, Any]:
    return {"value": value, "unit": unit, "against": against}
