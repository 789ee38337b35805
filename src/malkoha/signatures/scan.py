"""Read from a trace what a judgement needs, in order: calls by name, texts with certain words, and all other kinds."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Any

import msgspec

from malkoha.model.event import Event
from malkoha.trace.columns import COLUMNS
from malkoha.trace.store import SCAN, Row, Trace

_decode = msgspec.json.Decoder(dict[str, Any]).decode
_NAMES = [name for name in COLUMNS if name != "raw"]
_FIELDS = [name for name in _NAMES if name not in ("process", "index", "args")]


def scan(trace: Trace, apis: Collection[str], texts: Collection[str], words: str) -> Iterator[Row]:
    """Give the rows of some calls, of ``texts`` those whose arguments fit ``words`` (RE2), and all other events."""
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    plain = pa.array(sorted(set(apis) - set(texts)), pa.string())
    reading, asked = pa.array(sorted(texts), pa.string()), pa.array(sorted(set(apis) & set(texts)), pa.string())
    with pq.ParquetFile(trace.path) as file:
        for batch in file.iter_batches(batch_size=SCAN, columns=_NAMES):
            api, kind = batch["api"].cast(pa.string()), batch["kind"].cast(pa.string())
            call = pc.equal(kind, "syscall")
            keep = pc.or_(pc.invert(call), pc.or_(pc.is_in(api, value_set=plain), pc.is_in(api, value_set=asked)))
            keep = pc.and_(keep, pc.not_equal(kind, "unknown"))
            if words:
                candidates = pc.and_(call, pc.is_in(api, value_set=reading))
                where = pc.indices_nonzero(candidates)
                hits = pc.match_substring_regex(batch["args"].take(where), words)
                found = where.filter(hits)
                keep = pc.or_(keep, pc.is_in(pa.array(range(len(batch)), pa.uint64()), value_set=found))
            yield from _rows(batch.filter(keep))


def _rows(batch: Any) -> Iterator[Row]:
    args = map(_decode, batch["args"].to_pylist())
    fields = zip(*[batch[name].to_pylist() for name in _FIELDS], strict=True)
    places = zip(batch["process"].to_pylist(), batch["index"].to_pylist(), strict=True)
    for values, arguments, (process, index) in zip(fields, args, places, strict=True):
        event = Event(args=arguments, **dict(zip(_FIELDS, values, strict=True)))
        yield Row(process, index, event)
