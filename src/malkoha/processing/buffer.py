"""The section ``buffer``: scripts that reached an interpreter over its standard input, from the calls that read them.

In: reads of descriptor 0 by interpreters, with as many bytes as the trace holds. Out: one text for each process, with
who was at the other end. A here-document that a shell keeps in a file is among the dropped files as well.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Any

from malkoha.model.files import Buffer
from malkoha.model.process import Process
from malkoha.processing.base import Earlier, Facts, Processing
from malkoha.trace.descriptors import APIS, Behind, Tables
from malkoha.trace.store import Trace

ENTRIES = 200
TEXT = 16 << 10
"""Characters of one entry."""
READS = 100_000
_READS = (
    "select process, seq, time_ns, ret, json_extract_string(args, '$.buf') from events where api = 'read' and ret > 0 "
    "and process in (KEYS) and json_extract_string(args, '$.fd') = '0' order by seq"
)
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
        found: dict[int, Buffer] = {}
        begun: dict[int, int] = {}
        for key, seq, time_ns, ret, text in _reads(trace, keys):
            if not _interprets(_image(processes[key], seq)) or (key not in found and len(found) >= ENTRIES):
                continue
            entry = found.get(key)
            if entry is None:
                entry = found[key] = _empty(processes[key], time_ns)
                begun[seq] = key
            _add(entry, text, ret)
        for key, behind in _sources(trace, begun):
            _tell(found[key], behind, processes)
        for entry in found.values():
            entry.text = _joined(entry.text)
        return list(found.values())


def _interprets(path: str) -> bool:
    return _INTERPRETER.fullmatch(path.rsplit("/", 1)[-1]) is not None


def _image(process: Process, seq: int) -> str:
    """Give the program that a process ran at some point of the trace."""
    return next((image.path for image in reversed(process.images) if image.seq <= seq), "")


def _reads(trace: Trace, keys: Iterable[int]) -> Iterator[tuple[int, int, int, int, str]]:
    rows = trace.sql(_READS.replace("KEYS", ",".join(map(str, keys))), limit=READS).rows
    for key, seq, time_ns, ret, text in rows:
        yield int(key), int(seq), int(time_ns), int(ret), str(text or "")


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


def _sources(trace: Trace, begun: dict[int, int]) -> Iterator[tuple[int, Behind]]:
    """Follow the descriptors up to each first read, and say what is behind it."""
    tables = Tables(trace.processes)
    waiting = sorted(begun, reverse=True)
    for row in trace.rows(apis=APIS, kinds=("syscall", "fork", "exec", "exit")):
        while waiting and waiting[-1] < row.event.seq:
            key = begun[waiting.pop()]
            yield key, _behind(tables, key)
        if not waiting:
            return
        tables.feed(row.process, row.event)
    for seq in waiting:
        yield begun[seq], _behind(tables, begun[seq])


def _behind(tables: Tables, key: int) -> Behind:
    """Say what feeds standard input; a here-document is written by the process itself, before it is the interpreter."""
    behind = tables.behind(key, 0)
    item = tables.descriptor(key, 0)
    own_pipe = behind.kind == "unknown" and item is not None and item.kind == "pipe"
    return Behind("processes", processes=(key,)) if own_pipe else behind


def _tell(entry: Buffer, behind: Behind, processes: dict[int, Any]) -> None:
    entry.source = behind.kind
    entry.path = behind.path
    if behind.endpoint is not None:
        port = "" if behind.endpoint.port is None else f":{behind.endpoint.port}"
        entry.path = f"{behind.endpoint.host}{port}"
    entry.source_pids = [processes[key].pid for key in behind.processes if key in processes][:20]
