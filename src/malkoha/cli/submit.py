"""``malkoha submit``: put samples into the queue."""

from __future__ import annotations

import os
import re
import shutil
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Any

import typer

from malkoha.cli import options, terminal
from malkoha.cli.options import Arguments, Engine, Image, Memory, Network, Option, Package, Time, Timeout, User
from malkoha.errors import SubmitError, UsageError

if TYPE_CHECKING:
    from malkoha.model.task import Task
    from malkoha.store import Home

_UNITS = {"m": timedelta(minutes=1), "h": timedelta(hours=1), "d": timedelta(days=1)}


def submit(
    targets: Annotated[list[str], typer.Argument(help="The files to analyse.", metavar="TARGET...")],
    timeout: Timeout = None,
    package: Package = None,
    arguments: Arguments = "",
    option: Option = None,
    user: User = "root",
    network: Network = None,
    engine: Engine = "tracepoint",
    image: Image = "default",
    memory: Memory = False,
    time: Time = "real",
    priority: Annotated[int, typer.Option(help="Higher ones run first.", min=1, max=100)] = 1,
    tag: Annotated[list[str] | None, typer.Option(help="A word to find it by; repeatable.", metavar="WORD")] = None,
    within: Annotated[
        str | None, typer.Option(help="Give it up when it was not begun by then: 30m, 12h, 2d.", metavar="TIME")
    ] = None,
    debug: terminal.Debug = False,
) -> None:
    """Put samples into the queue.

    The numbers of their tasks are printed, `malkoha run` runs them. A target that is refused does not keep the
    others out; the exit status is then 2. An archive becomes one task for each member that can be run.

    \b
    Examples:
      malkoha submit ./a ./b ./c
      malkoha submit --option member=bin/tool --option password=secret ./samples.zip
      malkoha submit --priority 5 --timeout 60 ./urgent
      malkoha submit --tag mail --within 30m ./attachment
    """
    from malkoha import archives
    from malkoha.tasks import Tasks

    home, settings = terminal.surroundings()
    chosen = options.build(settings, timeout, package, arguments, option, user, network, engine, image, memory, time)
    options.need_image(home, chosen.image)
    facts = {"tags": tag or [], "deadline": _deadline(within)}
    refused = 0
    with Tasks(home) as tasks:
        for target in targets:
            try:
                submitted = archives.submit(home, settings, os.fsencode(target), chosen, priority=priority)
            except SubmitError as error:
                terminal.error(str(error))
                refused += 1
                continue
            for remark in submitted.remarks:
                terminal.say(remark)
            for task in submitted.tasks:
                try:
                    tasks.add(_marked(task, home, facts))
                except SubmitError as error:
                    shutil.rmtree(home.folder(task.id), ignore_errors=True)
                    terminal.error(str(error))
                    refused += 1
                    continue
                print(task.id)
    if refused:
        raise typer.Exit(2)


def _marked(task: Task, home: Home, facts: dict[str, Any]) -> Task:
    """Return the task with what was said of all of them, and keep that in its folder too."""
    import msgspec

    from malkoha import submit

    if any(facts.values()):
        task = msgspec.structs.replace(task, **facts)
        submit.save(task, home.analysis(task.id))
    return task


def _deadline(within: str | None) -> datetime | None:
    if within is None:
        return None
    found = re.fullmatch(r"([1-9][0-9]{0,5})([mhd])", within)
    if found is None:
        raise UsageError(f"{within!r} is not a time", "", "write 30m, 12h or 2d")
    return datetime.now(UTC) + int(found[1]) * _UNITS[found[2]]
