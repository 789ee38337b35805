"""Workers on stand-in machines are killed at random moments: no task is lost, none has two results, nothing is left."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest

from malkoha import submit
from malkoha.model.task import Options, Sample, Status, Task
from malkoha.store import Home
from malkoha.tasks import MAX_DEATHS, Tasks

WORKERS = 3
PROGRAM = Path(__file__).with_name("standin_worker.py")


class Crew:
    """Workers that are replaced when they were killed."""

    def __init__(self, home: Home) -> None:
        self.environment = {**os.environ, "MALKOHA_HOME": str(home.root)}
        if home.server:
            self.environment |= {
                "MALKOHA_CLUSTER_DATABASE": home.server,
                "MALKOHA_CLUSTER_FOLDER": str(home.shared),
                "MALKOHA_CLUSTER_LOST_AFTER_S": str(home.lost_after_s),
            }
        self.workers = [self.start() for _ in range(WORKERS)]

    def start(self) -> subprocess.Popen[bytes]:
        return subprocess.Popen([sys.executable, str(PROGRAM)], env=self.environment, stderr=subprocess.DEVNULL)

    def kill_one(self, spare: Callable[[int], bool]) -> bool:
        """Kill a worker, unless it does what ``spare`` says when its process has been stopped and cannot go on."""
        place = random.randrange(WORKERS)
        victim = self.workers[place]
        os.kill(victim.pid, signal.SIGSTOP)
        if spare(victim.pid):
            os.kill(victim.pid, signal.SIGCONT)
            return False
        victim.kill()
        victim.wait()
        self.workers[place] = self.start()
        return True

    def end(self) -> None:
        for worker in self.workers:
            worker.kill()
            worker.wait()


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.cluster)])
def place(request: pytest.FixtureRequest) -> Home:
    if request.param == "sqlite":
        home: Home = request.getfixturevalue("home")
        return home
    shared: Home = request.getfixturevalue("shared_home")
    return replace(shared, lost_after_s=6.0)


@pytest.fixture
def crew(place: Home) -> Iterator[Crew]:
    home = place
    home.root.mkdir(parents=True)
    home.analyses.mkdir(parents=True, exist_ok=True)
    with Tasks(home) as tasks:
        tasks.show(["default/x86-64/none"])
    made = Crew(home)
    yield made
    made.end()


def test_no_task_is_lost_none_has_two_results_and_nothing_is_left(place: Home, crew: Crew) -> None:
    home = place
    # a dead worker of a cluster is known by its silence, which takes seconds each time
    number_of_tasks, kills = (40, 6) if home.server else (200, 30)
    with Tasks(home) as tasks:
        for number in range(1, number_of_tasks + 1):
            submitted(home, tasks, number)
        killed, working = 0, 0

        def spare(pid: int) -> bool:
            nonlocal working
            held = [row for row in tasks.held() if row.runner.split(":")[1] == str(pid)]
            working += bool(held)
            # a task of which MAX_DEATHS workers die is given up, which is another test's business
            return any(tasks.deaths(row.id) + 1 >= MAX_DEATHS for row in held)

        began = time.monotonic()
        while tasks.counts()[Status.REPORTED] < number_of_tasks:
            assert time.monotonic() - began < 500
            time.sleep(random.random() * 0.15)
            if killed < kills and tasks.counts()[Status.REPORTED]:
                killed += crew.kill_one(spare)
        crew.end()
        rows = [tasks.get(number) for number in range(1, number_of_tasks + 1)]
        assert {task.status for task in rows} == {Status.REPORTED}
        assert tasks.held() == []
        died = sum(tasks.deaths(task.id) for task in rows)
    assert killed > 0
    assert died <= working
    runs = Counter(int(line.split()[0]) for line in (home.root / "runs").read_text().splitlines())
    for task in rows:
        assert 1 <= runs[task.id] <= task.attempts
        newest = home.analysis(task.id)
        report = msgspec.json.decode(newest.report_json.read_bytes())
        assert report["folder"] == str(newest.root)
        assert len(list(home.folder(task.id).rglob("run.json"))) >= 1
    assert [pid for pid in (home.root / "beside").read_text().split() if sleeps(pid)] == []


def submitted(home: Home, tasks: Tasks, number: int) -> None:
    store = home.analysis(number).create()
    store.sample.write_bytes(b"x")
    sample = Sample(name=b"x", size=1, sha256="0" * 64, type="data")
    task = Task(id=number, target="/x", sample=sample, options=Options(), added_at=datetime.now(UTC))
    submit.save(task, store)
    tasks.add(task)


def sleeps(pid: str) -> bool:
    """Tell whether the process beside a machine still runs; the kernel kills it a moment after its worker."""
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        try:
            words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
        except OSError:
            return False
        if words[:2] != [b"sleep", b"1000"]:
            return False
        time.sleep(0.05)
    return True
