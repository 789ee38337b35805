"""The readers of traces, each as a function of bytes that raises when something does not hold."""

from __future__ import annotations

import io
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from malkoha.model.event import Event
from malkoha.model.process import Process
from malkoha.trace import columns, records, stap
from malkoha.trace.decode import Decoder
from malkoha.trace.placing import Placer
from malkoha.trace.processes import Builder, build
from malkoha.trace.stap_lines import write_line
from malkoha.trace.store import Trace, write_batches

if TYPE_CHECKING:
    import pyarrow as pa


@contextmanager
def _file(data: bytes) -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "trace"
        path.write_bytes(data)
        yield path


def binary(data: bytes) -> None:
    """Records of the engine."""
    found = list(records.scan(data))
    pieces = sum(len(chunk.starts) for chunk in records.chunks(io.BytesIO(data)))
    assert pieces == sum(kind != records.PAD for _, _, kind in found)
    with _file(data) as path:
        decoder = Decoder(path)
        events = _check(list(decoder.batches()))
    assert decoder.reading.unread_bytes == len(data) - sum(size for _, size, _ in found)
    assert decoder.reading.records == pieces
    silent = (records.PAD, records.CLOCK, records.EXIT)
    assert len(events) == sum(kind not in silent for _, _, kind in found)
    assert decoder.reading.bad_lines == sum(event.kind == "unknown" for event in events)


def text(data: bytes) -> None:
    """Lines of a SystemTap log."""
    counts = stap.Counts()
    with _file(data) as path:
        events = _check(list(stap.batches(path, counts)))
    lines = [line for line in data.split(b"\n") if line.strip()]
    assert counts.lines == len(events) == len(lines)
    assert counts.unknown == sum(event.kind == "unknown" for event in events)
    again = stap.Lines()
    for event, line in zip(events, lines, strict=True):
        assert event.raw is not None
        if event.kind == "unknown":
            assert event.raw.rstrip("\n") == stap.text_of(line[: stap.MAX_RAW]).rstrip("\n")
        again.add(write_line(event).encode("ascii") if event.kind == "syscall" else b"?", event.seq)
    for event, other in zip(events, columns.to_events(again.batch()), strict=True):
        assert event.kind == other.kind
        if event.kind == "syscall":
            assert (other.tid, other.time_ns // 1000, other.ip) == (event.tid, event.time_ns // 1000, event.ip)


def _check(batches: Sequence[pa.RecordBatch]) -> list[Event]:
    """What holds for every trace."""
    builder, placed = Builder(), 0
    for batch in batches:
        keys, numbers = Placer(builder).place(batch)
        assert len(keys) == len(numbers) == len(batch)
        placed += sum(number is not None for number in numbers)
    processes = builder.finish()
    by_key: dict[int, Process] = {process.key: process for process in processes}
    assert sum(process.calls for process in processes) <= placed
    for process in processes:
        assert process.parent is None or process.parent in by_key
        assert 0 <= process.setup_calls <= process.calls
    events = [event for batch in batches for event in columns.to_events(batch)]
    assert processes == build(events)
    return events


def stored(target: str, data: bytes) -> None:
    """Write the events to a file and read them again; too slow for fuzzing."""
    with _file(data) as path:
        batches = list(Decoder(path).batches() if target == "records" else stap.batches(path))
        stats = write_batches(batches, path.with_name("events.parquet"))
        trace = Trace(path.with_name("events.parquet"))
        kinds = ("syscall", "fork", "exec", "exit", "signal", "adopt", "unknown")
        events = [event for batch in batches for event in columns.to_events(batch)]
        assert [row.event for row in trace.rows(kinds=kinds, text=True)] == events
        assert stats.events == trace.count() == len(events)
        for process in trace.processes[:3]:
            assert len(trace.calls(process.key, 0, 3)) == min(process.calls, 3)


TARGETS: dict[str, Callable[[bytes], None]] = {"records": binary, "log": text}
"""By the name of the folder of their seeds under tests/data/fuzz."""
