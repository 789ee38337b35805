"""``malkoha worker``: run the queue, one task after the other, until it is stopped."""

from __future__ import annotations

import time
from typing import Annotated

import typer

from malkoha.cli import terminal

POLL_S = 0.5


def worker(
    once: Annotated[bool, typer.Option("--once", help="End when nothing waits.")] = False,
    debug: terminal.Debug = False,
) -> None:
    """Run the queue.

    Takes the waiting task with the highest priority, runs and processes it, and takes the next. Several workers may
    run side by side: each task is leased to one of them, and comes back into the queue when that one dies.

    \b
    Examples:
      malkoha worker
      malkoha worker --once     until the queue is empty
    """
    from malkoha.cli.performing import perform_taken
    from malkoha.tasks import Tasks

    home, settings = terminal.surroundings()
    terminal.log_as(settings)
    with Tasks(home) as tasks:
        while True:
            task = tasks.take()
            if task is not None:
                perform_taken(task, home, settings, tasks)
            elif once:
                return
            else:
                time.sleep(POLL_S)
