"""Keeps the table of tasks in step with a run, in a thread of its own.

Opening the table takes a third of a second, which the sample need not wait for: the machine is restored meanwhile.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, Self

from malkoha.model.task import Status

if TYPE_CHECKING:
    from malkoha.model.task import Task
    from malkoha.store import Home


class Ledger:
    """Writes one task's states in the order in which they are told; leaving the block waits until all are written."""

    def __init__(self, home: Home, task: Task, *, new: bool) -> None:
        self._home = home
        self._task = task
        self._new = new
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="ledger")
        self._written: list[Future[None]] = []
        self._tasks: Any = None

    def __enter__(self) -> Self:
        self._do(self._open)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        self._do(self._close)
        self._pool.shutdown(wait=True)
        if error is None:
            for written in self._written:
                written.result()

    def state(self, to: Status, error: str = "") -> None:
        """Note the next state."""
        self._do(lambda: self._tasks.move(self._task.id, to, error=error))

    def _do(self, action: Callable[[], Any]) -> None:
        self._written.append(self._pool.submit(action))

    def _open(self) -> None:
        from malkoha.tasks import Tasks

        self._tasks = Tasks(self._home)
        if self._new:
            self._tasks.add(self._task, running=True)
        else:
            self._tasks.move(self._task.id, Status.RUNNING)

    def _close(self) -> None:
        if self._tasks is not None:
            self._tasks.close()
