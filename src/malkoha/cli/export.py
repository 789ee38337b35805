"""``malkoha export``: an analysis in another format."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, BinaryIO

import typer

from malkoha.cli import finding, terminal
from malkoha.reporting.exports import Format


def export(
    analysis: finding.Analysis = "last",
    form: Annotated[
        Format,
        typer.Option(
            "--format",
            "-f",
            help="stap: lines in Cuckoo's grammar; json, html: the reports; dropped: a tar archive of the files that "
            "the sample wrote; memory: the memory of the machine; navigator: a layer of ATT&CK; "
            "stix: a STIX 2.1 bundle; misp: an event of MISP; iocs-csv, iocs-json: indicators, also defanged.",
        ),
    ] = Format.JSON,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="The file to write.", metavar="FILE", show_default="standard output"),
    ] = None,
    debug: terminal.Debug = False,
) -> None:
    """Write an analysis in another format.

    \b
    Examples:
      malkoha export 12 --format stap -o all.stap
      malkoha export last --format json | jq .info
      malkoha export 12 --format dropped | tar -tv
      malkoha export 12 --format iocs-csv -o indicators.csv
    """
    from malkoha.reporting import exports

    home, _ = terminal.surroundings()
    store = finding.find(home, analysis)
    with _target(output) as target:
        exports.export(store, form, target)


@contextmanager
def _target(path: Path | None) -> Iterator[BinaryIO]:
    """Yield what is written to; a file appears under its name when it is whole."""
    if path is None:
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
        return
    part = path.with_name(path.name + ".part")
    try:
        with part.open("wb") as target:
            yield target
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
