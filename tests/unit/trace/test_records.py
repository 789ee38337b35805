"""Records: what is built is read back, and no bytes at all make reading fail or turn in circles."""

from __future__ import annotations

import struct

from hypothesis import given
from hypothesis import strategies as st

from malkoha.trace import records
from malkoha.trace.records import Blob
from tests.records import Recording, blob


def blobs_of(data: bytes, start: int = 0) -> tuple[list[Blob], int]:
    found: list[Blob] = []
    return found, records.blobs(data, start, len(data), found)


def test_every_type_of_record_is_walked_over() -> None:
    recording = Recording().call("getpid").fork(101).exec(b"/bin/true", b"true").signal(9).task_exit().text(b"line\n")
    recording.adopt(7, "cron", 100).pad(8).pad(64)
    found = list(records.scan(recording.data))
    kinds = [kind for _, _, kind in found]
    assert kinds == [
        records.CLOCK, records.ENTER, records.EXIT, records.FORK, records.EXEC, records.SIGNAL, records.TASK_EXIT,
        records.TEXT, records.ADOPT, records.PAD, records.PAD,
    ]  # fmt: skip
    assert [offset for offset, _, _ in found[1:]] == [offset + size for offset, size, _ in found[:-1]]
    assert found[-1][0] + found[-1][1] == len(recording.data)


def test_layouts_have_the_sizes_of_the_structures_in_c() -> None:
    assert records.HEAD.size == 32
    assert records.BLOB.size == 16
    assert records.MINIMUM == {
        records.PAD: 8, records.CLOCK: 40, records.ENTER: 112, records.EXIT: 48, records.FORK: 64, records.EXEC: 72,
        records.TASK_EXIT: 56, records.TEXT: 32, records.SIGNAL: 48,
        records.ADOPT: 72,
    }  # fmt: skip


@given(st.integers(0, 400))
def test_a_torn_end_stops_the_scan_before_it(cut: int) -> None:
    data = Recording().call("getpid").call("getuid").data
    whole = list(records.scan(data))
    torn = list(records.scan(data[: max(len(data) - cut, 0)]))
    assert torn == whole[: len(torn)]
    assert all(offset + size <= len(data) - cut for offset, size, _ in torn)


def test_sizes_and_types_without_sense_stop_the_scan() -> None:
    good = Recording().call("getpid").data
    for size, kind in ((0, records.PAD), (4, records.PAD), (12, records.PAD), (40, records.ENTER), (64, 99)):
        bad = struct.pack("<IHH", size, kind, 0) + bytes(200)
        assert list(records.scan(good + bad)) == list(records.scan(good))


@given(st.binary(max_size=2000))
def test_no_bytes_make_a_scan_fail_or_turn_in_circles(data: bytes) -> None:
    end = 0
    for offset, size, kind in records.scan(data):
        assert offset == end
        assert size >= records.MINIMUM[kind]
        end = offset + size
    assert end <= len(data)


def test_blobs_are_read_back() -> None:
    data = blob(1, b"/etc/passwd") + blob(2, b"", status=records.UNREADABLE, total=7) + blob(3, b"x" * 8, part=5)
    assert blobs_of(data) == (
        [
            Blob(1, 0, records.WHOLE, 11, b"/etc/passwd"),
            Blob(2, 0, records.UNREADABLE, 7, b""),
            Blob(3, 5, records.WHOLE, 8, b"x" * 8),
        ],
        0,
    )


def test_a_blob_that_claims_more_than_there_is_ends_the_walk_and_is_counted() -> None:
    good = blob(0, b"fine")
    hostile = records.BLOB.pack(1, 0, 0, 0xFFFFFFFF, 1 << 63) + b"rest"
    assert blobs_of(good + hostile) == ([Blob(0, 0, 0, 4, b"fine")], len(hostile))


@given(st.binary(max_size=600), st.integers(0, 700))
def test_no_bytes_make_the_walk_over_blobs_fail(data: bytes, start: int) -> None:
    found, left = blobs_of(data, start)
    assert 0 <= left <= len(data)
    assert sum(len(one.data) + records.BLOB.size for one in found) <= len(data)


@given(st.binary(max_size=64))
def test_text_of_any_bytes_can_be_written_as_utf_8(data: bytes) -> None:
    assert records.text(data).encode("utf-8") is not None
    assert "\0" not in records.name(data)


def test_text_is_utf_8_before_it_is_latin_1() -> None:
    assert records.text("Grüße".encode()) == "Grüße"
    assert records.text(b"\xff\xfe") == "ÿþ"
    assert records.name(b"sh\0garbage") == "sh"
