"""``malkoha report``: show the report of an earlier analysis."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from malkoha.cli import finding, terminal


def report(
    analysis: finding.Analysis = "last",
    as_json: Annotated[bool, typer.Option("--json", help="Print report.json.")] = False,
    no_open: Annotated[bool, typer.Option("--no-open", help="Do not open the report in a browser.")] = False,
    debug: terminal.Debug = False,
) -> None:
    """Show the report of an analysis.

    Verdict, process tree, signatures, and where the files are.

    \b
    Examples:
      malkoha report            the newest
      malkoha report 12
      malkoha report 12 --json | jq '.behavior.processtree'
    """
    import msgspec

    from malkoha.errors import ReportError

    home, _ = terminal.surroundings()
    store = finding.find(home, analysis)
    mend = f"malkoha process {store.root.name} makes one, if the run was finished"
    raw = finding.need(store.report_json, "report", mend).read_bytes()
    if as_json:
        sys.stdout.buffer.write(raw)
        return
    from malkoha.cli.summary import print_summary

    try:
        document = msgspec.json.decode(raw, type=dict)
    except msgspec.MsgspecError as error:
        raise ReportError(f"{store.report_json} cannot be read", str(error), mend) from error
    print_summary(document, terminal.out())
    print(f"\nanalysis {store.root.name}: {store.report_html}")
    if not no_open:
        terminal.show_report(store.report_html)
