"""Files come out through a ring of their own, within their limits."""

from __future__ import annotations

import struct
from pathlib import Path

from malkoha.config import Analysis
from malkoha.taking import Taking
from malkoha.trace import control
from tests.file_records import FileRecording
from tests.guest_ring import HEADER, GuestRing


def word(guest: GuestRing, number: int, value: int) -> None:
    guest.memory.write(HEADER + control.AT + 8 * number, struct.pack("<Q", value))


def test_records_and_counts(tmp_path: Path) -> None:
    guest = GuestRing()
    taking = Taking(guest.memory, HEADER, tmp_path / "files.bin", Analysis(max_file_mb=1, max_files=2, max_files_mb=3))
    recording = FileRecording().file(1, b"/a", b"hello")
    with taking.recorder:
        guest.memory.write(0x8000, recording.data)
        guest.set("head", len(recording.data))
    assert (tmp_path / "files.bin").read_bytes() == recording.data
    word(guest, 6, 1)
    word(guest, 7, 5)
    word(guest, 8, 4)
    word(guest, 9, 3)
    guest.set("lost", 2)
    facts = taking.facts()
    assert (facts.taken, facts.bytes, facts.refused, facts.untracked, facts.lost) == (1, 5, 4, 3, 2)
    assert taking.remarks() == [
        "files: 4 versions of files were not taken: the limits are 2 files and 3 MiB",
        "files: 3 writes were to more files than the tracer can tell apart: those were not taken",
        "files: 2 records of files were lost",
    ]


def test_what_is_not_taken_yet_is_asked_for(tmp_path: Path) -> None:
    guest = GuestRing()
    taking = Taking(guest.memory, HEADER, tmp_path / "files.bin", Analysis())
    assert not taking.ask()
    word(guest, 5, 1)
    assert taking.ask()
    assert not taking.answered
    word(guest, 4, 1)
    assert taking.answered
