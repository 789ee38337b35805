"""What every queue keeps: the next task to one worker, the tasks of a dead one to another, and one result of each."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import msgspec
import pytest
import sqlalchemy as sa

from malkoha.errors import LeaseLostError, MalkohaError, SubmitError
from malkoha.model.task import Options, Status, Task
from malkoha.queue import Queue, open_queue
from malkoha.store import Home
from malkoha.tasks import MAX_DEATHS, Tasks, table

OFFERS = ["default/x86-64/none"]


class Rig:
    """A queue under test, and what makes another process of a worker."""

    def __init__(self, home: Home) -> None:
        self.home = home
        self.tasks = Tasks(home)
        self.queue = open_queue(self.tasks)
        if home.server:
            self.tasks.show([*OFFERS, "default/x86-64/vpn"])

    def close(self) -> None:
        self.queue.close()
        self.tasks.close()

    def other(self, body: str) -> str:
        """Do something as another worker, which then dies without a word; return what it printed."""
        program = (
            "import os, sys; from pathlib import PosixPath\n"
            "from malkoha.store import Home; from malkoha.queue import open_queue; from malkoha.tasks import Tasks\n"
            f"home = {self.home!r}; queue = open_queue(Tasks(home)); OFFERS = {OFFERS!r}\n"
            f"{body}\nsys.stdout.flush(); os._exit(9)\n"
        )
        done = subprocess.run([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True, check=False)
        assert done.returncode == 9
        return done.stdout

    def take_and_die(self) -> None:
        assert self.other("print(queue.take(OFFERS).id)").strip() == "1"
        if self.home.server:
            with self.tasks.database.write() as connection:  # as if the time for a sign of life had passed
                old = "UPDATE procrastinate_workers SET last_heartbeat = now() - interval '1 hour' WHERE id <> :mine"
                connection.execute(sa.text(old), {"mine": self.queue._jobs.worker})  # type: ignore[attr-defined]
        assert self.queue.settle() == [1]

    def taken(self) -> tuple[int, Status] | None:
        task = self.queue.take(OFFERS)
        return None if task is None else (task.id, task.status)


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.cluster)])
def rig(request: pytest.FixtureRequest) -> Iterator[Rig]:
    made = Rig(request.getfixturevalue("home" if request.param == "sqlite" else "shared_home"))
    yield made
    made.close()


def add(rig: Rig, task_id: int, *, network: str = "none", **changes: object) -> Task:
    task = Task(id=task_id, target="/x", sample=None, options=Options(network=network), added_at=datetime.now(UTC))
    return rig.tasks.add(msgspec.structs.replace(task, **changes))


def need(queue: Queue) -> Task:
    task = queue.take(OFFERS)
    assert task is not None
    return task


def test_priority_then_age(rig: Rig) -> None:
    for number, priority in ((1, 1), (2, 5), (3, 5)):
        add(rig, number, priority=priority)
    assert [rig.taken() for _ in range(4)] == [*((number, Status.RUNNING) for number in (2, 3, 1)), None]
    assert rig.tasks.get(2).started_at is not None


def test_only_what_the_worker_can_do(rig: Rig) -> None:
    add(rig, 1, network="vpn", priority=9)
    add(rig, 2)
    assert [rig.taken(), rig.taken()] == [(2, Status.RUNNING), None]
    task = rig.queue.take([*OFFERS, "default/x86-64/vpn"])
    assert task is not None
    assert task.id == 1


def test_what_is_past_its_deadline_is_given_up(rig: Rig) -> None:
    now = datetime.now(UTC)
    add(rig, 1, deadline=now - timedelta(seconds=1))
    add(rig, 2, deadline=now + timedelta(hours=1))
    assert rig.taken() == (2, Status.RUNNING)
    late = rig.tasks.get(1)
    assert (late.status, late.error) == (Status.FAILED_ANALYSIS, "its deadline passed before a worker was free")
    assert late.attempts == 0


def test_many_workers_never_share_a_task(rig: Rig) -> None:
    for number in range(1, 41):
        add(rig, number)
    program = "task = queue.take(OFFERS)\nwhile task is not None:\n    print(task.id); "
    program += "queue.tell(task, 'completed'); queue.tell(task, 'reported'); task = queue.take(OFFERS)"
    body = program.replace("'completed'", "Status.COMPLETED").replace("'reported'", "Status.REPORTED")
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(4) as pool:
        told = pool.map(rig.other, ["from malkoha.model.task import Status\n" + body] * 4)
        assert sorted(int(line) for text in told for line in text.split()) == list(range(1, 41))
    assert rig.tasks.counts()[Status.REPORTED] == 40


def test_a_dead_workers_task_comes_back_until_it_is_too_often(rig: Rig) -> None:
    add(rig, 1)
    for _ in range(MAX_DEATHS):
        rig.take_and_die()
    assert rig.taken() is None
    failed = rig.tasks.get(1)
    assert (failed.status, failed.error) == (Status.FAILED_ANALYSIS, f"its worker died {MAX_DEATHS} times")


def test_a_living_workers_task_stays_his(rig: Rig) -> None:
    add(rig, 1)
    assert rig.taken() == (1, Status.RUNNING)
    assert rig.other("print(queue.take(OFFERS), queue.settle())").strip() == "None []"
    assert rig.tasks.get(1).status is Status.RUNNING


def test_a_run_that_was_done_is_processed_not_run_again(rig: Rig) -> None:
    add(rig, 1)
    rig.home.attempt(1, 1).create().run.write_text("{}")
    rig.take_and_die()
    task = need(rig.queue)
    assert (task.status, task.attempts, rig.tasks.deaths(1)) == (Status.COMPLETED, 2, 1)
    rig.queue.tell(task, Status.REPORTED)
    assert rig.taken() is None


def test_a_late_attempt_is_not_taken(rig: Rig) -> None:
    add(rig, 1)
    first = need(rig.queue)
    assert rig.tasks.bury(1, first.attempts) is Status.PENDING  # as if this process were dead
    again = rig.tasks.get(1)
    assert again.status is Status.PENDING
    with pytest.raises(LeaseLostError):
        rig.queue.tell(first, Status.COMPLETED)
    with pytest.raises(LeaseLostError):
        rig.queue.tell(first, Status.FAILED_ANALYSIS, "too late")
    rig.queue.give_back(first)
    assert rig.tasks.get(1) == again
    assert rig.tasks.bury(1, first.attempts) is None


def test_what_is_given_back_counts_as_no_death(rig: Rig) -> None:
    add(rig, 1)
    for _ in range(MAX_DEATHS + 1):
        task = need(rig.queue)
        assert task.status is Status.RUNNING
        rig.queue.give_back(task)
        assert rig.tasks.get(1).status is Status.PENDING
    task = need(rig.queue)
    rig.queue.tell(task, Status.COMPLETED)
    assert rig.taken() is None
    rig.queue.give_back(task)
    assert rig.taken() == (1, Status.COMPLETED)


def test_what_is_held_is_neither_deleted_nor_processed_again(rig: Rig) -> None:
    add(rig, 1)
    task = need(rig.queue)
    rig.queue.tell(task, Status.COMPLETED)
    with pytest.raises(MalkohaError, match="cannot be deleted"):
        rig.tasks.delete(1)
    with pytest.raises(MalkohaError, match="cannot be processed again"):
        rig.tasks.process_again(1)
    rig.queue.tell(task, Status.REPORTED)
    rig.tasks.process_again(1)
    assert rig.taken() == (1, Status.COMPLETED)


def test_what_no_worker_had_is_not_taken_for_processing(rig: Rig) -> None:
    add(rig, 1, status=Status.COMPLETED)
    assert rig.taken() is None


def test_a_deleted_task_is_not_taken(rig: Rig) -> None:
    add(rig, 1)
    add(rig, 2)
    rig.tasks.delete(1)
    assert rig.taken() == (2, Status.RUNNING)


@pytest.mark.cluster
def test_what_no_machine_can_do_is_refused(shared_home: Home) -> None:
    with Tasks(shared_home) as tasks, open_queue(tasks) as queue:
        task = Task(id=1, target="/x", sample=None, options=Options(image="web"), added_at=datetime.now(UTC))
        with pytest.raises(SubmitError, match="no machine can do web/x86-64/none.*no worker ran yet"):
            tasks.add(task)
        assert queue.take(["web/x86-64/none", *OFFERS]) is None
        tasks.add(task)
        with pytest.raises(SubmitError, match="no machine can do web/x86-64/vpn"):
            tasks.add(msgspec.structs.replace(task, id=2, options=Options(image="web", network="vpn")))
        assert [each.id for each in tasks.all()] == [1]


@pytest.mark.cluster
def test_what_another_machine_runs_is_not_settled_here(shared_home: Home) -> None:
    with Tasks(shared_home) as here, Tasks(shared_home) as there:
        there.node = "another"
        task = Task(id=1, target="/x", sample=None, options=Options(), added_at=datetime.now(UTC))
        there.add(task, running=True)
        with there.database.write() as connection:
            connection.execute(table.update().values(runner="another-boot:1:1"))
        assert here.recover() == []
        assert there.recover() == [1]
        assert here.get(1).status is Status.FAILED_ANALYSIS


@pytest.mark.cluster
def test_migrations_make_the_same_tables_on_postgresql(shared_home: Home) -> None:
    from alembic.autogenerate import compare_metadata
    from alembic.migration import MigrationContext

    from malkoha import catalogue, database

    assert catalogue.terms.metadata is database.metadata
    with Tasks(shared_home) as tasks, tasks.database.read() as connection:
        found = compare_metadata(MigrationContext.configure(connection), database.metadata)
    assert [change for change in found if "procrastinate" not in str(change)] == []


def test_the_next_one_is_found_along_an_index(home: Home) -> None:
    rig = Rig(home)
    add(rig, 1)
    with rig.tasks.database.read() as connection:
        query = sa.select(table.c.id).where(table.c.status == "pending").order_by(table.c.priority.desc()).limit(1)
        text = str(query.compile(dialect=connection.dialect, compile_kwargs={"literal_binds": True}))
        plan = " ".join(str(row) for row in connection.execute(sa.text("EXPLAIN QUERY PLAN " + text)))
    rig.close()
    assert "tasks_by_status" in plan
    assert "TEMP B-TREE" not in plan
