"""The host's end of the ring: wraps, pads, and headers that something in the guest overwrote."""

from __future__ import annotations

import io
import re
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from malkoha.engine.source import script
from malkoha.errors import TraceError
from malkoha.trace import records, ring
from malkoha.trace.ring import MAGIC, Ring
from tests.guest_ring import CHUNK, HEADER, GuestRing
from tests.records import Recording


@pytest.fixture
def guest() -> GuestRing:
    return GuestRing()


def drained(reader: Ring) -> bytes:
    out = io.BytesIO()
    size = reader.drain(out)
    assert size == len(out.getvalue())
    return out.getvalue()


def test_an_empty_ring_gives_nothing(guest: GuestRing) -> None:
    reader = guest.reader()
    assert reader.size == 4 * CHUNK
    assert (drained(reader), reader.pending, reader.started, reader.live) == (b"", 0, False, 0)


def test_records_come_out_as_they_went_in_and_make_room(guest: GuestRing) -> None:
    reader = guest.reader()
    recording = Recording().call("getpid")
    guest.put(recording.data)
    assert reader.pending == len(recording.data)
    assert drained(reader) == recording.data
    assert guest.word("tail") == guest.word("head") == len(recording.data)
    assert drained(reader) == b""


def test_what_the_sample_left_to_others(guest: GuestRing) -> None:
    reader = guest.reader()
    assert (guest.word("following"), reader.unexercised, reader.adopted, reader.unremembered) == (0, [], 0, 0)
    reader.follow()
    assert guest.word("following") == 1
    guest.set("ways", 1 << 63 | 0b11011)
    guest.set("exercised", 0b10010)
    guest.set("adopted", 3)
    guest.set("unremembered", (1 << 64) - 1)
    assert reader.unexercised == ["cron", "timer"]
    assert (reader.adopted, reader.unremembered) == (3, (1 << 63) - 1)


def test_counters_are_the_guests(guest: GuestRing) -> None:
    reader = guest.reader()
    for name, value in (("lost", 3), ("skipped", 4), ("seq", 99), ("live", 2), ("started", 1)):
        guest.set(name, value)
    assert (reader.lost, reader.sequence, reader.live, reader.started) == (7, 99, 2, True)


def test_a_tracer_tells_that_it_works_and_where_it_was_taken_off(guest: GuestRing) -> None:
    reader = guest.reader()
    guest.set("pulse", 12)
    assert (reader.pulse, reader.unhooked) == (12, [])
    guest.set("unhooked", 1 << 40 | 0b100010)
    assert reader.unhooked == ["sys_exit", "signal_deliver"]


def test_the_host_has_the_guest_grow_old(guest: GuestRing) -> None:
    reader = guest.reader()
    assert not reader.aging
    reader.grow_old(86400)
    assert (guest.word("age"), reader.aging) == (86400, True)
    guest.set("age", 0)
    assert not reader.aging


def test_a_forged_count_stays_one_that_can_be_kept(guest: GuestRing) -> None:
    reader = guest.reader()
    guest.set("lost", (1 << 64) - 1)
    assert reader.lost == (1 << 63) - 1


def test_records_wrap_at_the_ends_of_chunks_behind_pads(guest: GuestRing) -> None:
    """Three times round the ring; no record crosses a chunk's end."""
    reader = guest.reader()
    out, put = io.BytesIO(), []
    recording = Recording()
    while guest.word("head") < 3 * reader.size:
        before = len(recording.data)
        recording.enter("write", (1, 2, recording.seq))
        put.append(recording.data[before:])
        guest.put(put[-1])
        if len(put) % 7 == 0:
            reader.drain(out)
    reader.drain(out)
    data = out.getvalue()
    kinds = [kind for _, _, kind in records.scan(data)]
    assert kinds.count(records.PAD) >= 11
    assert [data[offset : offset + size] for offset, size, kind in records.scan(data) if kind != records.PAD] == put
    assert len(data) == guest.word("head")


def test_a_full_ring_is_read_whole(guest: GuestRing) -> None:
    reader = guest.reader()
    guest.put(Recording(clock=False).pad(CHUNK).data, start=CHUNK - 16)
    guest.set("head", CHUNK - 16 + reader.size)
    guest.set("tail", CHUNK - 16)
    reader = guest.reader()
    assert len(drained(reader)) == reader.size
    assert not reader.tampered


def test_reading_goes_on_where_the_ring_was_saved(guest: GuestRing) -> None:
    guest.put(Recording().data)
    guest.set("tail", guest.word("head"))
    assert drained(guest.reader()) == b""


