"""The table of tasks: ``model.task.Task`` in and out; every change of state is one atomic statement.

A task that runs carries the identity of the process that runs it. When that process is gone without having said how the
run ended, ``recover`` says so in its place, so that no task stays ``running`` for ever.
"""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self

import msgspec
import sqlalchemy as sa

from malkoha.errors import HostError, MalkohaError, UsageError
from malkoha.model.task import Status, Task
from malkoha.store import Home

HEAD = "0001"
"""Newest revision in malkoha/migrations; a database that is at it needs no Alembic to be opened."""

metadata = sa.MetaData()
table = sa.Table(
    "tasks",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("category", sa.String(8), nullable=False),
    sa.Column("target", sa.Text, nullable=False),
    sa.Column("sample", sa.JSON, nullable=True),
    sa.Column("sha256", sa.String(64), nullable=False),
    sa.Column("options", sa.JSON, nullable=False),
    sa.Column("priority", sa.Integer, nullable=False),
    sa.Column("status", sa.String(24), nullable=False),
    sa.Column("added_at", sa.String(40), nullable=False),
    sa.Column("started_at", sa.String(40), nullable=True),
    sa.Column("completed_at", sa.String(40), nullable=True),
    sa.Column("error", sa.Text, nullable=False),
    sa.Column("runner", sa.String(120), nullable=False),
    sa.Index("tasks_by_status", "status", "priority", "id"),
    sa.Index("tasks_by_sha256", "sha256"),
)

_PROCESSED = (
    Status.COMPLETED,
    Status.REPORTED,
    Status.FAILED_PROCESSING,
    Status.FAILED_REPORTING,
    # one that was cut off in the middle has a run.json and can be processed
    Status.FAILED_ANALYSIS,
)
ALLOWED: dict[Status, tuple[Status, ...]] = {
    Status.RUNNING: (Status.PENDING, Status.RECOVERED),
    Status.COMPLETED: (Status.RUNNING,),
    Status.FAILED_ANALYSIS: (Status.PENDING, Status.RUNNING, Status.RECOVERED),
    # processing can be repeated, so each of these may follow each
    Status.REPORTED: _PROCESSED,
    Status.FAILED_PROCESSING: _PROCESSED,
    Status.FAILED_REPORTING: _PROCESSED,
    Status.RECOVERED: (Status.RUNNING,),
}
"""For each state, those that a task may have come from."""

_ADOPT_AFTER_S = 60.0


