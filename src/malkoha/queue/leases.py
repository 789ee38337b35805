"""The queue of one machine: leases in the table, held by processes that can be seen to live, so no clock ends them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa

from malkoha.model.task import Status, Task
from malkoha.queue.base import Queue
from malkoha.tasks import table


class LeaseQueue(Queue):
    """Workers of one machine on one file of SQLite."""

    def take(self, offers: Sequence[str]) -> Task | None:
        self.settle()
        self.tasks.expire()
        fits = table.c.needs.in_(list(offers))
        left = (table.c.status == Status.COMPLETED.value, table.c.attempts > 0, table.c.runner == "", fits)
        oldest = sa.select(table.c.id).where(*left).order_by(table.c.id).limit(1)
        pending = (table.c.status == Status.PENDING.value, fits)
        # both steps walk along one index and stop at the first row: the cost does not grow with the queue
        highest = sa.select(table.c.priority).where(*pending).order_by(table.c.priority.desc()).limit(1)
        first = sa.select(table.c.id).where(*pending, table.c.priority == highest.scalar_subquery())
        first = first.order_by(table.c.id).limit(1)
        steps: list[tuple[Any, Status]] = [(oldest, Status.COMPLETED), (first, Status.PENDING)]
        for query, status in steps:
            while self._any(query):
                task = self._claim(query.scalar_subquery(), status)
                if task is not None:
                    return task
        return None

    def settle(self) -> list[int]:
        return self.tasks.reclaim()

    def give_back(self, task: Task) -> None:
        self._release(task)

    def close(self) -> None:
        """Leases end with the process."""

    def _any(self, query: Any) -> bool:
        # a look first: most of the time nothing waits, and looking does not stop those who write
        with self.tasks.database.read() as connection:
            return connection.execute(query).first() is not None
