"""The queue of many machines: Procrastinate on PostgreSQL says who is next and who died, the table what came of it."""

from __future__ import annotations

import time
from collections.abc import Sequence

from malkoha.jobs import BEATS, Jobs, job_id, task_of
from malkoha.model.task import Status, Task
from malkoha.queue.base import Queue
from malkoha.tasks import Tasks

OVER = (Status.REPORTED, Status.FAILED_ANALYSIS, Status.FAILED_PROCESSING, Status.FAILED_REPORTING)


class ProcrastinateQueue(Queue):
    """Workers of many machines on one PostgreSQL; one that shows no sign of life for ``lost_after_s`` is dead."""

    def __init__(self, tasks: Tasks) -> None:
        super().__init__(tasks)
        self._jobs = Jobs(tasks.home.server, tasks.home.lost_after_s)
        self._held: dict[int, int] = {}
        """Task -> the job by which this worker holds it."""
        self._settled_at = float("-inf")
        self._shown: list[str] = []

    def take(self, offers: Sequence[str]) -> Task | None:
        if time.monotonic() - self._settled_at > self.tasks.home.lost_after_s / BEATS:
            self.settle()
            self.tasks.expire()
            self.tasks.show(offers)
            self._settled_at = time.monotonic()
        while (job := self._jobs.fetch(offers)) is not None:
            task_id = task_of(job)
            task = self._claim(task_id, Status.PENDING) or self._claim(task_id, Status.COMPLETED)
            if task is not None:
                self._held[task.id] = job_id(job)
                return task
            self._jobs.finish(job_id(job))  # of a task that is over, deleted or run by hand
        return None

    def settle(self) -> list[int]:
        settled = []
        for job in self._jobs.stalled():
            task_id = task_of(job)
            attempt, held = self.tasks.holding(task_id)
            if held and self.tasks.bury(task_id, attempt) is not None:
                settled.append(task_id)
            # whoever takes a job whose task is over drops it, so none is lost when this process ends here
            self._jobs.retry(job_id(job))
        return settled

    def tell(self, task: Task, to: Status, error: str = "") -> None:
        super().tell(task, to, error)
        if to in OVER and (job := self._held.pop(task.id, None)) is not None:
            self._jobs.finish(job)

    def give_back(self, task: Task) -> None:
        job = self._held.pop(task.id, None)
        if self._release(task) and job is not None:
            self._jobs.retry(job)

    def close(self) -> None:
        self._jobs.close()
