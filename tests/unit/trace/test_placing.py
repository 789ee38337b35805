"""Columns find the same processes as single events."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from malkoha.model.event import Event
from malkoha.trace import columns, processes
from malkoha.trace.placing import Placer
from tests.unit.trace.test_processes import log_of, steps


@given(st.lists(steps, max_size=60), st.integers(1, 30))
def test_columns_give_the_same_tree_as_single_events(sequence: list[tuple[str, int, int | None]], size: int) -> None:
    events = log_of(sequence).events
    for number, event in enumerate(events):
        event.comm = event.comm and f"c{number // 3 % 4}"
        event.tid += number % 5 == 4
    single, many = processes.Builder(), processes.Builder()
    placed = []
    for event in events:
        process = single.feed(event)
        placed.append((process.key, process.calls - 1 if event.kind == "syscall" else None))
    found: list[tuple[int, int | None]] = []
    for begin in range(0, len(events), size):
        found += zip(*Placer(many).place(columns.from_events(events[begin : begin + size])), strict=True)
    assert found == placed
    assert many.finish() == single.finish()


def test_what_was_not_understood_belongs_to_nobody() -> None:
    builder = processes.Builder()
    batch = columns.from_events([Event(seq=1, kind="unknown", time_ns=5, pid=7, tid=7, raw="?")])
    assert Placer(builder).place(batch) == ([-1], [None])
    assert Placer(builder).place(batch.slice(0, 0)) == ([], [])
    assert builder.finish() == []
