from __future__ import annotations

import fcntl
import os
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures import TimeoutError as FutureTimeout
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest
import sqlalchemy as sa

from malkoha import catalogue, submit, tasks
from malkoha.errors import HostError, MalkohaError, UsageError
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


def test_processes_are_told_apart() -> None:
    me = tasks.this_process()
    assert tasks.is_alive(me)
    boot, pid, started = me.split(":")
    assert not tasks.is_alive(f"{boot}:{pid}:{int(started) + 1}")
    assert not tasks.is_alive(f"other-boot:{pid}:{started}")
    for nonsense in ("", "::", "a:b:c", f"{boot}:999999999:1"):
        assert not tasks.is_alive(nonsense)


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


def test_migrations_make_the_table_that_the_code_describes(home: Home) -> None:
    from alembic.autogenerate import compare_metadata
    from alembic.config import Config
    from alembic.migration import MigrationContext
    from alembic.script import ScriptDirectory

    config = Config()
    config.set_main_option("script_location", str(Path(tasks.__file__).with_name("migrations")))
    config.set_main_option("path_separator", "newline")
    assert ScriptDirectory.from_config(config).get_heads() == [tasks.HEAD]
    Tasks(home).close()
    engine = sa.create_engine(f"sqlite:///{home.database}")
    with engine.connect() as connection:
        context = MigrationContext.configure(connection)
        assert context.get_current_revision() == tasks.HEAD
        assert catalogue.terms.metadata is tasks.metadata
        assert compare_metadata(context, tasks.metadata) == []
    engine.dispose()


def test_many_first_openings_at_once(home: Home) -> None:
    program = "import sys; from pathlib import Path; from malkoha.store import Home; from malkoha.tasks import Tasks;"
    program += "Tasks(Home(Path(sys.argv[1]))).close()"
    started = [subprocess.Popen([sys.executable, "-c", program, home.root], stderr=subprocess.PIPE) for _ in range(4)]
    errors = [process.communicate()[1] for process in started]
    assert [process.returncode for process in started] == [0] * 4, errors


def test_an_opening_waits_for_one_that_makes_the_file(home: Home) -> None:
    # two that turn on the write-ahead log at the same moment fail (database is locked), whatever their timeout
    Tasks(home).close()
    with ThreadPoolExecutor(1) as pool, home.database_lock.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        opening = pool.submit(lambda: Tasks(home).close())
        with pytest.raises(FutureTimeout):
            opening.result(timeout=1)
        fcntl.flock(lock, fcntl.LOCK_UN)
        opening.result(timeout=60)


def test_a_database_of_a_newer_version(home: Home) -> None:
    Tasks(home).close()
    connection = sqlite3.connect(home.database)
    connection.execute("UPDATE alembic_version SET version_num = '9999'")
    connection.commit()
    connection.close()
    with pytest.raises(HostError, match="newer malkoha"):
        Tasks(home)


def test_what_is_no_database(home: Home) -> None:
    home.root.mkdir()
    home.database.write_bytes(b"not a database" * 100)
    with pytest.raises(HostError, match="cannot be used"):
        Tasks(home)


def test_a_home_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(HostError, match="cannot be written"):
        Tasks(Home(tmp_path / "file" / "home"))


def dead() -> str:
    """Return the identity of a process that is gone."""
    program = "from malkoha.tasks import this_process; print(this_process())"
    return subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout.strip()


def kill(home: Home, task_id: int) -> None:
    """Make the worker that holds a task a dead one."""
    connection = sqlite3.connect(home.database)
    connection.execute("UPDATE tasks SET runner = ? WHERE id = ?", (dead(), task_id))
    connection.commit()
    connection.close()


def taken(table: Tasks) -> tuple[int, Status] | None:
    task = table.take()
    return None if task is None else (task.id, task.status)


def test_take_by_priority_then_age(table: Tasks) -> None:
    for number, priority in ((1, 1), (2, 5), (3, 5)):
        table.add(make(number, priority=priority))
    assert [taken(table) for _ in range(4)] == [*((number, Status.RUNNING) for number in (2, 3, 1)), None]
    assert table.get(2).started_at is not None


