"""Entries and returns find each other, also when they stand in different pieces of the file."""

from __future__ import annotations

import io

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from malkoha.trace import records
from malkoha.trace.pairing import Pairs
from tests.records import Recording

steps = st.lists(
    st.tuples(st.sampled_from(["enter", "exit", "fork", "exec", "end", "text"]), st.integers(1, 4)), max_size=60
)


def recorded(sequence: list[tuple[str, int]]) -> Recording:
    recording = Recording()
    for step, tid in sequence:
        match step:
            case "enter":
                recording.enter("read", tid=tid)
            case "exit":
                recording.exit("read", 0, tid=tid)
            case "fork":
                recording.fork(tid, tid=tid % 4 + 1, pid=9)
            case "exec":
                recording.exec(b"/x", old_tid=tid, pid=tid % 3 + 1)
            case "end":
                recording.task_exit(tid=tid)
            case _:
                recording.text(b"x")
    return recording


def one_by_one(data: bytes) -> list[int]:
    """What pairing means, record by record."""
    waiting: dict[int, int] = {}
    found = []
    for offset, _, kind in records.scan(data):
        tid = records.HEAD.unpack_from(data, offset)[5]
        if kind == records.ENTER:
            waiting[tid] = offset
        elif kind == records.EXIT:
            found.append(waiting.pop(tid, -1))
        elif kind == records.TASK_EXIT:
            waiting.pop(tid, None)
        elif kind == records.FORK:
            waiting.pop(records.FORK_BODY.unpack_from(data, offset + records.HEAD.size)[0], None)
        elif kind == records.EXEC:
            old = records.EXEC_BODY.unpack_from(data, offset + records.HEAD.size)[0]
            if old != tid and old in waiting:
                waiting[tid] = waiting.pop(old)
    return found


@pytest.mark.parametrize("piece", [8 << 20, 400])
@given(steps)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_each_return_finds_its_entry(piece: int, sequence: list[tuple[str, int]]) -> None:
    data = recorded(sequence).data
    pairs, found = Pairs(), list[int]()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(records, "CHUNK", piece)
        for chunk in records.chunks(io.BytesIO(data)):
            found += pairs.feed(chunk).tolist()
    assert found == one_by_one(data)


def test_a_piece_without_calls_changes_nothing() -> None:
    pairs = Pairs()
    for recording in (Recording().enter("read", tid=3), Recording().text(b"x"), Recording(clock=False).pad(16)):
        for chunk in records.chunks(io.BytesIO(recording.data)):
            assert pairs.feed(chunk).tolist() == []
    assert list(pairs.waiting) == [3]
