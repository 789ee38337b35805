"""The contract of a queue (tests/contracts/test_queue.py): each task to one worker at a time, none lost when one dies.

In: the table of tasks, and what a worker can do. Out: tasks, each with the number of its attempt. What that attempt
comes to is told here as well, and refused with LeaseLostError once another attempt has begun.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, Self

import sqlalchemy as sa

from malkoha.identity import this_process
from malkoha.model.task import Status, Task
from malkoha.tasks import Tasks, as_task, now, table


class Queue(ABC):
    """Gives tasks to the worker that is this process."""

    def __init__(self, tasks: Tasks) -> None:
        self.tasks = tasks

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    @abstractmethod
    def take(self, offers: Sequence[str]) -> Task | None:
        """Give the next task to this process: one to be run comes back running, one to be processed completed.

        Only tasks whose needs (``model.task.needs``) are among ``offers``; higher priorities first, then older ones.
        What dead workers held is settled before, and what is past its deadline given up. None when nothing waits.
        """

    @abstractmethod
    def settle(self) -> list[int]:
        """Return what dead workers held to those that live and say which tasks that were."""

    def tell(self, task: Task, to: Status, error: str = "") -> None:
        """Note what this process's attempt of ``task`` came to; raise LeaseLostError when it is no longer its own."""
        self.tasks.move(task.id, to, error=error, attempt=task.attempts)

    @abstractmethod
    def give_back(self, task: Task) -> None:
        """Return a task that this process had taken; its worker is not to blame, so that counts as no death."""

    @abstractmethod
    def close(self) -> None:
        """End this worker's part in the queue; what it still holds comes back as if it had died."""

    def _claim(self, which: Any, status: Status) -> Task | None:
        """Take one task that is in ``status`` and in nobody's hands, if it still is so."""
        where = [table.c.id == which, table.c.status == status.value, table.c.runner == ""]
        values: dict[str, Any] = {
            "runner": this_process(), "node": self.tasks.node, "attempts": table.c.attempts + 1,
        }  # fmt: skip
        if status is Status.PENDING:
            values |= {"status": Status.RUNNING.value, "started_at": now(), "completed_at": None, "error": ""}
        claim = table.update().where(*where).values(values).returning(*table.c)
        with self.tasks.database.write() as connection:
            row = connection.execute(claim).mappings().one_or_none()
        return None if row is None else as_task(row)

    def _release(self, task: Task) -> bool:
        own = (table.c.id == task.id, table.c.runner == this_process(), table.c.attempts == task.attempts)
        running = (table.c.status == Status.RUNNING.value, Status.PENDING.value)
        values = {"status": sa.case(running, else_=table.c.status), "runner": ""}
        with self.tasks.database.write() as connection:
            return connection.execute(table.update().where(*own).values(values)).rowcount == 1
