"""Events to events.parquet: columns, zstd, row groups of about 120,000 rows, the processes in the footer.

In: events in order. Out: the file, in one pass; memory stays bounded by one row group whatever the size of the trace.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from malkoha.errors import TraceError
from malkoha.model.event import Event
from malkoha.model.process import Process
from malkoha.trace.processes import Builder

if TYPE_CHECKING:
    import pyarrow as pa

ROW_GROUP = 120_000
BATCH = 10_000
"""Events that are turned into columns at once."""
NOTE = b"malkoha.trace"
"""Key of the footer under which a ``Note`` stands, as JSON."""

COLUMNS: dict[str, str] = {
    "seq": "int64",
    "kind": "dictionary",
    "time_ns": "int64",
    "duration_ns": "int64",
    "pid": "int64",
    "tid": "int64",
    "ppid": "int64",
    "process": "int32",
    "index": "int32",
    "comm": "dictionary",
    "ip": "uint64",
    "abi": "dictionary",
    "api": "dictionary",
    "args": "string",
    "ret": "int64",
    "ret_text": "string",
    "errno": "dictionary",
    "raw": "string",
}
"""Columns of events.parquet in order, described in docs/trace.md."""


_DICTIONARIES = [name for name, kind in COLUMNS.items() if kind == "dictionary"]


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


class Note(msgspec.Struct):
    """What the footer of events.parquet holds."""

    stats: WriteStats
    processes: list[Process]


_encode = msgspec.json.Encoder().encode


def _json(value: Any) -> bytes:
    try:
        return _encode(value)
    except (TypeError, ValueError, OverflowError):
        return _encode(_clean(msgspec.to_builtins(value)))


def _clean(value: Any) -> Any:
    """Show what JSON cannot hold (lone surrogates, huge numbers) as escaped text."""
    if isinstance(value, dict):
        return {_text(str(key)): _clean(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_clean(item) for item in value]
    if isinstance(value, int) and not -(1 << 63) <= value < 1 << 63:
        return str(value)
    return _text(value) if isinstance(value, str) else value


def _text(value: str) -> str:
    return value.encode("utf-8", "backslashreplace").decode("utf-8")


def _schema() -> pa.Schema:
    import pyarrow as pa

    types = {
        "int64": pa.int64(),
        "int32": pa.int32(),
        "uint64": pa.uint64(),
        "string": pa.string(),
        "dictionary": pa.dictionary(pa.int32(), pa.string()),
    }
    return pa.schema([(name, types[kind]) for name, kind in COLUMNS.items()])


class _Columns:
    """Collects record batches up to a row group."""

    def __init__(self, schema: pa.Schema) -> None:
        self.schema = schema
        self.types = dict(zip(schema.names, schema.types, strict=True))

    def batch(self, events: list[Event], places: list[tuple[int, int | None]]) -> pa.RecordBatch:
        import pyarrow as pa

        transposed = zip(*map(msgspec.structs.astuple, events), strict=True)
        values: dict[str, Sequence[Any]] = dict(zip(Event.__struct_fields__, transposed, strict=True))
        values["process"], values["index"] = zip(*places, strict=True)
        arrays = []
        for name, kind in self.types.items():
            if name == "args":
                encoded = pa.array(list(map(_json, values["args"])), pa.binary())
                arrays.append(encoded.cast(pa.string()))
            elif pa.types.is_dictionary(kind):
                arrays.append(self._strings(values[name]).dictionary_encode())
            elif pa.types.is_string(kind):
                arrays.append(self._strings(values[name]))
            else:
                arrays.append(pa.array(values[name], kind))
        return pa.RecordBatch.from_arrays(arrays, schema=self.schema)

    @staticmethod
    def _strings(values: Sequence[str | None]) -> pa.Array:
        import pyarrow as pa

        try:
            return pa.array(values, pa.string())
        except (UnicodeEncodeError, pa.ArrowInvalid):
            return pa.array([None if value is None else _text(value) for value in values], pa.string())


def write(events: Iterable[Event], path: Path, remarks: Callable[[], list[str]] = list) -> WriteStats:
    """Write all events to ``path``, which appears only when it is whole.

    ``remarks`` is asked at the end what the reader has to say of the trace. Raises TraceError when the file cannot be
    written.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    stats, builder, columns = WriteStats(), Builder(), _Columns(_schema())
    partial = path.with_name(path.name + ".part")
    try:
        with pq.ParquetWriter(
            partial, columns.schema, compression="zstd", compression_level=1, use_dictionary=_DICTIONARIES
        ) as writer:
            held: list[pa.RecordBatch] = []
            for batch in _batches(events, builder, stats, columns):
                held.append(batch)
                if len(held) * BATCH >= ROW_GROUP:
                    writer.write_table(pa.Table.from_batches(held).unify_dictionaries(), row_group_size=ROW_GROUP)
                    held = []
            if held:
                writer.write_table(pa.Table.from_batches(held).unify_dictionaries(), row_group_size=ROW_GROUP)
            stats.remarks, stats.recorded = remarks(), builder.recorded
            note = _json(Note(stats, builder.finish()))
            writer.add_key_value_metadata({NOTE.decode(): note.decode()})
        partial.replace(path)
    except (OSError, pa.ArrowException) as error:
        partial.unlink(missing_ok=True)
        raise TraceError("cannot write the events", str(error), "is the disk full?") from error
    except BaseException:
        partial.unlink(missing_ok=True)
        raise
    return stats


def _batches(
    events: Iterable[Event], builder: Builder, stats: WriteStats, columns: _Columns
) -> Iterator[pa.RecordBatch]:
    iterator = iter(events)
    while batch := list(islice(iterator, BATCH)):
        places: list[tuple[int, int | None]] = []
        for event in batch:
            if event.kind == "unknown":
                stats.unknown += 1
                places.append((-1, None))
                continue
            process = builder.feed(event)
            if event.kind == "syscall":
                stats.calls += 1
                places.append((process.key, process.calls - 1))
            else:
                places.append((process.key, None))
            if stats.first_ns is None:
                stats.first_ns = event.time_ns
            if stats.last_ns is None or event.time_ns > stats.last_ns:
                stats.last_ns = event.time_ns
        stats.events += len(batch)
        yield columns.batch(batch, places)
