"""Read from a trace what a judgement needs, in order: calls by name, texts with certain words, and all other kinds."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from malkoha.trace import columns
from malkoha.trace.store import SCAN, Row, Trace

_NAMES = [name for name in columns.COLUMNS if name != "raw"]


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
            kept = batch.filter(keep)
            yield from map(Row, *(columns.plain(kept[name]) for name in columns.PLACE), columns.to_events(kept))
