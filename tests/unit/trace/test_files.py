"""Files are put together from their records, whatever is missing or forged."""

from __future__ import annotations

import hashlib
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from malkoha.trace.files import Extraction, Reading
from tests.file_records import CLOCK_NS, FileRecording

LIMIT = 1 << 20


def extract(folder: Path, recording: FileRecording | bytes, limit: int = LIMIT) -> Reading:
    source = folder / "files.bin"
    source.write_bytes(recording if isinstance(recording, bytes) else recording.data)
    return Extraction(folder / "dropped", limit).run(source)


def content(folder: Path, sha256: str) -> bytes:
    return (folder / "dropped" / sha256).read_bytes()


def test_a_file_and_who_wrote_it(tmp_path: Path) -> None:
    (taken,) = extract(tmp_path, FileRecording().file(1, b"/tmp/a", b"hello")).taken
    assert content(tmp_path, taken.sha256) == b"hello"
    assert taken.sha256 == hashlib.sha256(b"hello").hexdigest()
    assert (taken.path, taken.size, taken.kept, taken.missing, taken.why) == ("/tmp/a", 5, 5, 0, "closed")
    assert (taken.mode, taken.uid, taken.version, taken.time_ns) == (0o644, 1000, 1, CLOCK_NS)
    (writer,) = taken.writers
    assert (writer.pid, writer.first_ns, writer.last_ns) == (100, CLOCK_NS + 1000, CLOCK_NS + 2000)


def test_nothing_was_taken(tmp_path: Path) -> None:
    assert Extraction(tmp_path / "dropped", LIMIT).run(tmp_path / "none") == Reading(taken=[])
    assert not (tmp_path / "dropped").exists()


def test_pieces_of_several_files_may_mix_and_leave_holes(tmp_path: Path) -> None:
    recording = FileRecording().begin(1, b"/a", 12).begin(2, b"/b", 3).piece(1, 8, b"tail").piece(2, 0, b"two")
    first, second = extract(tmp_path, recording.end(2, 3).end(1, 4)).taken
    assert content(tmp_path, first.sha256) == b"two"
    assert content(tmp_path, second.sha256) == b"\0" * 8 + b"tail"
    assert second.missing == 0, "a hole is content"


def test_a_large_file_is_cut_where_the_tracer_cut_it(tmp_path: Path) -> None:
    recording = FileRecording().begin(1, b"/a", 100).piece(1, 0, b"0123456789").end(1, 10, limit=10)
    (taken,) = extract(tmp_path, recording).taken
    assert (taken.size, taken.kept, content(tmp_path, taken.sha256)) == (100, 10, b"0123456789")


def test_what_was_not_in_memory_or_got_lost_is_missing(tmp_path: Path) -> None:
    recording = FileRecording().begin(1, b"/a", 100).piece(1, 0, b"x" * 10).end(1, 60, missing=40)
    (taken,) = extract(tmp_path, recording).taken
    assert (taken.kept, taken.missing) == (100, 90)


def test_a_repetition_without_gaps_replaces_the_first(tmp_path: Path) -> None:
    recording = FileRecording().begin(1, b"/a", 8, inode=7).piece(1, 0, b"x" * 4).end(1, 4, missing=4)
    recording.begin(2, b"/a", 8, inode=7, repeated=True).piece(2, 0, b"xxxxyyyy").end(2, 8)
    recording.begin(3, b"/a", 8, inode=7, version=2).piece(3, 0, b"z" * 4).end(3, 4, missing=4)
    first, second = extract(tmp_path, recording).taken
    assert (content(tmp_path, first.sha256), first.missing) == (b"xxxxyyyy", 0)
    assert (second.version, second.missing) == (2, 4)


def test_a_file_without_end_is_kept_as_far_as_it_came(tmp_path: Path) -> None:
    reading = extract(tmp_path, FileRecording().begin(1, b"/a", 100).piece(1, 0, b"half"))
    assert (reading.torn, content(tmp_path, reading.taken[0].sha256)) == (1, b"half")


def test_forged_records_write_nowhere_else(tmp_path: Path) -> None:
    recording = FileRecording().begin(1, b"/../../x", 1 << 62).piece(1, 1 << 62, b"far").piece(1, LIMIT - 1, b"over")
    recording.piece(9, 0, b"nobody's").end(9, 8).end(1, 0, missing=1 << 63, limit=1 << 63)
    (taken,) = extract(tmp_path, recording).taken
    assert (taken.kept, taken.missing) == (LIMIT, LIMIT)
    assert [path.name for path in (tmp_path / "dropped").iterdir()] == [taken.sha256]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["dropped", "files.bin"]


def test_many_files_at_once_are_bounded(tmp_path: Path) -> None:
    recording = FileRecording()
    for number in range(200):
        recording.begin(number, b"/a", 4).piece(number, 0, b"%4d" % number)
    reading = extract(tmp_path, recording)
    assert (len(reading.taken), reading.torn) == (200, 200)


@given(st.binary(max_size=400), st.integers(0, 1000))
def test_any_bytes_are_read(tmp_path_factory: object, data: bytes, at: int) -> None:
    folder = tmp_path_factory.mktemp("any")  # type: ignore[attr-defined]
    whole = FileRecording().file(1, b"/a", b"x" * 50).data
    extract(folder, whole[: at % len(whole)] + data)
    reading = extract(folder, whole + data)
    assert reading.taken[0].path == "/a"
