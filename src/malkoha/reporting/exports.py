"""An analysis in another format: its folder in, one stream of bytes out."""

from __future__ import annotations

import io
import json
import shutil
from collections.abc import Callable
from enum import StrEnum
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from malkoha.errors import UsageError

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

    @property
    def ending(self) -> str:
        """How a file of this format is called behind its last dot."""
        endings = {"stap": "stap", "html": "html", "dropped": "tar", "memory": "dmp", "iocs-csv": "csv"}
        return endings.get(self.value, "json")


def export(store: Store, form: Format, target: BinaryIO) -> None:
    """Write an analysis; raise UsageError where it does not have what the format needs."""
    WRITERS[form](store, target)


def need(path: Path, what: str, mend: str = "") -> Path:
    """Return ``path`` if it exists; raise UsageError that says how to get it otherwise."""
    if not path.exists():
        number = path.parent.name
        mend = mend or f"malkoha process {number} makes it, if the run was finished"
        raise UsageError(f"analysis {number} has no {what}", "", mend)
    return path


def _stap(store: Store, target: BinaryIO) -> None:
    from malkoha.trace import stap
    from malkoha.trace.store import Trace

    trace = Trace(need(store.events, "events"))
    text = io.TextIOWrapper(target, encoding="ascii", errors="backslashreplace", newline="\n")
    try:
        stap.write((row.event for row in trace.rows(text=True)), text)
    finally:
        text.detach()


def _copy(path: Path, target: BinaryIO) -> None:
    with need(path, "report").open("rb") as source:
        shutil.copyfileobj(source, target)


def _dropped(store: Store, target: BinaryIO) -> None:
    """Write the files under their hashes, none of them executable, and the section of the report that names them."""
    import tarfile

    section = json.loads(need(store.report_json, "report").read_bytes())["dropped"]
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
    path = need(store.machine_memory, "memory of the machine", "malkoha analyze --memory keeps it")
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
        report = json.loads(need(store.report_json, "report").read_bytes())
        make: Callable[[Any], bytes] = getattr(import_module(f"malkoha.reporting.{name}"), function)
        target.write(make(report))

    return write


WRITERS: dict[Format, Callable[[Store, BinaryIO], None]] = {
    Format.STAP: _stap,
    Format.JSON: lambda store, target: _copy(store.report_json, target),
    Format.HTML: lambda store, target: _copy(store.report_html, target),
    Format.DROPPED: _dropped,
    Format.MEMORY: _memory,
    Format.NAVIGATOR: _made("navigator", "layer"),
    Format.STIX: _made("stix", "bundle"),
    Format.MISP: _made("misp", "event"),
    Format.IOC_CSV: _made("iocs", "as_csv"),
    Format.IOC_JSON: _made("iocs", "as_json"),
}
