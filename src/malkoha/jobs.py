"""Procrastinate, the queue of many machines on PostgreSQL: which job waits, who does it, and whose worker fell silent.

The table of tasks stays the truth; a job only names a task, and its queue what a worker must have (``needs``).
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, TypeVar, cast

from malkoha.errors import HostError

if TYPE_CHECKING:
    import sqlalchemy as sa
    from procrastinate.jobs import Job

KIND = "malkoha.analysis"
BEATS = 4
"""Signs of life that a worker gives in the time after which it is taken for dead."""

T = TypeVar("T")


def prepare(connection: sa.Connection) -> None:
    """Make Procrastinate's own tables."""
    from procrastinate.schema import SchemaManager

    driver: Any = connection.connection.driver_connection
    driver.execute(SchemaManager.get_schema())


def defer(connection: sa.Connection, task_id: int, needs: str, priority: int) -> None:
    """Put a task into the queue; it is there when the transaction of ``connection`` ends well."""
    from procrastinate.jobs import Job
    from procrastinate.manager import JobManager
    from procrastinate.sync_psycopg_connector import SyncPsycopgConnector

    job = Job(
        queue=needs, priority=priority, lock=None, queueing_lock=None, task_name=KIND, task_kwargs={"task": task_id}
    )
    JobManager(SyncPsycopgConnector()).defer_job(job, connection=connection.connection.driver_connection)


def task_of(job: Job) -> int:
    """Return the task that a job names."""
    return int(cast("int", job.task_kwargs["task"]))


def job_id(job: Job) -> int:
    """Return the number of a job that is in the database."""
    assert job.id is not None
    return job.id


class Jobs:
    """This process as one of Procrastinate's workers; a thread of its own shows that it lives until ``close``."""

    def __init__(self, server: str, lost_after_s: float) -> None:
        from procrastinate.manager import JobManager
        from procrastinate.psycopg_connector import PsycopgConnector

        self._lost_after_s = lost_after_s
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="malkoha-jobs", daemon=True)
        self._thread.start()
        self._connector = PsycopgConnector(conninfo=server, min_size=1, max_size=2)
        self._do(self._connector.open_async())
        self._manager = JobManager(self._connector)
        self.worker = self._do(self._manager.register_worker())
        self._beating = asyncio.run_coroutine_threadsafe(self._beat(), self._loop)

    def fetch(self, queues: Sequence[str]) -> Job | None:
        """Take the next job of these queues: higher priorities first, then older ones."""
        return self._do(self._manager.fetch_job(list(queues), self.worker))

    def stalled(self) -> list[Job]:
        """Return the jobs of workers that gave no sign of life for too long."""
        return list(self._do(self._manager.get_stalled_jobs(seconds_since_heartbeat=self._lost_after_s)))

    def retry(self, job_id: int) -> None:
        """Let another worker have a job."""
        self._do(self._manager.retry_job_by_id_async(job_id, datetime.now(UTC)))

    def finish(self, job_id: int) -> None:
        """Forget a job, whatever became of its task."""
        from procrastinate.jobs import Status

        self._do(self._manager.finish_job_by_id_async(job_id, Status.SUCCEEDED, delete_job=True))

    def close(self) -> None:
        """Stop being a worker; jobs that are still held are stalled at once."""
        self._beating.cancel()
        try:
            self._do(self._manager.unregister_worker(self.worker))
            self._do(self._connector.close_async())
        finally:
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join()
            self._loop.close()

    async def _beat(self) -> None:
        from procrastinate.exceptions import ConnectorException

        while True:
            await asyncio.sleep(self._lost_after_s / BEATS)
            try:
                await self._manager.update_heartbeat(self.worker)
            except ConnectorException:
                continue  # the server may come back in time

    def _do(self, work: Coroutine[Any, Any, T]) -> T:
        from procrastinate.exceptions import ConnectorException

        try:
            return asyncio.run_coroutine_threadsafe(work, self._loop).result()
        except ConnectorException as error:
            why = str(error.__cause__ or error).splitlines()[0]
            raise HostError("the queue on PostgreSQL cannot be used", why) from error
