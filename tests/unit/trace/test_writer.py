"""events.parquet appears whole or not at all, in row groups of bounded size."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from malkoha.errors import TraceError
from malkoha.model.event import Event
from malkoha.trace import columns, store, writer
from malkoha.trace.store import Trace


def call(seq: int, pid: int = 1, **rest: object) -> Event:
    fields: dict[str, Any] = {"seq": seq, "kind": "syscall", "time_ns": seq, "pid": pid, "tid": pid, "api": "read"}
    return Event(**fields | rest)


def test_nothing_is_left_of_a_trace_that_could_not_be_written(tmp_path: Path) -> None:
    def events() -> Iterator[Event]:
        yield call(1)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        store.write(events(), tmp_path / "e.parquet")
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(TraceError, match="cannot write"):
        store.write([], tmp_path / "missing" / "e.parquet")


def test_several_row_groups(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(columns, "BATCH", 10)
    monkeypatch.setattr(writer, "ROW_GROUP", 30)
    path = tmp_path / "e.parquet"
    store.write((call(number, pid=number % 3 + 1, comm=f"c{number}") for number in range(100)), path)
    rows = list(Trace(path).rows())
    assert [row.event.seq for row in rows] == list(range(100))
    assert rows[99].event.comm == "c99"
    assert [row.index for row in Trace(path).calls(1, 30, 10)] == [30, 31, 32]


def test_an_empty_trace(tmp_path: Path) -> None:
    path = tmp_path / "e.parquet"
    store.write([], path, lambda: ["nothing came"])
    trace = Trace(path)
    assert (trace.count(), trace.processes, list(trace.rows()), trace.apistats()) == (0, [], [], {})
    assert trace.stats.remarks == ["nothing came"]


def test_wide_rows_end_a_row_group_earlier(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(columns, "BATCH", 10)
    monkeypatch.setattr(writer, "GROUP_BYTES", 20_000)
    path = tmp_path / "e.parquet"
    store.write((call(number, args={"p0": "x" * 1500}) for number in range(40)), path)
    assert [pq.read_metadata(path).row_group(group).num_rows for group in range(2)] == [20, 20]


def test_what_was_written_is_counted(tmp_path: Path) -> None:
    events = [call(1), call(7, pid=2), Event(seq=3, kind="unknown", time_ns=0, pid=0, tid=0, raw="x"), call(5)]
    stats = store.write(events, tmp_path / "e.parquet")
    assert (stats.events, stats.calls, stats.unknown, stats.first_ns, stats.last_ns) == (4, 3, 1, 1, 7)
