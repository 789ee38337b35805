"""The table of tasks: ``model.task.Task`` in and out; every change of state is one atomic statement.

A task that runs carries the identity of the process that runs it. When that process is gone without having said how
the run ended, ``recover`` says so in its place, so that no task stays ``running`` for ever. What workers take and
how (``malkoha.queue``) stands on this table: ``attempts`` grows each time a task is taken, and whoever took it may
change it only as long as that number is still his.
"""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Any, Self

import msgspec
import sqlalchemy as sa

from malkoha import jobs
from malkoha.database import Database, metadata
from malkoha.errors import LeaseLostError, MalkohaError, SubmitError, UsageError
from malkoha.identity import is_alive, this_process
from malkoha.model.task import Status, Task, needs
from malkoha.store import Home

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
    sa.Column("deadline", sa.String(40), nullable=True),
    sa.Column("needs", sa.String(200), nullable=False, server_default=""),
    sa.Column("node", sa.String(120), nullable=False, server_default=""),
    sa.Column("deaths", sa.Integer, nullable=False, server_default="0"),
    sa.Index("tasks_by_status", "status", "priority", "id"),
    sa.Index("tasks_by_sha256", "sha256"),
    sa.Index("tasks_by_md5", "md5"),
    sa.Index("tasks_by_age", "status", "id"),
    sa.Index("tasks_by_owner", "owner", "id"),
    sa.Index("tasks_by_deadline", "status", "deadline"),
)

