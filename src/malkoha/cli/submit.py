"""``malkoha submit``: put samples into the queue."""

from __future__ import annotations

import os
from typing import Annotated

import typer

from malkoha.cli import options, terminal
from malkoha.cli.options import Arguments, Engine, Image, Memory, Network, Option, Package, Time, Timeout, User


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
    """
    from malkoha import archives
    from malkoha.errors import SubmitError
    from malkoha.tasks import Tasks

    home, settings = terminal.surroundings()
    chosen = options.build(settings, timeout, package, arguments, option, user, network, engine, image, memory, time)
    options.need_image(home, chosen.image)
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
                tasks.add(task)
                print(task.id)
    if refused:
        raise typer.Exit(2)
