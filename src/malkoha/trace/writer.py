"""Batches of events to events.parquet: zstd, row groups of about 120,000 rows, the processes in the footer.

In: batches in order of the trace. Out: the file, in one pass; memory stays bounded by one row group whatever the size
of the trace.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from malkoha.errors import TraceError
from malkoha.model.event import Event
from malkoha.trace import columns, pages
from malkoha.trace.pages import Places
from malkoha.trace.placing import Placer
from malkoha.trace.processes import Builder

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as pq

ROW_GROUP = 120_000
MAX_FOOTER = 1 << 30
GROUP_BYTES = 96 << 20
"""A row group ends earlier when its columns hold so much."""
STATS, PROCESSES, PLACES = b"malkoha.trace", b"malkoha.processes", b"malkoha.places"
"""Keys of the footer: ``WriteStats``, a list of ``Process``, a ``Places`` for each row group; the last two packed."""

PAGE = 32 << 10
"""Bytes of a page: small, so that few rows can be fetched from many row groups."""

_FEW = {"process", "pid", "tid", "ppid"}
_DICTIONARIES = [name for name, kind in columns.COLUMNS.items() if kind == "dictionary" or name in _FEW]
_FORM = {
    "compression": "zstd",
    "compression_level": 1,
    "use_dictionary": _DICTIONARIES,
    "data_page_size": PAGE,
    "write_page_index": True,
}


class WriteStats(msgspec.Struct, kw_only=True):
    """What was written: kept in the file's footer beside the processes."""

    events: int = 0
    calls: int = 0
    unknown: int = 0
    """Events that were not understood and are kept raw."""
    first_ns: int | None = None
    last_ns: int | None = None
    recorded: bool = False
    """The trace has fork, exec and exit events of its own; the process tree is not inferred from calls."""
    remarks: list[str] = []
    """What the reader of the trace said: torn or senseless records and the like."""
    merged: dict[int, list[int]] = {}
    """``Process.merged`` of those that have any, by their key."""


def write(events: Iterable[Event], path: Path, remarks: Callable[[], list[str]] = list) -> WriteStats:
    """Write single events; see ``write_batches``."""
    return write_batches(columns.batches(events), path, remarks)


def write_batches(batches: Iterable[pa.RecordBatch], path: Path, remarks: Callable[[], list[str]] = list) -> WriteStats:
    """Write all events to ``path``, which appears only when it is whole.

    ``remarks`` is asked at the end what the reader has to say of the trace. Raises TraceError when the file cannot be
    written.
    """
    import duckdb
    import pyarrow as pa
    import pyarrow.parquet as pq

    stats, builder = WriteStats(), Builder()
    placer = Placer(builder)
    partial = path.with_name(path.name + ".part")
    gathered = partial.with_name(pages.beside(path).name + ".part")
    try:
        with pq.ParquetWriter(partial, columns.schema(), **_FORM) as writer:
            held, places = list[pa.RecordBatch](), list[Places]()
            for batch in batches:
                held.append(_place(batch, placer))
                _count(held[-1], stats)
                if sum(map(len, held)) >= ROW_GROUP or sum(part.nbytes for part in held) >= GROUP_BYTES:
                    places.append(_write(writer, held))
                    held = []
            if held:
                places.append(_write(writer, held))
            stats.remarks, stats.recorded = remarks(), builder.recorded
            processes = builder.finish()
            stats.merged = {process.key: process.merged for process in processes if process.merged}
            writer.add_key_value_metadata(
                {STATS: columns.to_json(stats), PROCESSES: pack(processes), PLACES: pack(places)}
            )
        owners = {key: owner for owner, keys in stats.merged.items() for key in keys}
        if thin := pages.thin(places, owners):
            pages.write(partial, gathered, thin, owners)
        pages.beside(path).unlink(missing_ok=True)  # it belonged to other events
        partial.replace(path)
        if thin:
            gathered.replace(pages.beside(path))
    except (OSError, pa.ArrowException, duckdb.Error) as error:
        raise TraceError("cannot write the events", str(error).split("\n", 1)[0], "is the disk full?") from error
    finally:
        partial.unlink(missing_ok=True)
        gathered.unlink(missing_ok=True)
    return stats


def _write(writer: pq.ParquetWriter, held: list[pa.RecordBatch]) -> Places:
    """Write one row group."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    table = pa.Table.from_batches(held).unify_dictionaries()
    writer.write_table(table, row_group_size=len(table))
    calls = table.select(["process", "index"]).filter(pc.is_valid(table["index"]))
    keys, numbers = calls["process"].to_numpy(), calls["index"].to_numpy()
    order = np.lexsort((numbers, keys))
    begin = np.flatnonzero(np.diff(keys[order], prepend=-1))
    end = np.append(begin[1:], len(order)) - 1
    span = pc.min_max(table["seq"]).as_py()
    first, last = numbers[order[begin]], numbers[order[end[: len(begin)]]]
    return Places(span["min"], span["max"], keys[order[begin]].tolist(), first.tolist(), last.tolist())


def pack(value: object) -> bytes:
    """Pack what may be large into the footer: JSON, compressed, as text."""
    import pyarrow as pa

    content = columns.to_json(value)
    size = len(content).to_bytes(8, "little")
    return base64.b64encode(size + pa.Codec("zstd").compress(content, asbytes=True))


def unpack(packed: bytes) -> bytes:
    """Give back the JSON. Raises ValueError or ArrowException for what is none."""
    import pyarrow as pa

    data = base64.b64decode(packed, validate=True)
    size = int.from_bytes(data[:8], "little")
    if size > MAX_FOOTER:
        raise ValueError("the footer is too large")
    content: bytes = pa.Codec("zstd").decompress(data[8:], size, asbytes=True)
    return content


def _place(batch: pa.RecordBatch, placer: Placer) -> pa.RecordBatch:
    """Add the columns that tell the process."""
    import pyarrow as pa

    keys, numbers = placer.place(batch)
    found = dict(zip(columns.PLACE, (pa.array(keys, pa.int32()), pa.array(numbers, pa.int32())), strict=True))
    arrays = [found[name] if name in found else batch.column(name) for name in columns.COLUMNS]
    return pa.RecordBatch.from_arrays(arrays, schema=columns.schema())


def _count(batch: pa.RecordBatch, stats: WriteStats) -> None:
    import pyarrow.compute as pc

    known = pc.greater_equal(batch["process"], 0)
    times = batch["time_ns"].filter(known)
    stats.events += len(batch)
    stats.unknown += len(batch) - len(times)
    stats.calls += len(batch) - batch["index"].null_count
    if len(times):
        if stats.first_ns is None:
            stats.first_ns = times[0].as_py()
        last = pc.max(times).as_py()
        stats.last_ns = last if stats.last_ns is None else max(stats.last_ns, last)
