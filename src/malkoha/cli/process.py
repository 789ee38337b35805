"""``malkoha process``: process an analysis again from its folder."""

from __future__ import annotations

from malkoha.cli import finding, terminal


def process(analysis: finding.Analysis, debug: terminal.Debug = False) -> None:
    """Make the report of an analysis anew.

    Parses, processes and reports from the folder, without running the sample.

    \b
    Examples:
      malkoha process 12        after an update, or when the run was finished and the report was not
      malkoha process last
    """
    from malkoha import submit
    from malkoha.cli.performing import reprocess
    from malkoha.cli.summary import print_summary
    from malkoha.tasks import Tasks

    home, settings = terminal.surroundings()
    store = finding.find(home, analysis)
    finding.need(store.run, "finished run", "malkoha tasks says how it ended")
    task = submit.load(store)
    with Tasks(home) as tasks:
        tasks.recover()
    print_summary(reprocess(task, home, settings), terminal.out())