class Tasks:
    """The database of one home, made and migrated when it is opened; close it, or use it as a context manager."""

    def __init__(self, home: Home) -> None:
        self.home = home
        with _database(home):
            home.root.mkdir(parents=True, exist_ok=True)
            self._engine = sa.create_engine(f"sqlite:///{home.database}", connect_args={"timeout": 30})
            sa.event.listen(self._engine, "connect", _set_pragmas)
            try:
                if self._revision() != HEAD:
                    self._migrate()
            except BaseException:
                self.close()
                raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        self._engine.dispose()

    def add(self, task: Task, *, running: bool = False) -> Task:
        """Record a new task, pending or already running in this process, and return it as recorded."""
        changes: dict[str, Any] = {"status": Status.RUNNING, "started_at": datetime.now(UTC)} if running else {}
        task = msgspec.structs.replace(task, **changes)
        with self._write() as connection:
            connection.execute(table.insert().values(_row(task, this_process() if running else "")))
        return task

    def get(self, task_id: int) -> Task:
        """Return one task; raise UsageError when there is none."""
        with self._read() as connection:
            row = connection.execute(table.select().where(table.c.id == task_id)).mappings().one_or_none()
        if row is None:
            raise UsageError(f"there is no task {task_id}", "", "malkoha tasks lists them")
        return _task(row)

    def all(self, *, statuses: Sequence[Status] = (), limit: int | None = None, offset: int = 0) -> list[Task]:
        """Return tasks, newest first, of the given states (all when none is given)."""
        query = table.select().order_by(table.c.id.desc()).limit(limit).offset(offset)
        if statuses:
            query = query.where(table.c.status.in_([status.value for status in statuses]))
        with self._read() as connection:
            return [_task(row) for row in connection.execute(query).mappings()]

    def move(self, task_id: int, to: Status, *, error: str = "") -> Task:
        """Change a task's state, if it is in one that ``to`` may follow; raise MalkohaError otherwise."""
        values: dict[str, Any] = {"status": to.value, "error": error, "runner": ""}
        if to is Status.RUNNING:
            values |= {"runner": this_process(), "started_at": _now()}
        elif to in (Status.COMPLETED, Status.FAILED_ANALYSIS):
            values["completed_at"] = _now()
        came_from = table.c.status.in_([status.value for status in ALLOWED[to]])
        with self._write() as connection:
            done = connection.execute(table.update().where(table.c.id == task_id, came_from).values(values))
        task = self.get(task_id)
        if done.rowcount != 1:
            raise MalkohaError(f"task {task_id} cannot become {to.value}", f"it is {task.status.value}")
        return task

    def delete(self, task_id: int) -> None:
        """Forget a task that does not run; its folder is the caller's."""
        with self._write() as connection:
            idle = table.c.status != Status.RUNNING.value
            done = connection.execute(table.delete().where(table.c.id == task_id, idle))
        if done.rowcount != 1:
            self.get(task_id)  # says so when there is none
            raise MalkohaError(f"task {task_id} cannot be deleted", "it is running")

    def recover(self) -> list[int]:
        """Settle what dead processes left behind and return the ids.

        A task whose runner is gone becomes ``completed`` when its run had been written down, else ``failed_analysis``.
        An analysis folder that no row knows gets one.
        """
        with self._read() as connection:
            running = connection.execute(
                sa.select(table.c.id, table.c.runner).where(table.c.status == Status.RUNNING.value)
            ).all()
            known = set(connection.execute(sa.select(table.c.id)).scalars())
        settled = []
        for task_id, runner in running:
            if not is_alive(runner):
                with self._write() as connection:
                    values = self._outcome(task_id)
                    same = (table.c.id == task_id, table.c.status == Status.RUNNING.value, table.c.runner == runner)
                    if connection.execute(table.update().where(*same).values(values)).rowcount:
                        settled.append(task_id)
        return settled + [task_id for task_id in self._folders() if task_id not in known and self._adopt(task_id)]

    def _outcome(self, task_id: int) -> dict[str, Any]:
        if self.home.analysis(task_id).run.exists():
            return {"status": Status.COMPLETED.value, "error": "", "runner": "", "completed_at": _now()}
        error = "the process that ran the analysis ended before the run did"
        return {"status": Status.FAILED_ANALYSIS.value, "error": error, "runner": "", "completed_at": _now()}

    def _folders(self) -> Iterator[int]:
        if self.home.analyses.is_dir():
            yield from sorted(int(entry.name) for entry in self.home.analyses.iterdir() if entry.name.isdecimal())

    def _adopt(self, task_id: int) -> bool:
        """Take in a folder that was left without a row; young ones are being submitted by somebody."""
        path = self.home.analysis(task_id).task
        try:
            if time.time() - path.stat().st_mtime < _ADOPT_AFTER_S:
                return False
            task = msgspec.json.decode(path.read_bytes(), type=Task)
        except (OSError, msgspec.MsgspecError):
            return False
        if task.id != task_id:
            return False
        with self._write() as connection:
            insert = sa.insert(table).prefix_with("OR IGNORE").values(_row(task, "") | self._outcome(task_id))
            return connection.execute(insert).rowcount == 1

    def _revision(self) -> str | None:
        with self._engine.connect() as connection:
            if not sa.inspect(connection).has_table("alembic_version"):
                return None
            return connection.execute(sa.text("SELECT version_num FROM alembic_version")).scalar()

    def _migrate(self) -> None:
        from alembic import command
        from alembic.config import Config
        from alembic.util import CommandError

        config = Config()
        config.set_main_option("script_location", str(Path(__file__).with_name("migrations")).replace("%", "%%"))
        config.set_main_option("path_separator", "newline")
        with self.home.database_lock.open("w") as lock, self._engine.connect() as connection:
            fcntl.flock(lock, fcntl.LOCK_EX)
            config.attributes.update(connection=connection, metadata=metadata)
            try:
                command.upgrade(config, "head")
            except CommandError as error:
                why = f"{error} (was it made by a newer malkoha?)"
                raise HostError(f"{self.home.database} cannot be used", why) from error
            connection.commit()

    @contextmanager
    def _read(self) -> Iterator[sa.Connection]:
        with _database(self.home), self._engine.connect() as connection:
            yield connection

    @contextmanager
    def _write(self) -> Iterator[sa.Connection]:
        with _database(self.home), self._engine.begin() as connection:
            yield connection


def this_process() -> str:
    """Return what tells this process from every other, also after its id was given to another."""
    return f"{_boot()}:{os.getpid()}:{_started(os.getpid())}"


def is_alive(runner: str) -> bool:
    """Tell whether the process that ``this_process`` described still runs."""
    boot, _, rest = runner.partition(":")
    pid, _, started = rest.partition(":")
    return boot == _boot() and pid.isdecimal() and started != "" and _started(int(pid)) == started


def _boot() -> str:
    return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()


def _started(pid: int) -> str:
    """Start time in clock ticks since boot, field 22 of proc(5)'s stat; empty when there is no such process."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
    fields = stat.rpartition(")")[2].split()  # the name in parentheses may hold spaces
    return "" if fields[0] == "Z" else fields[19]


def _now() -> str:
    return datetime.now(UTC).isoformat()


def _set_pragmas(connection: Any, record: object) -> None:
    del record
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=NORMAL")


@contextmanager
def _database(home: Home) -> Iterator[None]:
    try:
        yield
    except sa.exc.DatabaseError as error:
        why = str(error.orig or error).splitlines()[0]
        raise HostError(f"{home.database} cannot be used", why, "malkoha doctor looks closer") from error
    except OSError as error:
        raise HostError(f"{home.root} cannot be written", error.strerror or str(error), "set MALKOHA_HOME") from error


def _row(task: Task, runner: str) -> dict[str, Any]:
    row: dict[str, Any] = msgspec.to_builtins(task)
    return row | {"sha256": task.sample.sha256 if task.sample else "", "runner": runner}


def _task(row: sa.RowMapping) -> Task:
    return msgspec.convert({name: row[name] for name in Task.__struct_fields__}, Task)
