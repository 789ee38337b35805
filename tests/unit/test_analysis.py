"""One analysis with a stand-in for the machine, its memory and its agent: how runs end, and what is written down."""

from __future__ import annotations

import errno
import struct
import time
from typing import Any

import pytest

from malkoha import analysis
from malkoha.config import Settings
from malkoha.errors import HostError, TraceError
from malkoha.machinery import State
from malkoha.machinery import image as images
from malkoha.store import Home
from malkoha.trace import control, ring
from tests.fake_guest import Head, polite
from tests.fake_world import RING, World


def test_all_processes_gone(world: World) -> None:
    run = world.run()
    assert run == world.written()
    assert (run.ended, run.exit_status, run.errors, run.lost) == ("all processes gone", 256, [], 0)
    assert (run.package, run.command) == ("generic", ["/tmp/x", "\\xff"])
    assert (run.machine, run.accelerator, run.image) == ("fake", "tcg", "default (ffffffffffff)")
    assert world.store.records.read_bytes() == world.recording.data
    assert run.bytes == len(world.recording.data)
    assert world.store.stdout.read_bytes() == b"hello\n"
    timings = run.timings
    assert None not in (timings.queued_s, timings.restore_s, timings.deliver_s, timings.run_s, timings.total_s)
    assert timings.first_event_s is not None
    assert [head["do"] for head in world.guest.asked] == ["hello", "clock", "put", "prepare", "launch"]
    assert world.guest.asked[2]["path"] == "/tmp/x y"
    assert not list(world.store.root.glob("*.part"))


def test_it_lasts_as_long_as_one_process_does(world: World) -> None:
    def launch(head: Head) -> bytes:
        world.began()
        world.later(0.5, lambda: world.machine.set(live=0))
        return polite(head) + world.last_words()

    world.on["launch"] = launch
    run = world.run()
    assert run.ended == "all processes gone"
    assert run.timings.run_s is not None
    assert run.timings.run_s >= 0.4


def test_output_after_the_last_process_is_waited_for(world: World) -> None:
    def launch(head: Head) -> bytes:
        world.began()
        world.machine.set(live=0)
        world.later(0.15, lambda: world.guest.say(world.last_words(b"late")))
        return polite(head)

    world.on["launch"] = launch
    assert world.run().exit_status == 256
    assert world.store.stdout.read_bytes() == b"late"


def test_timeout(world: World) -> None:
    world.on["launch"] = lambda head: polite(head) if world.began() else b""
    world.timeout(0.2)
    run = world.run()
    assert (run.ended, run.exit_status, run.errors) == ("timeout", None, [])
    assert world.store.records.read_bytes() == world.recording.data


@pytest.mark.parametrize(("state", "reason"), [("off", "guest-shutdown"), ("dead", "killed by signal 9")])
def test_the_machine_ends(world: World, state: State, reason: str) -> None:
    def launch(head: Head) -> bytes:
        world.began()
        world.later(0.1, lambda: world.machine.end(state, reason))
        return polite(head)

    world.on["launch"] = launch
    run = world.run()
    assert (run.ended, run.errors) == ("machine off", [f"the machine ended: {reason}"])
    assert run.bytes == len(world.recording.data)


def test_the_tracer_is_overwritten(world: World) -> None:
    def launch(head: Head) -> bytes:
        world.began()
        world.later(0.1, lambda: world.machine.set(head=1 << 60))
        return polite(head)

    world.on["launch"] = launch
    run = world.run()
    assert run.ended == "tracer stopped"
    (error,) = run.errors
    assert error.endswith("UTC: the sample overwrote the tracer's memory: what came after is not recorded")
    (trouble,) = run.troubles
    assert trouble.what in error
    assert run.started_at.timestamp() <= trouble.at <= run.ended_at.timestamp()
    assert world.store.records.read_bytes() == world.recording.data


def test_a_run_ends_when_the_tracer_no_longer_sees_calls(world: World) -> None:
    def launch(head: Head) -> bytes:
        world.began()
        gone = 1 << ring.HOOKS.index("sys_enter")
        world.machine.memory.write(RING + ring._UNHOOKED, struct.pack("<Q", gone))
        return polite(head)

    world.on["launch"] = launch
    run = world.run()
    assert run.ended == "tracer stopped"
    assert [trouble.what for trouble in run.troubles] == ["the tracer was taken off the kernel's sys_enter"]
    assert world.store.records.read_bytes() == world.recording.data


@pytest.mark.parametrize(
    ("error", "raised", "line"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), HostError, "No space left on device"),
        (ValueError("broken"), TraceError, "broken"),
    ],
)
def test_the_trace_cannot_be_recorded(
    world: World, monkeypatch: pytest.MonkeyPatch, error: Exception, raised: type[Exception], line: str
) -> None:
    def launch(head: Head) -> bytes:
        world.began()
        return polite(head)

    def fail(self: ring.Ring, out: object) -> int:
        if self.started:
            raise error
        return 0

    monkeypatch.setattr(ring.Ring, "drain", fail)
    world.on["launch"] = launch
    with pytest.raises(raised, match=f"^the trace could not be recorded: {line}$"):
        world.run()
    run = world.written()
    assert run.ended == "tracer stopped"
    assert run.errors == [f"the run was cut off: the trace could not be recorded: {line}"]


def test_lost_events_are_counted(world: World) -> None:
    def launch(head: Head) -> bytes:
        world.machine.set(lost=5, skipped=2)
        return world.launch(head)

    world.on["launch"] = launch
    assert world.run().lost == 7


def test_its_log(world: World) -> None:
    world.on["launch"] = lambda head: world.machine.end("off", "guest-reset") + polite(head)
    world.run()
    assert "the machine ended: guest-reset" in world.store.log.read_text()


def test_the_default_image_is_built(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    given: dict[str, Any] = {}
    built: Any = object()

    def build(*positional: object, **named: object) -> object:
        given.update(named)
        return built

    monkeypatch.setattr(images, "build", build)
    assert analysis.prepare(home, Settings()) is built
    assert "/usr/sbin/irqbalance" in given["files"]


def test_any_other_image_must_be_there(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    mine: Any = object()
    monkeypatch.setattr(images, "find", lambda home, name: mine if name == "mine" else None)
    assert analysis.prepare(home, Settings(), "mine") is mine
    with pytest.raises(HostError, match="there is no image other"):
        analysis.prepare(home, Settings(), "other")


def test_what_is_still_open_is_asked_for_at_the_end(world: World) -> None:
    wanted, answered, held, count, refused = 3, 4, 5, 6, 8
    limits: list[int] = []
    world.machine.set_control(held, 1)

    def answer() -> None:
        while world.machine.control(wanted) == 0:
            time.sleep(0.001)
        limits.extend(world.machine.control(word) for word in range(3))
        world.machine.set_control(count, 7)
        world.machine.set_control(refused, 2)
        world.machine.set_control(answered, world.machine.control(wanted))

    world.later(0, answer)
    run = world.run()
    assert limits == [10 << 20, 1000, 200 << 20]
    assert (run.files.taken, run.files.refused, run.files.limit_size) == (7, 2, 10 << 20)
    assert "files: 2 versions of files were not taken: the limits are 1000 files and 200 MiB" in run.errors


def test_files_that_are_not_handed_over_are_told(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(analysis, "COLLECT_S", 0.05)
    world.machine.set_control(5, 1)
    assert any("did not hand over all files" in error for error in world.run().errors)


def test_nothing_is_asked_for_where_nothing_is_open(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(control.Control, "ask", lambda self: pytest.fail("asked"))
    run = world.run()
    assert run.files.taken == run.files.lost == 0
