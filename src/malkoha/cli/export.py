"""``malkoha export``: an analysis in another format."""

from __future__ import annotations

import io
import json
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import StrEnum
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, BinaryIO

import typer

from malkoha.cli import finding, terminal

if TYPE_CHECKING:
    from malkoha.store import Store


_BLOCK = 1 << 20


class Format(StrEnum):
    """What can be written."""

    STAP = "stap"
    JSON = "json"
    HTML = "html"
    DROPPED = "dropped"
    MEMORY = "memory"
    NAVIGATOR = "navigator"
    STIX = "stix"
    MISP = "misp"
    IOC_CSV = "iocs-csv"
    IOC_JSON = "iocs-json"


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
    home, _ = terminal.surroundings()
    store = finding.find(home, analysis)
    with _target(output) as target:
        WRITERS[form](store, target)


def _stap(store: Store, target: BinaryIO) -> None:
    from malkoha.trace import stap
    from malkoha.trace.store import Trace

    trace = Trace(finding.need(store.events, "events", finding.no_events(store)))
    text = io.TextIOWrapper(target, encoding="ascii", errors="backslashreplace", newline="\n")
    try:
        stap.write((row.event for row in trace.rows(text=True)), text)
    finally:
        text.detach()


def _copy(path: Path, store: Store, target: BinaryIO) -> None:
    with finding.need(path, "report", finding.no_events(store)).open("rb") as source:
        shutil.copyfileobj(source, target)


def _dropped(store: Store, target: BinaryIO) -> None:
    """Write the files under their hashes, none of them executable, and the section of the report that names them."""
    import tarfile

    section = json.loads(finding.need(store.report_json, "report", finding.no_events(store)).read_bytes())["dropped"]
    listing = json.dumps(section, indent=2).encode()
    with tarfile.open(fileobj=target, mode="w|") as archive:
        member = tarfile.TarInfo("dropped/dropped.json")
        member.size = len(listing)
        archive.addfile(member, io.BytesIO(listing))
        for path in sorted({store.dropped / str(entry["sha256"]) for entry in section}):
            member = tarfile.TarInfo(f"dropped/{path.name}")
            member.mode, member.size = 0o600, path.stat().st_size
            with path.open("rb") as file:
                archive.addfile(member, file)


def _memory(store: Store, target: BinaryIO) -> None:
    path = finding.need(store.machine_memory, "memory of the machine", "malkoha analyze --memory keeps it")
    with path.open("rb") as source:
        while block := source.read(_BLOCK):
            # on a disk pages of zeros become holes again
            if target.seekable() and not block.strip(b"\0"):
                target.seek(len(block), io.SEEK_CUR)
            else:
                target.write(block)
        if target.seekable():
            target.truncate(path.stat().st_size)


def _made(name: str, function: str) -> Callable[[Store, BinaryIO], None]:
    """Give the writer of a form that a function of malkoha.reporting makes from the report."""

    def write(store: Store, target: BinaryIO) -> None:
        report = json.loads(finding.need(store.report_json, "report", finding.no_events(store)).read_bytes())
        make: Callable[[Any], bytes] = getattr(import_module(f"malkoha.reporting.{name}"), function)
        target.write(make(report))

    return write


WRITERS: dict[Format, Callable[[Store, BinaryIO], None]] = {
    Format.STAP: _stap,
    Format.JSON: lambda store, target: _copy(store.report_json, store, target),
    Format.HTML: lambda store, target: _copy(store.report_html, store, target),
    Format.DROPPED: _dropped,
    Format.MEMORY: _memory,
    Format.NAVIGATOR: _made("navigator", "layer"),
    Format.STIX: _made("stix", "bundle"),
    Format.MISP: _made("misp", "event"),
    Format.IOC_CSV: _made("iocs", "as_csv"),
    Format.IOC_JSON: _made("iocs", "as_json"),
}


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
