"""``malkoha worker``: run the queue, one task after the other, until it is stopped."""

from __future__ import annotations

import signal
import time
from typing import TYPE_CHECKING, Annotated

import typer

from malkoha.cli import terminal
from malkoha.errors import UsageError

if TYPE_CHECKING:
    from malkoha.config import Settings
    from malkoha.store import Home

POLL_S = 0.5


def worker(
    slots: Annotated[int, typer.Option(help="How many analyses run side by side.", metavar="N", min=1, max=64)] = 1,
    once: Annotated[bool, typer.Option("--once", help="End when nothing waits.")] = False,
    debug: terminal.Debug = False,
) -> None:
    """Run the queue.

    Takes the waiting task with the highest priority that this machine has the image and the network for, runs and
    processes it, and takes the next. Several workers may run side by side: each task is given to one of them, and comes
    back into the queue when that one dies; the next attempt begins in a folder of its own.

    \b
    Examples:
      malkoha worker
      malkoha worker --slots 2
      malkoha worker --once     until the queue is empty
    """
    home, settings = terminal.surroundings()
    terminal.log_as(settings)
    if slots == 1:
        _work(home, settings, once=once)
        return
    if once:
        raise UsageError("--once runs one slot", "", "leave --slots out")
    from malkoha.scheduler import Slots

    with Slots(home, slots):
        terminal.say(f"{slots} slots run the queue")
        while True:
            signal.pause()


def _work(home: Home, settings: Settings, *, once: bool) -> None:
    from malkoha.cli.performing import perform_taken
    from malkoha.queue import open_queue
    from malkoha.scheduler import offers
    from malkoha.tasks import Tasks

    with Tasks(home) as tasks, open_queue(tasks) as queue:
        while True:
            task = queue.take(offers(home, settings))
            if task is not None:
                perform_taken(task, home, settings, queue)
            elif once:
                return
            else:
                time.sleep(POLL_S)
