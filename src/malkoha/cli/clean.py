"""``malkoha clean``: free space."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated

import typer

from malkoha.cli import terminal
from malkoha.errors import MalkohaError, UsageError

if TYPE_CHECKING:
    from malkoha.store import Home
    from malkoha.tasks import Tasks

_UNITS = {"h": "hours", "d": "days", "w": "weeks"}


def clean(
    older_than: Annotated[
        str | None, typer.Option("--older-than", help="Remove analyses older than this: 12h, 30d, 8w.", metavar="AGE")
    ] = None,
    everything: Annotated[bool, typer.Option("--all", help="Remove every analysis.")] = False,
    images: Annotated[
        bool, typer.Option("--images", help="Remove replaced images and snapshots; only while nothing runs.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would go.")] = False,
    debug: terminal.Debug = False,
) -> None:
    """Remove leftovers and old analyses.

    Without options only what dead processes left behind. Named images stay in any case.

    \b
    Examples:
      malkoha clean                     leftovers only
      malkoha clean --older-than 30d
      malkoha clean --all --dry-run
      malkoha clean --images            after an update
    """
    from malkoha.machinery import cleanup
    from malkoha.tasks import Tasks

    if everything and older_than is not None:
        raise UsageError("--all and --older-than exclude each other")
    age = timedelta(0) if everything else _age(older_than) if older_than is not None else None
    home, _ = terminal.surroundings()
    if not dry_run:
        for line in cleanup.sweep(home):
            print(terminal.plain(line))
    if not home.root.exists():
        return
    with Tasks(home) as tasks:
        for task_id in tasks.recover():
            print(f"task {task_id}: its process is gone, settled")
        if age is not None:
            _remove(home, tasks, datetime.now(UTC) - age, dry_run=dry_run)
        if images and not dry_run:
            _prune(home, tasks)


def _prune(home: Home, tasks: Tasks) -> None:
    """Remove nameless images, unless an analysis that was begun with one may still need it."""
    from malkoha import arming
    from malkoha.machinery import cleanup, image
    from malkoha.model.task import Status

    running = tasks.all(statuses=[Status.RUNNING])
    if running or cleanup.machines(home):
        who = f"task {running[0].id}" if running else "a machine"
        raise MalkohaError(
            "replaced images were kept", f"{who} is running and may use one", "try again when it has ended"
        )
    print(f"{image.prune(home) >> 20} MiB of replaced images removed")
    print(f"{arming.prune(home) >> 20} MiB of replaced armed snapshots removed")


def _remove(home: Home, tasks: Tasks, before: datetime, *, dry_run: bool) -> None:
    from malkoha import retention

    gone = retention.expire(home, tasks, before, dry_run=dry_run, waiting=True)
    print(f"{gone.number} analyses, {gone.bytes / (1 << 20):.1f} MiB {'would go' if dry_run else 'removed'}")


def _age(text: str) -> timedelta:
    match = re.fullmatch(r"([0-9]{1,6})([hdw])", text)
    if match is None:
        raise UsageError(f"{text!r} is not an age", "", "write 12h, 30d or 8w")
    return timedelta(**{_UNITS[match[2]]: int(match[1])})
