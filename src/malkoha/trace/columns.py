"""Events as columns: the schema of events.parquet, and the way from events to columns and back.

A batch holds the columns of a few ten thousand events in order of the trace. The decoders make batches without
``process`` and ``index``, which processes.py finds; docs/trace.md describes every column.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from itertools import islice
from typing import TYPE_CHECKING, Any

import msgspec

from malkoha.model.event import Event, Kind

if TYPE_CHECKING:
    import pyarrow as pa

BATCH = 10_000
"""Events that are turned into columns at once."""

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
"""Columns of events.parquet in order."""
PLACE = ("process", "index")
"""Columns that tell where in the process tree an event belongs."""

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(dict[str, Any]).decode


def to_json(value: Any) -> bytes:
    """Encode arguments; what JSON cannot hold (lone surrogates, huge numbers) becomes escaped text."""
    try:
        return _encode(value)
    except (TypeError, ValueError, OverflowError):
        return _encode(_clean(msgspec.to_builtins(value)))


def _clean(value: Any) -> Any:
    if isinstance(value, dict):
        return {_text(str(key)): _clean(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_clean(item) for item in value]
    if isinstance(value, int) and not -(1 << 63) <= value < 1 << 63:
        return str(value)
    return _text(value) if isinstance(value, str) else value


def _text(value: str) -> str:
    return value.encode("utf-8", "backslashreplace").decode("utf-8")


@cache
def schema(*, placed: bool = True) -> pa.Schema:
    """Return the schema of the file, or that of the decoders' batches, which are not ``placed`` yet."""
    import pyarrow as pa

    types = {
        "int64": pa.int64(),
        "int32": pa.int32(),
        "uint64": pa.uint64(),
        "string": pa.string(),
        "dictionary": pa.dictionary(pa.int32(), pa.string()),
    }
    return pa.schema([(name, types[kind]) for name, kind in COLUMNS.items() if placed or name not in PLACE])


def assemble(values: dict[str, Any]) -> pa.RecordBatch:
    """Make a batch of columns by name: arrays of Arrow or numpy, sequences, or (codes, words) for a dictionary."""
    import pyarrow as pa

    arrays = []
    for field in schema(placed=False):
        value = values[field.name]
        if isinstance(value, pa.Array):
            arrays.append(value)
        elif pa.types.is_dictionary(field.type):
            codes, words = value
            arrays.append(pa.DictionaryArray.from_arrays(pa.array(codes, pa.int32()), strings(words)))
        elif field.name == "args":
            arrays.append(pa.array(value, pa.binary()).view(pa.string()))  # JSON is UTF-8
        elif pa.types.is_string(field.type):
            arrays.append(strings(value))
        else:
            arrays.append(pa.array(value, field.type))
    return pa.RecordBatch.from_arrays(arrays, schema=schema(placed=False))


def strings(values: Sequence[str | None]) -> pa.Array:
    """Make an array of texts; lone surrogates become escaped text."""
    import pyarrow as pa

    try:
        return pa.array(values, pa.string())
    except (UnicodeEncodeError, pa.ArrowInvalid):
        return pa.array([None if value is None else _text(value) for value in values], pa.string())


def from_events(events: Sequence[Event]) -> pa.RecordBatch:
    """Turn events into columns."""
    import pyarrow as pa

    transposed = zip(*map(msgspec.structs.astuple, events), strict=True) if events else [()] * len(COLUMNS)
    values: dict[str, Any] = dict(zip(Event.__struct_fields__, transposed, strict=False))
    values["args"] = list(map(to_json, values["args"]))
    for field in schema(placed=False):
        if pa.types.is_dictionary(field.type):
            values[field.name] = strings(values[field.name]).dictionary_encode()
    return assemble(values)


def batches(events: Iterable[Event]) -> Iterator[pa.RecordBatch]:
    """Turn a stream of events into batches."""
    iterator = iter(events)
    while some := list(islice(iterator, BATCH)):
        yield from_events(some)


def join(parts: Sequence[pa.RecordBatch]) -> pa.RecordBatch:
    """Join batches that have dictionaries of their own."""
    import pyarrow as pa

    if len(parts) == 1:
        return parts[0]
    return pa.Table.from_batches(parts).unify_dictionaries().combine_chunks().to_batches()[0]


def to_events(batch: pa.RecordBatch) -> Iterator[Event]:
    """Turn columns back into events; a batch without ``raw`` gives events without it."""
    listed = {name: plain(batch.column(name)) for name in batch.schema.names if name not in PLACE}
    listed["args"] = list(map(_decode, listed["args"]))
    yield from map(_event, *(listed[name] for name in COLUMNS if name in listed))


def _event(
    seq: int, kind: Kind, time_ns: int, duration_ns: int | None, pid: int, tid: int, ppid: int, comm: str, ip: int,
    abi: Any, api: str, args: dict[str, Any], ret: int | None, ret_text: str, errno: str, raw: str | None = None,
) -> Event:  # fmt: skip
    # written out: a call with names takes a third of what one with a dictionary of them does
    return Event(
        seq=seq, kind=kind, time_ns=time_ns, duration_ns=duration_ns, pid=pid, tid=tid, ppid=ppid, comm=comm, ip=ip,
        abi=abi, api=api, args=args, ret=ret, ret_text=ret_text, errno=errno, raw=raw,
    )  # fmt: skip


def plain(column: pa.Array) -> list[Any]:
    """List the values of a column as Python's own."""
    import pyarrow as pa

    if pa.types.is_dictionary(column.type):
        words = column.dictionary.to_pylist()
        return [words[code] for code in column.indices.to_numpy().tolist()]
    if pa.types.is_string(column.type):
        texts: list[Any] = column.to_numpy(zero_copy_only=False).tolist()  # nulls are None
        return texts
    numbers: list[Any] = (column.fill_null(0) if column.null_count else column).to_numpy().tolist()
    if column.null_count:
        for place in column.is_null().to_numpy(zero_copy_only=False).nonzero()[0].tolist():
            numbers[place] = None
    return numbers