@pytest.mark.parametrize(
    ("name", "value"),
    [("magic", 0), ("chunks", 0), ("chunks", 17), ("chunk_size", 0), ("chunk_size", 1 << 40)],
)
def test_what_is_not_a_ring_is_an_error(guest: GuestRing, name: str, value: int) -> None:
    guest.set(name, value)
    with pytest.raises(TraceError, match="no valid header at 0x1000"):
        guest.reader()


@pytest.mark.parametrize("move", [-8, 3, 4 * CHUNK + 8, 1 << 63])
def test_a_head_that_makes_no_sense_ends_the_reading(guest: GuestRing, move: int) -> None:
    reader = guest.reader()
    guest.put(Recording().data)
    drained(reader)
    honest = guest.word("head")
    guest.set("head", honest + move)
    assert drained(reader) == b""
    assert reader.tampered
    guest.set("head", honest)
    guest.put(Recording().data)
    assert drained(reader) == b"", "once overwritten, the header is not believed again"


def test_geometry_and_tail_are_not_believed_again(guest: GuestRing) -> None:
    reader = guest.reader()
    recording = Recording()
    guest.put(recording.data)
    for name in ("magic", "chunks", "chunk_size", "tail"):
        guest.set(name, 0xFFFFFFFFFFFF)
    guest.memory.write(HEADER + 80, struct.pack("<Q", 1 << 50))
    assert drained(reader) == recording.data


def test_a_file_that_takes_less_at_a_time_still_gets_all(guest: GuestRing) -> None:
    class Slow(io.RawIOBase):
        taken = b""

        def writable(self) -> bool:
            return True

        def write(self, data: memoryview, /) -> int:  # type: ignore[override]
            self.taken += bytes(data[:5])
            return min(len(data), 5)

    recording, out = Recording().call("getpid"), Slow()
    guest.put(recording.data)
    assert guest.reader().drain(out) == len(recording.data)  # type: ignore[arg-type]
    assert out.taken == recording.data


def test_views_of_the_guests_memory_are_given_back(guest: GuestRing) -> None:
    guest.put(Recording().data)
    drained(guest.reader())
    guest.memory.data.clear()  # BufferError while a view of it lives


@given(st.binary(min_size=80, max_size=80))
def test_no_header_makes_reading_fail_other_than_as_a_trace_error(fixed: bytes) -> None:
    guest = GuestRing()
    guest.memory.write(HEADER, struct.pack("<Q", MAGIC) + fixed[8:])
    try:
        reader = guest.reader()
    except TraceError:
        return
    reader.lost, reader.sequence, reader.live, reader.started  # noqa: B018


@given(st.lists(st.integers(0, (1 << 64) - 1), max_size=5))
def test_no_head_makes_draining_fail(heads: list[int]) -> None:
    guest = GuestRing()
    reader = guest.reader()
    out = io.BytesIO()
    for head in heads:
        guest.set("head", head)
        assert 0 <= reader.drain(out) <= reader.size


def test_the_header_is_that_of_the_engine() -> None:
    text = script("tracepoint")
    assert int(re.search(r"#define RING_MAGIC (0x[0-9a-f]+)ULL", text)[1], 16) == MAGIC  # type: ignore[index]
    assert f"#define RING_MAX_CHUNKS {ring.MAX_CHUNKS}\n" in text
    structure = re.search(r"struct ring_header \{(.*?)\};", text, re.DOTALL)
    assert structure is not None
    fields = re.findall(r"u64 (\w+)(?:\[RING_MAX_CHUNKS\])?;", structure[1])
    assert fields == list(GuestRing.FIELDS)
    offsets = {name: GuestRing().place(name) - HEADER for name in fields}
    assert [offsets[name] for name in ("head", "tail", "lost", "seq", "live", "started", "skipped")] == [
        ring._HEAD, ring._TAIL, ring._LOST, ring._SEQ, ring._LIVE, ring._STARTED, ring._SKIPPED,
    ]  # fmt: skip
    assert [offsets[name] for name in ("pulse", "unhooked", "age")] == [ring._PULSE, ring._UNHOOKED, ring._AGE]
    assert offsets["age"] + 8 == ring.HEADER_SIZE
    names = re.search(r"hook_names\[\] = \{(.*?)\};", text, re.DOTALL)
    assert names is not None
    assert tuple(re.findall(r'"(\w+)"', names[1])) == ring.HOOKS
    assert [offsets[name] for name in ("files", "following", "ways", "exercised", "adopted", "unremembered")] == [
        ring._FILES, ring._FOLLOWING, ring._WAYS, ring._EXERCISED, ring._ADOPTED, ring._UNREMEMBERED,
    ]  # fmt: skip
    assert re.findall(r"\bWAY_(\w+) = \d", text) == [name.upper() for name in ring.WAYS]
    assert re.findall(r"\bCAUSE_(\w+) = \d", text) == [name.upper() for name in records.WHYS[1:]]
