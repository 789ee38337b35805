from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

import msgspec
import pytest

from malkoha import submit
from malkoha.errors import MalkohaError, UsageError
from malkoha.model.task import Options, Sample, Status, Task
from malkoha.store import Home
from malkoha.tasks import Tasks


def make(task_id: int, **changes: object) -> Task:
    sample = Sample(name=b"\xff x", size=1, sha256="0" * 64, type="data")
    task = Task(
        id=task_id, target="/x\\xff", sample=sample, options=Options(extra={"a": "b"}), added_at=datetime.now(UTC)
    )
    return msgspec.structs.replace(task, **changes)


@pytest.fixture
def table(home: Home) -> Iterator[Tasks]:
    with Tasks(home) as opened:
        yield opened


def test_what_goes_in_comes_out(table: Tasks) -> None:
    task = make(1, priority=7)
    table.add(task)
    assert table.get(1) == task
    with pytest.raises(UsageError, match="no task 2"):
        table.get(2)


def test_a_task_without_a_sample(table: Tasks) -> None:
    task = make(1, sample=None, category="url", target="http://example.org/")
    table.add(task)
    assert table.get(1) == task


def test_lists_newest_first(table: Tasks) -> None:
    for number in range(1, 6):
        table.add(make(number))
    table.move(2, Status.RUNNING)
    assert [task.id for task in table.all()] == [5, 4, 3, 2, 1]
    assert [task.id for task in table.all(limit=2, offset=1)] == [4, 3]
    assert [task.id for task in table.all(statuses=[Status.RUNNING])] == [2]


def test_the_way_of_a_task(table: Tasks) -> None:
    table.add(make(1))
    running = table.move(1, Status.RUNNING)
    assert running.started_at is not None
    assert running.completed_at is None
    completed = table.move(1, Status.COMPLETED)
    assert completed.completed_at is not None
    assert table.move(1, Status.FAILED_PROCESSING, error="why").error == "why"
    again = table.move(1, Status.REPORTED)
    assert (again.status, again.error) == (Status.REPORTED, "")
    assert table.move(1, Status.REPORTED).status is Status.REPORTED


@pytest.mark.parametrize(
    ("path", "wrong"),
    [
        ([], Status.COMPLETED),
        ([], Status.REPORTED),
        ([Status.RUNNING], Status.RUNNING),
        ([Status.RUNNING], Status.REPORTED),
        ([Status.RUNNING, Status.COMPLETED], Status.RUNNING),
        ([Status.FAILED_ANALYSIS], Status.RUNNING),
    ],
)
def test_wrong_steps_are_refused(table: Tasks, path: list[Status], wrong: Status) -> None:
    table.add(make(1))
    for step in path:
        table.move(1, step)
    before = table.get(1)
    with pytest.raises(MalkohaError, match=f"task 1 cannot become {wrong.value}"):
        table.move(1, wrong)
    assert table.get(1) == before


def test_only_one_of_many_starts_a_task(home: Home, table: Tasks) -> None:
    table.add(make(1))

    def start(_: int) -> bool:
        with Tasks(home) as own:
            try:
                own.move(1, Status.RUNNING)
            except MalkohaError:
                return False
            return True

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(start, range(16))) == 1


def test_delete(table: Tasks) -> None:
    table.add(make(1))
    table.add(make(2), running=True)
    table.delete(1)
    with pytest.raises(UsageError):
        table.get(1)
    with pytest.raises(UsageError):
        table.delete(1)
    with pytest.raises(MalkohaError, match="it is running"):
        table.delete(2)


def test_a_dead_runner_is_noticed(home: Home, table: Tasks) -> None:
    program = (
        "import sys, os; from pathlib import Path; from malkoha.store import Home; from malkoha.tasks import Tasks;"
        "from malkoha.model.task import Status; t = Tasks(Home(Path(sys.argv[1])));"
        "t.move(1, Status.RUNNING); t.move(2, Status.RUNNING); os._exit(9)"
    )
    for number in (1, 2, 3, 4):
        table.add(make(number))
    table.move(3, Status.RUNNING)
    subprocess.run([sys.executable, "-c", program, home.root], check=False)
    store = home.analysis(2).create()
    store.run.write_text("{}")
    assert table.recover() == [1, 2]
    assert table.get(1).status is Status.FAILED_ANALYSIS
    assert "ended before" in table.get(1).error
    assert table.get(2).status is Status.COMPLETED
    assert table.get(3).status is Status.RUNNING
    assert table.get(4).status is Status.PENDING
    assert table.recover() == []


def test_folders_without_a_row_are_taken_in(home: Home, table: Tasks) -> None:
    for number in (1, 2, 3):
        submit.save(make(number if number != 3 else 99), home.analysis(number).create())
    home.analysis(4).create()
    (home.analyses / "nonsense").mkdir()
    long_ago = time.time() - 3600
    for number in (1, 3):
        os.utime(home.analysis(number).task, (long_ago, long_ago))
    assert table.recover() == [1]
    assert table.get(1).status is Status.FAILED_ANALYSIS


def test_samples_and_numbers(table: Tasks) -> None:
    for number, digest in ((1, "a"), (2, "b"), (3, "a")):
        sample = Sample(name=b"x", size=1, sha256=digest * 64, type="data", md5=digest * 32)
        table.add(make(number, sample=sample, owner=digest))
    table.add(make(4, sample=make(1).sample, category="url"))
    assert table.first_of(["a" * 64, "b" * 64, "0" * 64]) == {"a" * 64: 1, "b" * 64: 2}
    first = table.with_md5("a" * 32)
    assert first is not None
    assert first.id == 1
    assert table.with_md5("c" * 32) is None
    assert [task.id for task in table.all(sha256="a" * 64)] == [3, 1]
    assert [task.id for task in table.all(owner="b")] == [2]
    assert table.counts()[Status.PENDING] == 4
