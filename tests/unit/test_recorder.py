"""The recorder: drains while the sample runs, takes the rest at the end, stops keeping at its limit, shows errors."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

from malkoha import recorder
from malkoha.recorder import Pulse, Recorder
from malkoha.trace.decode import Decoder
from tests.guest_ring import GuestRing
from tests.records import Recording

LIMIT = 1 << 20


def wait_for(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.001)


def test_what_the_guest_writes_is_in_the_file_while_it_runs(tmp_path: Path) -> None:
    guest, recording, path = GuestRing(), Recording().call("getpid"), tmp_path / "records.bin"
    before = time.monotonic()
    with Recorder(guest.reader(), path, LIMIT) as recorder:
        assert (recorder.first_event_at, recorder.bytes) == (None, 0)
        guest.put(recording.data)
        wait_for(lambda: recorder.bytes)
        assert path.read_bytes() == recording.data
        assert recorder.first_event_at is not None
        assert before <= recorder.first_event_at <= time.monotonic()
    assert (recorder.bytes, recorder.lost, recorder.error) == (len(recording.data), 0, None)


def test_more_than_the_ring_holds_goes_through_in_order(tmp_path: Path) -> None:
    guest, path = GuestRing(), tmp_path / "records.bin"
    reader = guest.reader()
    with Recorder(reader, path, LIMIT):
        for number in range(500):
            recording = Recording(clock=False)
            recording.seq = number
            guest.put(recording.enter("write", (number,)).data)
            if guest.word("head") - guest.word("tail") > reader.size - 1024:
                wait_for(lambda: guest.word("head") == guest.word("tail"))
    assert [event.args["fd"] for event in Decoder(path).events()] == [str(number) for number in range(500)]


def test_finish_takes_the_rest_once(tmp_path: Path) -> None:
    guest, first, path = GuestRing(), Recording().data, tmp_path / "records.bin"
    with Recorder(guest.reader(), path, LIMIT) as recorder:
        guest.put(first)
        recorder.finish()
        assert path.read_bytes() == first
        guest.put(first)
        recorder.finish()
    assert path.read_bytes() == first
    assert not [thread for thread in threading.enumerate() if thread.name == "recorder"]


def test_beyond_its_limit_the_ring_is_emptied_and_events_count_as_lost(tmp_path: Path) -> None:
    guest, path = GuestRing(), tmp_path / "records.bin"
    kept = Recording().call("getpid").data
    with Recorder(guest.reader(), path, len(kept)) as recorder:
        guest.put(kept)
        wait_for(lambda: recorder.bytes)
        guest.put(Recording(clock=False).call("read").call("write").data)
        wait_for(lambda: guest.word("head") == guest.word("tail"))
        guest.set("lost", 2)
    assert path.read_bytes() == kept
    assert (recorder.bytes, recorder.lost) == (len(kept), 6)
    guest.set("seq", 0)
    assert recorder.lost == 2, "a counter that the guest set back takes nothing away"


def test_an_error_in_the_thread_is_kept_for_the_analysis(tmp_path: Path) -> None:
    guest = GuestRing()
    reader = guest.reader()

    def broken(physical: int, size: int) -> memoryview:
        raise OSError("no space left")

    guest.memory.view = broken  # type: ignore[method-assign]
    with Recorder(reader, tmp_path / "records.bin", LIMIT) as recorder:
        guest.put(Recording().data)
        wait_for(lambda: recorder.error)
        assert str(recorder.error) == "no space left"
    assert recorder.bytes == 0


def test_a_trace_is_never_written_over(tmp_path: Path) -> None:
    path = tmp_path / "records.bin"
    path.write_bytes(b"earlier")
    with pytest.raises(FileExistsError), Recorder(GuestRing().reader(), path, LIMIT):
        pytest.fail("it began")
    assert path.read_bytes() == b"earlier"


def test_a_ring_that_was_overwritten_ends_the_recording_not_the_thread(tmp_path: Path) -> None:
    guest = GuestRing()
    with Recorder(guest.reader(), tmp_path / "records.bin", LIMIT) as recorder:
        guest.set("head", 12345)
        wait_for(lambda: recorder.ring.tampered)
    assert recorder.error is None


# -- the pulse -------------------------------------------------------------------------------------------------------


def test_a_tracer_that_works_gives_no_trouble(monkeypatch: pytest.MonkeyPatch) -> None:
    guest, now = GuestRing(), [100.0]
    monkeypatch.setattr(recorder, "time", SimpleNamespace(monotonic=lambda: now[0], time=lambda: 5000.0))
    pulse = Pulse(guest.reader())
    for beat in range(1, 9):
        guest.set("pulse", beat)
        now[0] += recorder.SILENT_S - 1
        assert pulse.look() == []
    assert not pulse.blind


def test_silence_is_told_once_with_its_beginning(monkeypatch: pytest.MonkeyPatch) -> None:
    guest, now = GuestRing(), [100.0]
    monkeypatch.setattr(recorder, "time", SimpleNamespace(monotonic=lambda: now[0], time=lambda: 5000.0))
    pulse = Pulse(guest.reader())
    now[0] += recorder.SILENT_S + 1
    (trouble,) = pulse.look()
    assert trouble.at == 5000.0 - (recorder.SILENT_S + 1)
    assert "the last sign of life" in trouble.what
    assert (pulse.look(), pulse.blind) == ([], False)
    guest.set("pulse", 1)
    assert pulse.look() == []
    now[0] += recorder.SILENT_S + 1
    assert len(pulse.look()) == 1, "a second silence is told as well"


def test_each_tracepoint_that_is_taken_away_is_told_once() -> None:
    guest = GuestRing()
    pulse = Pulse(guest.reader())
    guest.set("unhooked", 0b100000)
    before = time.time()
    (trouble,) = pulse.look()
    assert trouble.what == "the tracer was taken off the kernel's signal_deliver"
    assert before <= trouble.at <= time.time()
    seen = pulse.blind
    assert not seen, "calls are still seen"
    guest.set("unhooked", 0b100001)
    assert [one.what for one in pulse.look()] == ["the tracer was taken off the kernel's sys_enter"]
    assert pulse.blind
    assert pulse.look() == []
