"""The events of a file that grows are those that decode.py finds when it has ended."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from malkoha.model.event import Event
from malkoha.trace.decode import Decoder
from malkoha.trace.tail import Tail
from tests.records import Recording, blob

RECORDED = Path(__file__).parents[2] / "data" / "records" / "start.bin"


def grow(path: Path, data: bytes, sizes: list[int]) -> list[Event]:
    """Let the file grow by these sizes, over and over, and follow it."""
    tail, found, at, turn = Tail(path), [], 0, 0
    while at < len(data):
        size = sizes[turn % len(sizes)]
        with path.open("ab") as file:
            file.write(data[at : at + size])
        at, turn = at + size, turn + 1
        while new := tail.more():
            found += new
    return found


@given(st.lists(st.integers(1, 40_000), min_size=1, max_size=4))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=25)
def test_however_a_real_trace_grows(tmp_path: Path, sizes: list[int]) -> None:
    path = tmp_path / "records.bin"
    path.unlink(missing_ok=True)
    found = grow(path, RECORDED.read_bytes(), [max(size, 4000) for size in sizes])
    assert sorted(found, key=lambda event: event.seq) == list(Decoder(path).events())
    assert len(found) > 10


def test_a_call_is_told_when_it_has_returned(tmp_path: Path) -> None:
    path = tmp_path / "records.bin"
    tail = Tail(path)
    assert tail.more() == []
    recording = Recording().fork(101).enter("read", (0,), tid=101, pid=101).call("getpid", ret=100)
    recording.write(path)
    assert [event.api or event.kind for event in tail.more()] == ["fork", "getpid"]
    assert tail.more() == []
    recording.exec(b"/bin/sh", b"sh").enter("openat", (0, 1), blob(1, b"/a")).exit("read", 7, tid=101, pid=101)
    recording.write(path)
    told = tail.more()
    assert sorted((event.api or event.kind, event.pid, event.ret) for event in told) == [
        ("exec", 100, None),
        ("read", 101, 7),
    ]


def test_it_goes_on_where_another_was(tmp_path: Path) -> None:
    path = tmp_path / "records.bin"
    recording = Recording().enter("read", (0,)).enter("write", (1,), tid=101).exit("write", 1, tid=101)
    recording.write(path)
    first = Tail(path)
    assert [event.api for event in first.more()] == ["write"]
    recording.exit("read", 5).write(path)
    for tail in (first, Tail(path, first.offset)):
        assert [(event.api, event.ret) for event in tail.more()] == [("read", 5)]
        assert tail.offset == len(recording.data)
    for offset in (-5, 3, 1 << 62):
        assert Tail(path, offset).offset <= len(recording.data)


@pytest.mark.parametrize("data", [b"\1" * 8, b"\xff" * 4096, b"\0" * 64])
def test_what_makes_no_sense_ends_it(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "records.bin"
    path.write_bytes(data)
    tail = Tail(path)
    assert tail.more() == []
    assert tail.broken


def test_entries_that_wait_are_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("malkoha.trace.tail.MAX_WAITING", 300)
    recording = Recording()
    for tid in range(200, 210):
        recording.enter("read", (0,), tid=tid)
    path = recording.write(tmp_path / "records.bin")
    tail = Tail(path)
    assert tail.more() == []
    for tid in range(200, 210):
        recording.exit("read", 1, tid=tid)
    recording.write(path)
    assert [event.tid for event in tail.more()] == [208, 209]
