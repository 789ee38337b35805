"""The section ``dropped``: every file that the sample wrote, as the tracer took it, with who wrote it and when.

In: trace/files.bin and the processes of the trace. Out: dropped/, where each content lies once under its hash, and one
entry for each path and content. No name of the guest is used on the host.
"""

from __future__ import annotations

import codecs
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import msgspec

from malkoha.model.files import Dropped, File, FileWriter
from malkoha.model.process import Process
from malkoha.processing.base import Earlier, Facts, Processing
from malkoha.processing.behavior import BehaviorModule
from malkoha.processing.fuzzy import SSDEEP_LIMIT
from malkoha.processing.target import file_facts
from malkoha.trace.files import Extraction, Reading, Taken
from malkoha.trace.store import Trace

ENTRIES = 1_000
FUZZY_TOTAL = 512 << 10
"""Bytes of all files for which ssdeep is computed, the smallest first: it takes up to four seconds a megabyte."""
MOVES = 40
PREVIEWS = 300
PREVIEW, HEX = 4096, 512
"""Bytes of a text, and of a binary file, that the report shows."""
_GONE = " (deleted)"


class DroppedFiles(msgspec.Struct):
    """The section and what it leaves out."""

    entries: list[Dropped] = []
    omitted: dict[str, int] = {}
    remarks: list[str] = []


class DroppedModule(Processing):
    """Make the section ``dropped``."""

    name = "dropped"
    requires = (BehaviorModule,)

    @classmethod
    def applies(cls, facts: Facts) -> bool:
        return facts.store.files.exists() and facts.store.files.stat().st_size > 0

    def run(self, facts: Facts, earlier: Earlier) -> DroppedFiles:
        behavior = earlier.get(BehaviorModule)
        reading = Extraction(facts.store.dropped, facts.run.files.limit_size).run(facts.store.files)
        taken = _distinct(reading.taken)
        known = _contents(facts.store.dropped, [entry.sha256 for entry in taken[:ENTRIES]])
        fates = _Fates(behavior.section.summary if behavior is not None else {})
        people = _People(Trace(facts.store.events).processes)
        entries = [_entry(each, known[each.sha256], fates, people) for each in taken[:ENTRIES]]
        for entry in entries[:PREVIEWS]:
            with facts.store.dropped.joinpath(entry.sha256).open("rb") as file:
                entry.binary, entry.preview = preview(file.read(PREVIEW))
        more = {"dropped": len(taken) - len(entries)} if len(taken) > len(entries) else {}
        return DroppedFiles(entries, more, _remarks(reading, taken))


def _distinct(taken: Iterable[Taken]) -> list[Taken]:
    """Leave out what is the same file with the same content once more, with the writers of all."""
    found: dict[tuple[str, str], Taken] = {}
    for each in taken:
        first = found.setdefault((each.path.removesuffix(_GONE), each.sha256), each)
        if first is not each:
            first.links = min(first.links, each.links)
            known = {writer.pid for writer in first.writers}
            first.writers += [writer for writer in each.writers if writer.pid not in known]
            first.writers_total = max(first.writers_total, each.writers_total, len(first.writers))
    return list(found.values())


def _contents(folder: Path, names: Iterable[str]) -> dict[str, File]:
    """Give hashes and types of files, each read once."""
    import magic

    teller = magic.Magic()
    left = FUZZY_TOTAL
    facts: dict[str, File] = {}
    for path in sorted({folder / name for name in names}, key=lambda path: (path.stat().st_size, path.name)):
        size = path.stat().st_size
        fuzzy = size <= min(left, SSDEEP_LIMIT)
        left -= size if fuzzy else 0
        facts[path.name] = file_facts(path, name=path.name, kind=teller.from_file(str(path)), fuzzy=fuzzy)
    return facts


class _Fates:
    """What became of paths, from the summary of the calls."""

    def __init__(self, summary: Mapping[str, Iterable[Any]]) -> None:
        self._deleted = {str(path) for path in summary.get("file_deleted", ())}
        self._moved = {str(pair[0]): str(pair[1]) for pair in summary.get("file_moved", ()) if len(pair) == 2}

    def moved(self, path: str) -> str:
        """Follow renames to the last name; empty when there was none."""
        seen = {path}
        last = ""
        while (path := self._moved.get(path, "")) and path not in seen and len(seen) < MOVES:
            seen.add(path)
            last = path
        return last

    def deleted(self, path: str) -> bool:
        return path in self._deleted


class _People:
    """Processes by their pid and time."""

    def __init__(self, processes: Iterable[Process]) -> None:
        self._by_pid: dict[int, list[Process]] = {}
        for process in processes:
            self._by_pid.setdefault(process.pid, []).append(process)

    def at(self, pid: int, time_ns: int) -> Process | None:
        """Give the process that bore the pid at that time."""
        found = self._by_pid.get(pid, [])
        begun = [process for process in found if (process.started_ns or process.first_seen_ns) <= time_ns]
        return begun[-1] if begun else found[0] if found else None


def _entry(taken: Taken, facts: File, fates: _Fates, people: _People) -> Dropped:
    path = taken.path.removesuffix(_GONE)
    moved_to = fates.moved(path)
    writers = []
    for writer in taken.writers:
        process = people.at(writer.pid, writer.last_ns or taken.time_ns)
        writers.append(
            FileWriter(
                pid=writer.pid,
                key=process.key if process else None,
                process_name=process.name if process else "",
                first=None if writer.first_ns is None else writer.first_ns / 1e9,
                last=None if writer.last_ns is None else writer.last_ns / 1e9,
            )
        )
    known = {name: getattr(facts, name) for name in File.__struct_fields__}
    return Dropped(
        **{**known, "name": path.rsplit("/", 1)[-1], "path": f"dropped/{taken.sha256}"},
        filepath=path,
        pids=list(dict.fromkeys(writer.pid for writer in taken.writers)),
        writers=writers,
        writers_total=taken.writers_total,
        taken=taken.time_ns / 1e9,
        why=taken.why,
        version=taken.version,
        true_size=taken.size,
        cut=max(taken.size - taken.kept, 0),
        missing=taken.missing,
        deleted=taken.links == 0 or fates.deleted(moved_to or path),
        moved_to=moved_to,
        mode=f"{taken.mode:04o}",
        uid=taken.uid,
        binary=False,
        preview="",
    )


def preview(data: bytes) -> tuple[bool, str]:
    """Show the beginning of a file: whether it is binary, and its text or hexadecimal lines."""
    text = codecs.getincrementaldecoder("utf-8")("replace").decode(data)
    if not any(character == "\ufffd" or (character < " " and character not in "\t\n\r\f\x1b") for character in text):
        return False, text
    rows = (data[at : at + 16] for at in range(0, min(len(data), HEX), 16))
    lines = (
        f"{16 * number:04x}  {row[:8].hex(' '):23}  {row[8:].hex(' '):23}  "
        + "".join(chr(byte) if 32 <= byte < 127 else "." for byte in row)
        for number, row in enumerate(rows)
    )
    return True, "\n".join(lines)


def _remarks(reading: Reading, taken: list[Taken]) -> list[str]:
    """Say what is not whole."""
    counts = Counter(cut=sum(each.size > each.kept for each in taken), missing=sum(each.missing > 0 for each in taken))
    said = (
        (counts["cut"], "were larger than the limit and are cut"),
        (counts["missing"], "have gaps, which could not be read in time"),
        (reading.torn, "did not come out to their end"),
        (reading.left, "bytes of their records make no sense"),
    )
    return [f"files: {number} {words}" for number, words in said if number]
