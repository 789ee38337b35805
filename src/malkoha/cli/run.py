"""``malkoha run``: run what was submitted."""

from __future__ import annotations

from typing import Annotated

import typer

from malkoha.cli import terminal


def run(
    task_ids: Annotated[list[int] | None, typer.Argument(help="Tasks to run.", metavar="[ID]...")] = None,
    debug: terminal.Debug = False,
) -> None:
    """Run submitted tasks.

    One after the other: those that are named, or all that wait. One that fails does not keep the others back;
    the exit status is then 4.

    \b
    Examples:
      malkoha run            all that wait, higher priorities first
      malkoha run 12 13      these two
    """
    from malkoha.cli.following import follow
    from malkoha.errors import MalkohaError
    from malkoha.model.task import Status
    from malkoha.tasks import Tasks

    home, settings = terminal.surroundings()
    with Tasks(home) as tasks:
        tasks.recover()
        if task_ids:
            waiting = [tasks.get(task_id) for task_id in task_ids]
        else:
            waiting = sorted(tasks.all(statuses=[Status.PENDING]), key=lambda task: (-task.priority, task.id))
    if not waiting:
        terminal.say("no task waits")
    failed = 0
    for task in waiting:
        try:
            report = follow(task, home, settings, new=False)
        except MalkohaError as error:
            terminal.error(f"task {task.id}: {error}", trace=True)
            failed += 1
            continue
        verdict = report["malkoha"]["verdict"]
        print(f"{task.id}\t{verdict['level']}\t{verdict['score']}\t{terminal.plain(task.target)}")
    if failed:
        raise typer.Exit(4)
