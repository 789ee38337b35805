"""``malkoha tasks``: the table of tasks."""

from __future__ import annotations

from typing import Annotated

import typer

from malkoha.cli import terminal
from malkoha.model.task import Status


def tasks(
    status: Annotated[list[Status] | None, typer.Option(help="Only tasks in this state; repeatable.")] = None,
    tag: Annotated[str | None, typer.Option(help="Only tasks with this tag.", metavar="WORD")] = None,
    limit: Annotated[int, typer.Option(help="Show the newest N.", metavar="N", min=1)] = 50,
    as_json: Annotated[bool, typer.Option("--json", help="Print a JSON list.")] = False,
    debug: terminal.Debug = False,
) -> None:
    """List tasks, the newest first.

    \b
    Examples:
      malkoha tasks
      malkoha tasks --status pending --status running
      malkoha tasks --limit 1000 --json
    """
    from malkoha.tasks import Tasks

    home, _ = terminal.surroundings()
    with Tasks(home) as table:
        table.recover()
        listed = table.all(statuses=status or (), limit=limit, tag=tag)
    if as_json:
        terminal.write_json(listed)
        return
    rows = [
        (task.id, task.status, f"{task.added_at:%Y-%m-%d %H:%M:%S}", task.options.engine, task.target, task.error)
        for task in listed
    ]
    terminal.table(("id", "status", "added (UTC)", "engine", "target", "error"), rows)
