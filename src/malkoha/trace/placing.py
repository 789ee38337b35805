"""Events as columns to the process of each: the quick way to what ``Builder.feed`` tells of single events."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from malkoha.model.event import Event
from malkoha.trace import columns
from malkoha.trace.processes import WATCHED, Builder

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import pyarrow as pa


class Placer:
    """Feeds batches to a builder of processes."""

    def __init__(self, builder: Builder) -> None:
        self._builder = builder

    def place(self, batch: pa.RecordBatch) -> tuple[list[int], list[int | None]]:
        """Take the next events as columns; give each one's process, -1 for none, and the number of each call there.

        The same as ``feed`` for each; but what changes nothing, as nearly all calls do, is only counted.
        """
        import numpy as np

        builder = self._builder
        keys: list[int] = []
        numbers: list[int | None] = []
        changing = self._changing(batch)
        for begin, end, pid, tid, comm in _runs(batch, list(changing)):
            row = begin
            while row < end:
                node = builder.live.get(pid)
                if (
                    row in changing
                    or node is None
                    or (comm != node.comm and (tid == pid or not builder.recorded))
                    or tid not in node.threads
                    or not node.process.first_seen_ns
                ):
                    event = changing.get(row) or next(columns.to_events(batch.slice(row, 1)))
                    process = builder.feed(event) if event.kind != "unknown" else None
                    keys.append(-1 if process is None else process.key)
                    numbers.append(process.calls - 1 if process is not None and event.kind == "syscall" else None)
                    row += 1
                else:
                    process = node.process
                    keys.extend([process.key] * (end - row))
                    numbers.extend(range(process.calls, process.calls + end - row))
                    process.calls += end - row
                    row = end
        if keys:
            self._seen(np.array(keys), batch.column("time_ns").to_numpy())
        return keys, numbers

    def _changing(self, batch: pa.RecordBatch) -> dict[int, Event]:
        """Pick the events that can change the tree: by their row."""
        import pyarrow as pa
        import pyarrow.compute as pc

        other = pc.not_equal(batch.column("kind").cast(pa.string()), "syscall")
        watched = pc.is_in(batch.column("api").cast(pa.string()), value_set=pa.array(sorted(WATCHED)))
        rows = pc.indices_nonzero(pc.or_(other, watched))
        return dict(zip(rows.to_pylist(), columns.to_events(batch.take(rows)), strict=True))

    def _seen(self, keys: npt.NDArray[np.int64], times_ns: npt.NDArray[np.int64]) -> None:
        """Note when the processes of these events were last seen."""
        import numpy as np

        known = keys >= 0
        latest = np.zeros(len(self._builder.nodes), np.int64)
        np.maximum.at(latest, keys[known], times_ns[known])
        for key in np.unique(keys[known]).tolist():
            process = self._builder.nodes[key].process
            process.last_seen_ns = max(process.last_seen_ns, int(latest[key]))


def _runs(batch: pa.RecordBatch, alone: list[int]) -> Iterator[tuple[int, int, int, int, str]]:
    """Cut a batch where the thread or its name changes, and around some rows: (begin, end, pid, tid, comm)."""
    import numpy as np

    pids, tids, comms = (batch.column(name) for name in ("pid", "tid", "comm"))
    codes = (pids.to_numpy(), tids.to_numpy(), comms.indices.to_numpy())
    cut = np.zeros(len(batch) + 1, bool)
    cut[0] = cut[-1] = True
    for values in codes:
        cut[1:-1] |= values[1:] != values[:-1]
    rows = np.array(alone, np.int64)
    cut[rows] = cut[rows + 1] = True
    bounds = np.flatnonzero(cut)
    words = comms.dictionary.to_pylist()
    firsts = [values[bounds[:-1]].tolist() for values in codes]
    for begin, end, pid, tid, code in zip(bounds[:-1].tolist(), bounds[1:].tolist(), *firsts, strict=True):
        yield begin, end, pid, tid, words[code]
