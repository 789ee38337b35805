"""Columns of many calls are what each call alone would give."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from malkoha.model.event import Event
from malkoha.trace import calls, constants, records
from malkoha.trace.arguments import rendering, rendering_of_unknown
from malkoha.trace.decode import Decoder
from malkoha.trace.records import Blob
from malkoha.trace.syscalls import find
from tests.records import Recording, blob

REAL = Path(__file__).parents[2] / "data" / "records" / "start.bin"


def one_by_one(data: bytes) -> list[dict[str, Any]]:
    """Decode the calls of a trace of one thread, each by itself."""
    found: list[dict[str, Any]] = []
    blobs: list[Blob] = []
    for offset, size, kind in records.scan(data):
        if kind == records.ENTER:
            _, _, flags, seq, _, tid, pid, nr, ppid, ip, *values, comm = records.ENTER_RECORD.unpack_from(data, offset)
            abi, call = find(flags & 0xFF, nr)
            shown = rendering(call, abi) if call else rendering_of_unknown(nr, abi)
            blobs = []
            records.blobs(data, offset + records.ENTER_RECORD.size, offset + size, blobs)
            found.append({"seq": seq, "tid": tid, "pid": pid, "ppid": ppid, "ip": ip, "abi": abi, "api": shown.name})
            found[-1] |= {"comm": records.name(comm), "ret": None, "errno": "", "args": shown.show(values, blobs)}
        elif kind == records.EXIT and found and found[-1]["ret"] is None:
            ret = records.EXIT_RECORD.unpack_from(data, offset)[9]
            records.blobs(data, offset + records.EXIT_RECORD.size, offset + size, blobs)
            failed = -4096 < ret < 0
            found[-1] |= {"ret": ret, "errno": constants.ERRNOS.get(-ret, str(-ret)) if failed else ""}
            found[-1]["args"] = shown.show(values, blobs)
    return found


def decoded(path: Path) -> list[Event]:
    return [event for event in Decoder(path).events() if event.kind == "syscall"]


def shown(events: list[Event], wanted: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{name: getattr(event, name) for name in like} for event, like in zip(events, wanted, strict=True)]


memory = st.builds(
    blob,
    st.integers(0, 5),
    st.binary(max_size=40),
    part=st.integers(0, 5),
    status=st.integers(0, 3),
    total=st.integers(0, 99),
)
numbers_of_calls = st.one_of(st.integers(0, 470), st.integers(-5, 1 << 30))
words = st.tuples(*[st.one_of(st.integers(0, 9), st.integers(0, (1 << 64) - 1))] * 6)
results = st.one_of(st.integers(-4100, 10), st.integers(-(1 << 63), (1 << 63) - 1))
some_calls = st.lists(
    st.tuples(
        numbers_of_calls, st.sampled_from(["x86-64", "i386", "x32"]), words, st.lists(memory, max_size=3),
        st.one_of(st.none(), results), st.lists(memory, max_size=2),
    ),
    max_size=12,
)  # fmt: skip


@given(some_calls)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_calls_of_any_kind(tmp_path: Path, made: list[Any]) -> None:
    recording = Recording()
    for nr, abi, values, before, ret, after in made * 2:  # the second time from what was kept
        recording.enter(nr, values, *before, abi=abi)
        if ret is not None:
            recording.exit(nr, ret, *after, abi=abi)
    wanted = one_by_one(recording.data)
    assert shown(decoded(recording.write(tmp_path / "records.bin")), wanted) == wanted


def test_a_real_trace() -> None:
    first = next(event.tid for event in decoded(REAL))
    data = REAL.read_bytes()
    alone = b"".join(
        data[offset : offset + size]
        for offset, size, _ in records.scan(data)
        if size >= records.HEAD.size and records.HEAD.unpack_from(data, offset)[5] == first
    )
    wanted = one_by_one(alone)
    assert len(wanted) > 5
    assert shown([event for event in decoded(REAL) if event.tid == first], wanted) == wanted


def test_what_is_kept_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(calls, "KEPT_BYTES", 1000)
    recording = Recording()
    for number in range(100):
        recording.call("write", (1, 2, number), 1, blob(1, b"%d" % (number % 7)))
    events = decoded(recording.write(tmp_path / "records.bin"))
    assert [event.args for event in events] == [
        {"fd": "1", "buf": str(number % 7), "count": str(number)} for number in range(100)
    ]


def test_a_return_in_a_later_piece_of_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(records, "CHUNK", 512)
    recording = Recording().enter("read", (0, 1, 5), tid=7)
    for _ in range(50):
        recording.call("getpid", (), 100)
    recording.exit("read", 5, blob(1, b"hello"), tid=7)
    decoder = Decoder(recording.write(tmp_path / "records.bin"))
    first = next(event for event in decoder.events() if event.api == "read")
    assert (first.ret, first.args["buf"], first.duration_ns) == (5, "hello", 101_000)