def test_no_task_is_taken_twice(home: Home, table: Tasks) -> None:
    for number in range(1, 41):
        table.add(make(number))

    def drain() -> list[int]:
        with Tasks(home) as own:
            found = []
            while (task := own.take()) is not None:
                found.append(task.id)
            return found

    with ThreadPoolExecutor(4) as pool:
        lists = [future.result() for future in [pool.submit(drain) for _ in range(4)]]
    assert sorted(number for found in lists for number in found) == list(range(1, 41))


def test_a_dead_workers_task_comes_back_until_it_is_too_often(home: Home, table: Tasks) -> None:
    table.add(make(1))
    for _ in range(tasks.MAX_ATTEMPTS):
        assert taken(table) == (1, Status.RUNNING)
        assert taken(table) is None  # its worker lives
        kill(home, 1)
    assert taken(table) is None
    failed = table.get(1)
    assert (failed.status, failed.error) == (Status.FAILED_ANALYSIS, "its worker died 3 times")


def test_a_run_that_was_done_is_processed_not_run_again(home: Home, table: Tasks) -> None:
    table.add(make(1))
    table.take()
    home.analysis(1).create().run.write_text("{}")
    kill(home, 1)
    assert taken(table) == (1, Status.COMPLETED)
    kill(home, 1)
    assert table.recover() == [1]
    assert table.get(1).status is Status.COMPLETED
    assert taken(table) == (1, Status.COMPLETED)
    table.move(1, Status.REPORTED)
    assert taken(table) is None


def test_what_is_given_back_counts_as_no_attempt(table: Tasks) -> None:
    table.add(make(1))
    for _ in range(tasks.MAX_ATTEMPTS + 1):
        assert taken(table) == (1, Status.RUNNING)
        table.give_back(1)
        assert table.get(1).status is Status.PENDING
    table.take()
    table.move(1, Status.COMPLETED)
    assert taken(table) is None
    table.give_back(1)
    assert taken(table) == (1, Status.COMPLETED)


def test_what_is_held_is_neither_deleted_nor_processed_again(table: Tasks) -> None:
    table.add(make(1))
    table.take()
    table.move(1, Status.COMPLETED)
    with pytest.raises(MalkohaError, match="cannot be deleted"):
        table.delete(1)
    with pytest.raises(MalkohaError, match="cannot be processed again"):
        table.process_again(1)
    table.move(1, Status.REPORTED)
    table.process_again(1)
    table.delete(1)
    assert table.all() == []


def test_what_no_worker_had_is_not_taken_for_processing(table: Tasks) -> None:
    table.add(make(1, status=Status.COMPLETED))
    assert taken(table) is None


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


def test_a_table_of_the_first_version_is_migrated(home: Home) -> None:
    from alembic import command
    from alembic.config import Config

    home.root.mkdir(parents=True)
    config = Config()
    config.set_main_option("script_location", str(Path(tasks.__file__).with_name("migrations")))
    config.set_main_option("path_separator", "newline")
    engine = sa.create_engine(f"sqlite:///{home.database}")
    with engine.connect() as connection:
        config.attributes.update(connection=connection, metadata=tasks.metadata)
        command.upgrade(config, "0001")
        connection.execute(
            sa.text(
                "INSERT INTO tasks VALUES (1, 'file', '/x', NULL, '', '{}', 1, 'pending', "
                "'2026-01-01T00:00:00+00:00', NULL, NULL, '', '')"
            )
        )
        connection.commit()
    with Tasks(home) as table:
        assert (table.get(1).owner, table.get(1).tags, table.get(1).submit_id) == ("", [], None)
        assert taken(table) == (1, Status.RUNNING)
    with engine.connect() as connection:
        config.attributes.update(connection=connection, metadata=tasks.metadata)
        command.downgrade(config, "0001")
        connection.commit()
        assert "attempts" not in [column["name"] for column in sa.inspect(connection).get_columns("tasks")]
    engine.dispose()
