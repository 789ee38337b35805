"""The table of tasks: ``model.task.Task`` in and out; every change of state is one atomic statement.

A task that runs carries the identity of the process that runs it: that is its lease, which no clock can end. When that
process is gone without having said how the run ended, ``recover`` says so in its place, so that no task stays
``running`` for ever, and ``take`` gives a task that a worker held to the next one.
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

HEAD = "0003"
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
    sa.Column("custom", sa.Text, nullable=False, server_default=""),
    sa.Column("owner", sa.Text, nullable=False, server_default=""),
    sa.Column("tags", sa.JSON, nullable=False, server_default="[]"),
    sa.Column("submit_id", sa.Integer, nullable=True),
    sa.Column("md5", sa.String(32), nullable=False, server_default=""),
    sa.Column("attempts", sa.Integer, nullable=False, server_default="0"),
    sa.Index("tasks_by_status", "status", "priority", "id"),
    sa.Index("tasks_by_sha256", "sha256"),
    sa.Index("tasks_by_md5", "md5"),
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
    Status.RECOVERED: (Status.PENDING, *_PROCESSED),
}
"""For each state, those that a task may have come from."""

MAX_ATTEMPTS = 3
"""How often a task is given to a worker before it is taken for what kills workers."""
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
                # SQLite does not wait for others when the first connection makes the file one with a write-ahead log
                with home.database_lock.open("w") as lock:
                    fcntl.flock(lock, fcntl.LOCK_EX)
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

    @property
    def engine(self) -> sa.Engine:
        """The database, for tables that stand beside this one (``malkoha.catalogue``)."""
        return self._engine

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

    def all(
        self,
        *,
        statuses: Sequence[Status] = (),
        limit: int | None = None,
        offset: int = 0,
        owner: str | None = None,
        completed_after: datetime | None = None,
        sha256: str | None = None,
    ) -> list[Task]:
        """Return tasks, newest first, of the given states (all when none is given), of one owner or one sample."""
        query = table.select().order_by(table.c.id.desc()).limit(limit).offset(offset)
        if statuses:
            query = query.where(table.c.status.in_([status.value for status in statuses]))
        if owner is not None:
            query = query.where(table.c.owner == owner)
        if completed_after is not None:
            query = query.where(table.c.completed_at > completed_after.isoformat())
        if sha256 is not None:
            query = query.where(table.c.sha256 == sha256, table.c.category == "file")
        with self._read() as connection:
            return [_task(row) for row in connection.execute(query).mappings()]

    def counts(self) -> dict[Status, int]:
        """Return how many tasks there are in each state."""
        query = sa.select(table.c.status, sa.func.count()).group_by(table.c.status)
        with self._read() as connection:
            found = {Status(status): number for status, number in connection.execute(query)}
        return {status: found.get(status, 0) for status in Status}

    def first_of(self, hashes: Sequence[str]) -> dict[str, int]:
        """Return for each SHA-256 the first task that was given that file; those without one are missing."""
        query = sa.select(table.c.sha256, sa.func.min(table.c.id).label("first")).where(table.c.category == "file")
        query = query.group_by(table.c.sha256)
        found: dict[str, int] = {}
        with self._read() as connection:
            for start in range(0, len(hashes), 500):
                part = query.where(table.c.sha256.in_(hashes[start : start + 500]))
                found |= {row.sha256: row.first for row in connection.execute(part)}
        return found

    def with_md5(self, md5: str) -> Task | None:
        """Return the first task whose sample has this MD5."""
        query = table.select().where(table.c.md5 == md5, table.c.category == "file").order_by(table.c.id).limit(1)
        with self._read() as connection:
            row = connection.execute(query).mappings().one_or_none()
        return None if row is None else _task(row)

    def take(self) -> Task | None:
        """Lease the next task to this process: one to be run comes back running, one to be processed completed.

        Higher priorities first, then older tasks. What dead workers held is settled before; None when nothing waits.
        """
        self._reclaim()
        pending = table.c.status == Status.PENDING.value
        highest = sa.select(sa.func.max(table.c.priority)).where(pending).scalar_subquery()
        first = sa.select(sa.func.min(table.c.id)).where(pending, table.c.priority == highest).scalar_subquery()
        run: dict[str, Any] = {"status": Status.RUNNING.value, "started_at": _now(), "completed_at": None, "error": ""}
        left = (table.c.status == Status.COMPLETED.value, table.c.attempts > 0, table.c.runner == "")
        oldest = sa.select(sa.func.min(table.c.id)).where(*left).scalar_subquery()
        lease = {"runner": this_process(), "attempts": table.c.attempts + 1}
        steps: list[tuple[Any, tuple[Any, ...], dict[str, Any]]] = [(oldest, left, {}), (first, (pending,), run)]
        for which, where, values in steps:
            claim = table.update().where(table.c.id == which, *where).values(values | lease).returning(*table.c)
            with self._write() as connection:
                row = connection.execute(claim).mappings().one_or_none()
            if row is not None:
                return _task(row)
        return None

    def give_back(self, task_id: int) -> None:
        """Return a task that this process had leased, as if it had never been taken."""
        own = (table.c.id == task_id, table.c.runner == this_process(), table.c.attempts > 0)
        status = sa.case(
            (table.c.status == Status.RUNNING.value, Status.PENDING.value),
            else_=table.c.status,
        )
        # a completed one that was taken for processing stays marked as a worker's
        attempts = sa.case((table.c.status == Status.RUNNING.value, table.c.attempts - 1), else_=1)
        with self._write() as connection:
            connection.execute(table.update().where(*own).values(status=status, runner="", attempts=attempts))

    def process_again(self, task_id: int) -> None:
        """Let a worker process a finished run anew; raise MalkohaError when it was not run to its end."""
        free = self._not_held(task_id)
        done = table.c.status.in_([status.value for status in _PROCESSED])
        values = {"status": Status.COMPLETED.value, "runner": "", "attempts": 1, "error": ""}
        with self._write() as connection:
            changed = connection.execute(table.update().where(*free, done).values(values)).rowcount
        if changed != 1:
            raise MalkohaError(f"task {task_id} cannot be processed again", f"it is {self.get(task_id).status.value}")

    def _reclaim(self) -> list[int]:
        """Settle the tasks that dead workers held: back into the queue, or failed after the last attempt."""
        held = (table.c.status.in_([Status.RUNNING.value, Status.COMPLETED.value]), table.c.runner != "")
        query = sa.select(table.c.id, table.c.runner, table.c.status, table.c.attempts).where(
            *held, table.c.attempts > 0
        )
        with self._read() as connection:
            rows = connection.execute(query).all()
        settled = []
        for task_id, runner, status, attempts in rows:
            if is_alive(runner):
                continue
            ran = status == Status.COMPLETED.value or self.home.analysis(task_id).run.exists()
            if attempts >= MAX_ATTEMPTS:
                failed = Status.FAILED_PROCESSING if ran else Status.FAILED_ANALYSIS
                why = f"its worker died {attempts} times"
                values = {"status": failed.value, "runner": "", "completed_at": _now(), "error": why}
            elif ran:
                values = {"status": Status.COMPLETED.value, "runner": "", "completed_at": _now()}
            else:
                values = {"status": Status.PENDING.value, "runner": ""}
            same = (table.c.id == task_id, table.c.status == status, table.c.runner == runner)
            with self._write() as connection:
                if connection.execute(table.update().where(*same).values(values)).rowcount:
                    settled.append(task_id)
        return settled

    def move(self, task_id: int, to: Status, *, error: str = "") -> Task:
        """Change a task's state, if it is in one that ``to`` may follow; raise MalkohaError otherwise."""
        values: dict[str, Any] = {"status": to.value, "error": error, "runner": ""}
        if to is Status.RUNNING:
            values |= {"runner": this_process(), "started_at": _now()}
        elif to in (Status.COMPLETED, Status.FAILED_ANALYSIS):
            values["completed_at"] = _now()
        if to is Status.COMPLETED:
            del values["runner"]  # the lease lasts until the report is there
        came_from = table.c.status.in_([status.value for status in ALLOWED[to]])
        with self._write() as connection:
            done = connection.execute(table.update().where(table.c.id == task_id, came_from).values(values))
        task = self.get(task_id)
        if done.rowcount != 1:
            raise MalkohaError(f"task {task_id} cannot become {to.value}", f"it is {task.status.value}")
        return task

    def delete(self, task_id: int) -> None:
        """Forget a task that does not run; its folder is the caller's."""
        free = self._not_held(task_id)
        with self._write() as connection:
            done = connection.execute(table.delete().where(*free, table.c.status != Status.RUNNING.value))
        if done.rowcount != 1:
            self.get(task_id)  # says so when there is none
            raise MalkohaError(f"task {task_id} cannot be deleted", "it is running")

    def _not_held(self, task_id: int) -> tuple[Any, ...]:
        """Return the condition that the task is still not in the hands of a living process, as it is now."""
        with self._read() as connection:
            runner = connection.execute(sa.select(table.c.runner).where(table.c.id == task_id)).scalar()
        if runner and is_alive(runner):
            return (sa.false(),)
        return (table.c.id == task_id, table.c.runner == (runner or ""))

    def recover(self) -> list[int]:
        """Settle what dead processes left behind and return the ids.

        A task whose runner is gone becomes ``completed`` when its run had been written down, else ``failed_analysis``.
        One that a worker had taken goes back into the queue. An analysis folder that no row knows gets a row.
        """
        settled = self._reclaim()
        with self._read() as connection:
            running = connection.execute(
                sa.select(table.c.id, table.c.runner).where(
                    table.c.status == Status.RUNNING.value, table.c.attempts == 0
                )
            ).all()
            known = set(connection.execute(sa.select(table.c.id)).scalars())
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
        with self._engine.connect() as connection:
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
    connection.execute("PRAGMA foreign_keys=ON")  # what is kept of a task goes with it


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
    sample = task.sample
    hashes = {"sha256": sample.sha256 if sample else "", "md5": sample.md5 if sample else ""}
    return row | hashes | {"runner": runner}


def _task(row: sa.RowMapping) -> Task:
    return msgspec.convert({name: row[name] for name in Task.__struct_fields__}, Task)
