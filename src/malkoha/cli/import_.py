"""``malkoha import``: a report from a trace that was recorded elsewhere."""

from __future__ import annotations

import os
from typing import Annotated

import typer

from malkoha.cli import terminal


def import_(
    target: Annotated[
        str, typer.Argument(help="A SystemTap log in Cuckoo's grammar, or a records.bin.", metavar="FILE")
    ],
    debug: terminal.Debug = False,
) -> None:
    """Make an analysis of a trace that was recorded elsewhere.

    The trace is copied, processed and reported as if it had been recorded here; nothing is run.

    \b
    Examples:
      malkoha import all.stap
      malkoha import ~/.malkoha/analyses/12/trace/records.bin
    """
    from malkoha import submit
    from malkoha.cli.performing import reprocess
    from malkoha.cli.summary import print_summary
    from malkoha.tasks import Tasks

    home, settings = terminal.surroundings()
    task = submit.bring(home, os.fsencode(target))
    with Tasks(home) as tasks:
        tasks.add(task)
    print_summary(reprocess(task, home, settings), terminal.out())
    store = home.analysis(task.id)
    print(f"\nanalysis {task.id}: {store.report_html}\n{' ' * len(f'analysis {task.id}:')} {store.report_json}")
