"""``malkoha analyze``: the main job, from a file to its verdict."""

from __future__ import annotations

import os
import sys
from typing import Annotated

import typer

from malkoha.cli import options, terminal
from malkoha.cli.options import Arguments, Engine, Image, Memory, Network, Option, Package, Time, Timeout, User


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

    \b
    Examples:
      malkoha analyze ./suspicious
      malkoha analyze --timeout 300 --arguments '-d --port 80' ./server
      malkoha analyze --json ./script.sh | jq .malkoha.verdict
      malkoha analyze --time skip ./sleeps-for-hours
      malkoha analyze -- -name-with-a-dash
    """
    from malkoha import submit
    from malkoha.cli.performing import perform

    home, settings = terminal.surroundings()
    chosen = options.build(settings, timeout, package, arguments, option, user, network, engine, image, memory, time)
    options.need_image(home, chosen.image)
    task = submit.submit(home, settings, os.fsencode(target), chosen)
    report = perform(task, home, settings)
    store = home.analysis(task.id)
    if as_json:
        sys.stdout.buffer.write(store.report_json.read_bytes())
        return
    from malkoha.cli.summary import print_summary

    print_summary(report, terminal.out())
    print(f"\nanalysis {task.id}: {store.report_html}\n{' ' * len(f'analysis {task.id}:')} {store.report_json}")
    if not no_open:
        terminal.show_report(store.report_html)