nodes = sa.Table(
    "nodes",
    metadata,
    sa.Column("name", sa.String(120), primary_key=True),
    sa.Column("offers", sa.JSON, nullable=False),
    sa.Column("seen_at", sa.String(40), nullable=False),
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

MAX_DEATHS = 3
"""How many workers may die of a task before it is taken for what kills them."""
_ADOPT_AFTER_S = 60.0


class Tasks:
    """The database of one home, made and migrated when it is opened; close it, or use it as a context manager."""

    def __init__(self, home: Home) -> None:
        self.home = home
        self.database = Database(home)
        self.node = socket.gethostname()[:120]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        self.database.close()

    @property
    def engine(self) -> sa.Engine:
        """The database, for tables that stand beside this one (``malkoha.catalogue``)."""
        return self.database.engine

    def add(self, task: Task, *, running: bool = False) -> Task:
        """Record a new task, pending or already running in this process, and return it as recorded."""
        changes: dict[str, Any] = {"status": Status.RUNNING, "started_at": datetime.now(UTC)} if running else {}
        task = msgspec.structs.replace(task, **changes)
        self._check_needs(task)
        with self.database.write() as connection:
            connection.execute(table.insert().values(_row(task, this_process() if running else "", self.node)))
            if self.home.server and task.status is Status.PENDING:
                jobs.defer(connection, task.id, needs(task.options), task.priority)
        return task

    def get(self, task_id: int) -> Task:
        """Return one task; raise UsageError when there is none."""
        with self.database.read() as connection:
            row = connection.execute(table.select().where(table.c.id == task_id)).mappings().one_or_none()
        if row is None:
            raise UsageError(f"there is no task {task_id}", "", "malkoha tasks lists them")
        return as_task(row)

    def all(
        self,
        *,
        statuses: Sequence[Status] = (),
        limit: int | None = None,
        offset: int = 0,
        owner: str | None = None,
        completed_after: datetime | None = None,
        sha256: str | None = None,
        tag: str | None = None,
    ) -> list[Task]:
        """Return tasks, newest first, of the given states (all when none is given), of one owner, sample or tag."""
        query = table.select().order_by(table.c.id.desc()).limit(limit).offset(offset)
        if statuses:
            query = query.where(table.c.status.in_([status.value for status in statuses]))
        if owner is not None:
            query = query.where(table.c.owner == owner)
        if completed_after is not None:
            query = query.where(table.c.completed_at > completed_after.isoformat())
        if sha256 is not None:
            query = query.where(table.c.sha256 == sha256, table.c.category == "file")
        if tag is not None:
            # the list stands in the column as JSON, in which a tag is its own JSON
            quoted = json.dumps(tag)
            query = query.where(sa.cast(table.c.tags, sa.Text).contains(quoted, autoescape=True))
        with self.database.read() as connection:
            return [as_task(row) for row in connection.execute(query).mappings()]

    def counts(self) -> dict[Status, int]:
        """Return how many tasks there are in each state."""
        query = sa.select(table.c.status, sa.func.count()).group_by(table.c.status)
        with self.database.read() as connection:
            found = {Status(status): number for status, number in connection.execute(query)}
        return {status: found.get(status, 0) for status in Status}

    def first_of(self, hashes: Sequence[str]) -> dict[str, int]:
        """Return for each SHA-256 the first task that was given that file; those without one are missing."""
        query = sa.select(table.c.sha256, sa.func.min(table.c.id).label("first")).where(table.c.category == "file")
        query = query.group_by(table.c.sha256)
        found: dict[str, int] = {}
        with self.database.read() as connection:
            for start in range(0, len(hashes), 500):
                part = query.where(table.c.sha256.in_(hashes[start : start + 500]))
                found |= {row.sha256: row.first for row in connection.execute(part)}
        return found

    def with_md5(self, md5: str) -> Task | None:
        """Return the first task whose sample has this MD5."""
        query = table.select().where(table.c.md5 == md5, table.c.category == "file").order_by(table.c.id).limit(1)
        with self.database.read() as connection:
            row = connection.execute(query).mappings().one_or_none()
        return None if row is None else as_task(row)

    def process_again(self, task_id: int) -> None:
        """Let a worker process a finished run anew; raise MalkohaError when it was not run to its end."""
        free = self._not_held(task_id)
        done = table.c.status.in_([status.value for status in _PROCESSED])
        # a number that is not 0 says that it is the workers' business
        attempts = sa.case((table.c.attempts > 0, table.c.attempts), else_=1)
        values = {"status": Status.COMPLETED.value, "runner": "", "attempts": attempts, "deaths": 0, "error": ""}
        with self.database.write() as connection:
            changed = connection.execute(table.update().where(*free, done).values(values)).rowcount
            if changed == 1 and self.home.server:
                task = self.get(task_id)
                jobs.defer(connection, task_id, needs(task.options), task.priority)
        if changed != 1:
            raise MalkohaError(f"task {task_id} cannot be processed again", f"it is {self.get(task_id).status.value}")

    def show(self, offers: Sequence[str]) -> None:
        """Say what the workers of this machine can do."""
        row = {"offers": list(offers), "seen_at": now()}
        with self.database.write() as connection:
            if not connection.execute(nodes.update().where(nodes.c.name == self.node).values(row)).rowcount:
                connection.execute(self._insert(nodes).values(name=self.node, **row).on_conflict_do_nothing())

    def offers(self) -> dict[str, list[str]]:
        """Return what each machine can do that ever ran a worker, by its name."""
        with self.database.read() as connection:
            return {row.name: row.offers for row in connection.execute(sa.select(nodes.c.name, nodes.c.offers))}

    def _check_needs(self, task: Task) -> None:
        """Refuse what no machine can do; on one machine that is known before."""
        if not self.home.server or task.status is not Status.PENDING:
            return
        wanted, known = needs(task.options), {offer for each in self.offers().values() for offer in each}
        if wanted not in known:
            there = ", ".join(sorted(known)) or "none: no worker ran yet"
            raise SubmitError(f"no machine can do {wanted}", "", f"image/architecture/network that there are: {there}")

    def _insert(self, into: sa.Table) -> Any:
        from sqlalchemy.dialects import postgresql, sqlite

        return (postgresql if self.home.server else sqlite).insert(into)

    def holding(self, task_id: int) -> tuple[int, bool]:
        """Return the number of a task's newest attempt, and whether a worker holds it."""
        with self.database.read() as connection:
            query = sa.select(table.c.attempts, table.c.runner).where(table.c.id == task_id)
            row = connection.execute(query).one_or_none()
        return (0, False) if row is None else (row.attempts, row.runner != "")

    def expire(self) -> int:
        """Give up the waiting tasks whose deadline has passed; return how many they were."""
        late = (table.c.status == Status.PENDING.value, table.c.deadline < now())
        why = "its deadline passed before a worker was free"
        values = {"status": Status.FAILED_ANALYSIS.value, "error": why, "completed_at": now()}
        with self.database.read() as connection:
            if connection.execute(sa.select(table.c.id).where(*late).limit(1)).first() is None:
                return 0
        with self.database.write() as connection:
            return connection.execute(table.update().where(*late).values(values)).rowcount

    def deaths(self, task_id: int) -> int:
        """Return how many workers died of a task."""
        with self.database.read() as connection:
            return int(connection.execute(sa.select(table.c.deaths).where(table.c.id == task_id)).scalar() or 0)

    def held(self) -> list[Any]:
        """Return id, runner and attempts of the tasks that workers hold."""
        query = sa.select(table.c.id, table.c.runner, table.c.attempts).where(
            table.c.status.in_([Status.RUNNING.value, Status.COMPLETED.value]),
            table.c.runner != "",
            table.c.attempts > 0,
        )
        with self.database.read() as connection:
            return list(connection.execute(query).all())

    def bury(self, task_id: int, attempt: int) -> Status | None:
        """Settle an attempt whose worker died: the task waits again, or has failed after the last death.

        Return its new state; None when the attempt had ended already.
        """
        same: list[Any] = [table.c.id == task_id, table.c.attempts == attempt, table.c.runner != ""]
        with self.database.write() as connection:
            found = connection.execute(sa.select(table.c.status, table.c.deaths).where(*same)).one_or_none()
            if found is None or found.status not in (Status.RUNNING.value, Status.COMPLETED.value):
                return None
            ran = found.status == Status.COMPLETED.value or self.home.attempt(task_id, attempt).run.exists()
            deaths = found.deaths + 1
            values: dict[str, Any] = {"runner": "", "deaths": deaths, "completed_at": now() if ran else None}
            if deaths >= MAX_DEATHS:
                to = Status.FAILED_PROCESSING if ran else Status.FAILED_ANALYSIS
                values |= {"completed_at": now(), "error": f"its worker died {deaths} times"}
            else:
                to = Status.COMPLETED if ran else Status.PENDING
            same.append(table.c.status == found.status)
            done = connection.execute(table.update().where(*same).values(values | {"status": to.value}))
            return to if done.rowcount else None

    def reclaim(self) -> list[int]:
        """Settle what dead workers of this machine held and return the ids."""
        if self.home.server:
            return []  # workers may be on other machines: the queue knows by their silence
        dead = [row for row in self.held() if not is_alive(row.runner)]
        return [row.id for row in dead if self.bury(row.id, row.attempts) is not None]

    def move(self, task_id: int, to: Status, *, error: str = "", attempt: int | None = None) -> Task:
        """Change a task's state, if it is in one that ``to`` may follow; raise MalkohaError otherwise.

        With ``attempt``, the number of the attempt that this process makes, LeaseLostError when another has begun.
        """
        values: dict[str, Any] = {"status": to.value, "error": error, "runner": ""}
        if to is Status.RUNNING:
            values |= {"runner": this_process(), "node": self.node, "started_at": now()}
        elif to in (Status.COMPLETED, Status.FAILED_ANALYSIS):
            values["completed_at"] = now()
        if to is Status.COMPLETED:
            del values["runner"]  # the lease lasts until the report is there
        came_from = table.c.status.in_([status.value for status in ALLOWED[to]])
        with self.database.write() as connection:
            where = [table.c.id == task_id, came_from]
            if attempt is not None:
                where += [table.c.attempts == attempt, table.c.runner == this_process()]
            done = connection.execute(table.update().where(*where).values(values))
        task = self.get(task_id)
        if done.rowcount != 1:
            if attempt is not None:
                raise LeaseLostError(f"attempt {attempt} of task {task_id} came too late", "another one has begun")
            raise MalkohaError(f"task {task_id} cannot become {to.value}", f"it is {task.status.value}")
        return task

    def delete(self, task_id: int) -> None:
        """Forget a task that does not run; its folder is the caller's."""
        free = self._not_held(task_id)
        with self.database.write() as connection:
            done = connection.execute(table.delete().where(*free, table.c.status != Status.RUNNING.value))
        if done.rowcount != 1:
            self.get(task_id)  # says so when there is none
            raise MalkohaError(f"task {task_id} cannot be deleted", "it is running")

    def _not_held(self, task_id: int) -> tuple[Any, ...]:
        """Return the condition that the task is still not in the hands of a living process, as it is now."""
        with self.database.read() as connection:
            found = connection.execute(sa.select(table.c.runner, table.c.node).where(table.c.id == task_id)).first()
        runner, node = ("", "") if found is None else (found.runner, found.node)
        if runner and (is_alive(runner) or (self.home.server and node != self.node)):
            return (sa.false(),)
        return (table.c.id == task_id, table.c.runner == (runner or ""))

    def recover(self) -> list[int]:
        """Settle what dead processes left behind and return the ids.

        A task whose runner is gone becomes ``completed`` when its run had been written down, else ``failed_analysis``.
        One that a worker had taken goes back into the queue. An analysis folder that no row knows gets a row.
        """
        settled = self.reclaim()
        with self.database.read() as connection:
            running = connection.execute(
                sa.select(table.c.id, table.c.runner).where(
                    table.c.status == Status.RUNNING.value,
                    table.c.attempts == 0,
                    # those of other machines cannot be seen from here
                    *([table.c.node == self.node] if self.home.server else []),
                )
            ).all()
            known = set(connection.execute(sa.select(table.c.id)).scalars())
        for task_id, runner in running:
            if not is_alive(runner):
                with self.database.write() as connection:
                    values = self._outcome(task_id)
                    same = (table.c.id == task_id, table.c.status == Status.RUNNING.value, table.c.runner == runner)
                    if connection.execute(table.update().where(*same).values(values)).rowcount:
                        settled.append(task_id)
        return settled + [task_id for task_id in self._folders() if task_id not in known and self._adopt(task_id)]

    def _outcome(self, task_id: int) -> dict[str, Any]:
        if self.home.analysis(task_id).run.exists():
            return {"status": Status.COMPLETED.value, "error": "", "runner": "", "completed_at": now()}
        error = "the process that ran the analysis ended before the run did"
        return {"status": Status.FAILED_ANALYSIS.value, "error": error, "runner": "", "completed_at": now()}

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
        with self.database.write() as connection:
            row = _row(task, "", self.node) | self._outcome(task_id)
            insert = self._insert(table).values(row).on_conflict_do_nothing()
            return connection.execute(insert).rowcount == 1


def now() -> str:
    """Return the time as it stands in the table."""
    return datetime.now(UTC).isoformat()


def _row(task: Task, runner: str, node: str) -> dict[str, Any]:
    row: dict[str, Any] = msgspec.to_builtins(task)
    sample = task.sample
    hashes = {"sha256": sample.sha256 if sample else "", "md5": sample.md5 if sample else ""}
    return row | hashes | {"runner": runner, "node": node if runner else "", "needs": needs(task.options)}


def as_task(row: sa.RowMapping) -> Task:
    """Return a row as a task."""
    return msgspec.convert({name: row[name] for name in Task.__struct_fields__}, Task)
