"""The section ``buffer``: scripts that reached an interpreter over a pipe, from the calls that read them.

In: reads by interpreters of descriptor 0, and of pipes that they opened by a name as /dev/fd/63 (``bash <(...)``,
``source <(...)``), with as many bytes as the trace holds. Out: one text for each process and way, with who was at the
other end. A here-document that a shell keeps in a file is among the dropped files as well.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Any

from malkoha.model.files import Buffer
from malkoha.model.process import Process
from malkoha.processing.base import Earlier, Facts, Processing
from malkoha.trace.descriptors import APIS, OPENS, Behind, Descriptor, Tables
from malkoha.trace.store import Row, Trace

ENTRIES = 200
TEXT = 16 << 10
"""Characters of one entry."""
READS = 100_000
_READS = (
    "select process, seq, time_ns, ret, json_extract_string(args, '$.buf'), json_extract_string(args, '$.fd') as fd "
    "from events where api = 'read' and ret > 0 and process in (KEYS) and (fd = '0' or process in (NAMING)) "
    "order by seq"
)
_NAMING = (
    "select distinct process from events where ret >= 0 and process in (KEYS) and api in ('open', 'openat', 'openat2') "
    "and regexp_matches(args, '\"/(dev|proc/self)/fd/[0-9]+\"')"
)
_BY_NAME = re.compile(r"/(?:dev|proc/self)/fd/[0-9]+")
_CUT = "..."
_INTERPRETER = re.compile(
    r"(?:(?:ba|da|z|k|mk|c|tc|a|fi)?sh|busybox|(?:python|pypy|perl|ruby|php|lua|luajit|node|nodejs|tclsh|expect)[0-9.-]*)"
)


class BufferModule(Processing):
    """Make the section ``buffer``."""

    name = "buffer"

    def run(self, facts: Facts, earlier: Earlier) -> list[Buffer]:
        del earlier
        trace = Trace(facts.store.events)
        processes = {process.key: process for process in trace.processes}
        keys = [key for key, process in processes.items() if any(_interprets(image.path) for image in process.images)]
        if not keys:
            return []
        found: dict[tuple[int, bool], Buffer] = {}
        walk = _Walk(trace)
        for key, seq, time_ns, ret, text, fd in _reads(trace, keys):
            way = (key, fd == "0")
            if not _interprets(_image(processes[key], seq)) or (way not in found and len(found) >= ENTRIES):
                continue
            if fd != "0" and not walk.opened_by_name(seq, key, fd):
                continue
            entry = found.get(way)
            if entry is None:
                entry = found[way] = _empty(processes[key], time_ns)
                _tell(entry, walk.behind(seq, key, fd), processes)
            _add(entry, text, ret)
        for entry in found.values():
            entry.text = _joined(entry.text)
        return list(found.values())


class _Walk:
    """Follows the descriptors of all processes; asked about places that are in order of the trace."""

    def __init__(self, trace: Trace) -> None:
        self._tables = Tables(trace.processes)
        self._rows = trace.rows(apis=APIS, kinds=("syscall", "fork", "exec", "exit"))
        self._next: Row | None = next(self._rows, None)
        self._named: dict[int, list[Descriptor]] = {}

    def opened_by_name(self, seq: int, key: int, fd: str) -> bool:
        """Tell whether a descriptor is a pipe that the process opened by the name of another descriptor."""
        self._go_to(seq)
        item = self._tables.descriptor(key, fd)
        return any(item is named for named in self._named.get(key, ()))

    def behind(self, seq: int, key: int, fd: str) -> Behind:
        """Say what feeds it; a here-document is written by the process itself, before it is the interpreter."""
        self._go_to(seq)
        behind = self._tables.behind(key, fd)
        item = self._tables.descriptor(key, fd)
        own_pipe = behind.kind == "unknown" and item is not None and item.kind == "pipe"
        return Behind("processes", processes=(key,)) if own_pipe else behind

    def _go_to(self, seq: int) -> None:
        while self._next is not None and self._next.event.seq <= seq:
            row = self._next
            self._tables.feed(row.process, row.event)
            if row.event.api in OPENS and any(_BY_NAME.fullmatch(str(value)) for value in row.event.args.values()):
                item = self._tables.descriptor(row.process, row.event.ret)
                if item is not None and item.kind == "pipe":
                    self._named.setdefault(row.process, []).append(item)
            self._next = next(self._rows, None)


def _interprets(path: str) -> bool:
    return _INTERPRETER.fullmatch(path.rsplit("/", 1)[-1]) is not None


def _image(process: Process, seq: int) -> str:
    """Give the program that a process ran at some point of the trace."""
    return next((image.path for image in reversed(process.images) if image.seq <= seq), "")


def _reads(trace: Trace, keys: Iterable[int]) -> Iterator[tuple[int, int, int, int, str, str]]:
    listed = ",".join(map(str, keys))
    naming = trace.sql(_NAMING.replace("KEYS", listed), limit=READS).rows
    query = _READS.replace("KEYS", listed).replace("NAMING", ",".join(str(int(key)) for (key,) in naming) or "-1")
    for key, seq, time_ns, ret, text, fd in trace.sql(query, limit=READS).rows:
        yield int(key), int(seq), int(time_ns), int(ret), str(text or ""), str(fd)


def _empty(process: Process, time_ns: int) -> Buffer:
    return Buffer(
        pid=process.pid,
        key=process.key,
        process_name=process.name,
        first=time_ns / 1e9,
        size=0,
        text="",
        cut=0,
        source="unknown",
        path="",
        source_pids=[],
    )


def _add(entry: Buffer, text: str, size: int) -> None:
    """Append one piece; what the trace or the bound does not hold counts as cut."""
    whole = size in (len(text), len(text.encode("utf-8", "surrogatepass")))
    shown = text if whole else text.removesuffix(_CUT)
    kept = shown[: TEXT - len(entry.text)]
    entry.size += size
    entry.text += kept
    if not whole or kept != shown:
        entry.cut += max(size - len(kept.encode("utf-8", "surrogatepass")), 0)


def _joined(text: str) -> str:
    """Make characters of bytes that were read one by one."""
    try:
        return text.encode("latin-1").decode("utf-8")
    except UnicodeError:
        return text


def _tell(entry: Buffer, behind: Behind, processes: dict[int, Any]) -> None:
    entry.source = behind.kind
    entry.path = behind.path
    if behind.endpoint is not None:
        port = "" if behind.endpoint.port is None else f":{behind.endpoint.port}"
        entry.path = f"{behind.endpoint.host}{port}"
    entry.source_pids = [processes[key].pid for key in behind.processes if key in processes][:20]
