"""``malkoha analyze``: the main job, from a file to its verdict."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

from malkoha.cli import options, terminal
from malkoha.cli.following import follow
from malkoha.cli.options import Arguments, Engine, Image, Memory, Network, Option, Package, Time, Timeout, User

if TYPE_CHECKING:
    from malkoha.config import Settings
    from malkoha.model.task import Task
    from malkoha.store import Home


def analyze(
    target: Annotated[str, typer.Argument(help="The file to analyse; its name may hold anything.", metavar="TARGET")],
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
    as_json: Annotated[
        bool, typer.Option("--json", help="Print report.json, and nothing else, on standard output.")
    ] = False,
    no_open: Annotated[bool, typer.Option("--no-open", help="Do not open the report in a browser.")] = False,
    debug: terminal.Debug = False,
) -> None:
    """Run a sample and show what it did.

    It runs in a disposable virtual machine, until its last process has gone or the timeout has passed. The
    first analysis builds the guest image, which takes minutes; later ones take seconds.

    Of an archive every member that can be run is analysed, one after the other; `--option member=NAME` chooses one,
    `--option password=TEXT` opens it, `--option unpack=no` takes it as it is.

    \b
    Examples:
      malkoha analyze ./suspicious
      malkoha analyze --timeout 300 --arguments '-d --port 80' ./server
      malkoha analyze --json ./script.sh | jq .malkoha.verdict
      malkoha analyze --time skip ./sleeps-for-hours
      malkoha analyze --option member=bin/tool ./samples.zip
      malkoha analyze -- -name-with-a-dash
    """
    from malkoha import archives

    home, settings = terminal.surroundings()
    chosen = options.build(settings, timeout, package, arguments, option, user, network, engine, image, memory, time)
    options.need_image(home, chosen.image, chosen.extra.get("client", ""))
    submitted = archives.submit(home, settings, os.fsencode(target), chosen)
    for remark in submitted.remarks:
        terminal.say(remark)
    if len(submitted.tasks) > 1:
        _several(submitted.tasks, home, settings, as_json)
        return
    task = submitted.tasks[0]
    _show(task, follow(task, home, settings), home, as_json)
    if not as_json and not no_open:
        terminal.show_report(home.analysis(task.id).report_html)


def _several(tasks: list[Task], home: Home, settings: Settings, as_json: bool) -> None:
    """Run tasks one after the other; one that fails does not keep the others back."""
    from malkoha.errors import MalkohaError
    from malkoha.tasks import Tasks

    with Tasks(home) as table:
        for task in tasks:
            table.add(task)
    failed = 0
    for task in tasks:
        terminal.say(f"analysis {task.id}: {task.target}")
        try:
            report = follow(task, home, settings, new=False)
        except MalkohaError as error:
            terminal.error(f"analysis {task.id}: {error}", trace=True)
            failed += 1
            continue
        _show(task, report, home, as_json)
    if failed:
        raise typer.Exit(4)


def _show(task: Task, report: dict[str, Any], home: Home, as_json: bool) -> None:
    store = home.analysis(task.id)
    if as_json:
        sys.stdout.buffer.write(store.report_json.read_bytes())
        sys.stdout.buffer.flush()
        return
    from malkoha.cli.summary import print_summary

    print_summary(report, terminal.out())
    print(f"\nanalysis {task.id}: {store.report_html}\n{' ' * len(f'analysis {task.id}:')} {store.report_json}")
