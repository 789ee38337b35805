"""What waits is given to workers here: one interface, and one implementation for each kind of database."""

from __future__ import annotations

from malkoha.queue.base import Queue
from malkoha.queue.leases import LeaseQueue
from malkoha.tasks import Tasks

__all__ = ["Queue", "open_queue"]


def open_queue(tasks: Tasks) -> Queue:
    """Return the queue that fits the database of ``tasks``; a context manager."""
    if not tasks.home.server:
        return LeaseQueue(tasks)
    from malkoha.queue.procrastinate import ProcrastinateQueue

    return ProcrastinateQueue(tasks)
