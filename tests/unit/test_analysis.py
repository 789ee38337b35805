"""One analysis with a stand-in for the machine, its memory and its agent: how runs end, and what is written down."""

from __future__ import annotations

import errno
import os
import struct
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar

import msgspec
import pytest

from malkoha import analysis, arming
from malkoha.config import Analysis, Settings
from malkoha.errors import GuestError, HostError, MachineError, TraceError
from malkoha.guest import client
from malkoha.inguest.protocol import encode
from malkoha.machinery import Machinery, State
from malkoha.machinery import image as images
from malkoha.machinery.memory import GuestMemory
from malkoha.machinery.snapshot import Snapshot
from malkoha.model.task import Options, Run, Sample, Task
from malkoha.progress import SILENT
from malkoha.store import Home, Store
from malkoha.trace import control, ring
from tests.fake_guest import FakeGuest, Head, polite
from tests.records import Recording

RING, CHUNK, CHUNKS = 4096, 65536, 2
FILES = 0x40000
FIELDS = ("magic", "chunks", "chunk_size", "head", "tail", "lost", "seq", "live", "started", "skipped")


class FakeMachine(Machinery):
    """A machine of memory alone, with a tracer's ring in it that a test writes."""

    name: ClassVar[str] = "fake"

    def __init__(self, folder: Path) -> None:
        self.end_reason = ""
        self.disk_errors = 0
        self.closed = 0
        self.fail: Exception | None = None
        self._folder = folder
        self._state: State = "off"
        self._memory = GuestMemory(1 << 20)
        chunks = [RING + 4096 + i * CHUNK for i in range(CHUNKS)]
        self.memory.write(RING, struct.pack(f"<{len(FIELDS)}Q", ring.MAGIC, CHUNKS, CHUNK, *[0] * 7))
        self.memory.write(RING + 8 * len(FIELDS), struct.pack(f"<{CHUNKS}Q", *chunks))
        self.memory.write(RING + ring._FILES, struct.pack("<Q", FILES))
        chunks = [FILES + 4096 + i * CHUNK for i in range(CHUNKS)]
        self.memory.write(FILES, struct.pack(f"<{len(FIELDS)}Q", ring.MAGIC, CHUNKS, CHUNK, *[0] * 7))
        self.memory.write(FILES + 8 * len(FIELDS), struct.pack(f"<{CHUNKS}Q", *chunks))

    def start(self) -> None:
        raise AssertionError("an analysis never boots from cold")

    def restore(self, snapshot: Snapshot) -> None:
        if self.fail is not None:
            raise self.fail
        self._state = "running"

    def stop(self) -> None:
        self._state = "off"

    def close(self) -> None:
        self.stop()
        self.closed += 1
        self._memory.close()

    def state(self) -> State:
        return self._state

    def end(self, state: State, reason: str) -> bytes:
        self.end_reason, self._state = reason, state
        return b""

    @property
    def agent_socket(self) -> Path:
        return self._folder / "agent"

    @property
    def memory(self) -> GuestMemory:
        return self._memory

    def set(self, **fields: int) -> None:
        for name, value in fields.items():
            self.memory.write(RING + 8 * FIELDS.index(name), struct.pack("<Q", value))

    def control(self, word: int) -> int:
        value: int = struct.unpack("<Q", self.memory.read(FILES + control.AT + 8 * word, 8))[0]
        return value

    def set_control(self, word: int, value: int) -> None:
        self.memory.write(FILES + control.AT + 8 * word, struct.pack("<Q", value))

    def record(self, data: bytes) -> None:
        self.memory.write(RING + 4096, data)
        self.set(head=len(data), seq=3)


class World:
    """Everything around one analysis."""

    def __init__(self, folder: Path) -> None:
        self.home = Home(folder / "home")
        self.store: Store = self.home.analysis(1).create()
        self.store.sample.write_bytes(b"#!/bin/sh\n")
        self.machine = FakeMachine(folder)
        self.guest = FakeGuest(self.machine.agent_socket, self.answer)
        self.recording = Recording().fork(101).exec(b"/tmp/x", b"/tmp/x", pid=101).task_exit(pid=101)
        self.settings = Settings(analysis=Analysis(max_output_mb=1))
        self.on: dict[str, Callable[[Head], bytes]] = {"launch": self.launch}
        self.timers: list[threading.Timer] = []
        sample = Sample(name=b"x y", size=10, sha256="0" * 64, type="script")
        self.task = Task(id=1, target="x y", sample=sample, options=Options(timeout_s=30), added_at=datetime.now(UTC))

    def answer(self, head: Head) -> bytes:
        return self.on.get(head["do"], polite)(head)

    def later(self, wait_s: float, action: Callable[[], Any]) -> None:
        timer = threading.Timer(wait_s, action)
        self.timers.append(timer)
        timer.start()

    def began(self) -> bool:
        self.machine.record(self.recording.data)
        self.machine.set(live=1, started=1)
        return True

    def launch(self, head: Head) -> bytes:
        """The sample runs for a moment, writes, and ends."""
        self.began()
        self.later(0.05, lambda: self.machine.set(live=0))
        return polite(head) + self.last_words()

    @staticmethod
    def last_words(output: bytes = b"hello\n") -> bytes:
        closed = [encode({"stream": "closed", "name": name}) for name in ("stdout", "stderr")]
        return encode({"stream": "stdout"}, output) + encode({"stream": "exited", "status": 256}) + b"".join(closed)

    def timeout(self, seconds: float) -> None:
        self.task = msgspec.structs.replace(self.task, options=Options(timeout_s=seconds))

    def run(self, progress: Any = SILENT) -> Run:
        return analysis.run(self.task, self.home, self.settings, progress)

    def written(self) -> Run:
        return msgspec.json.decode(self.store.run.read_bytes(), type=Run)


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    world = World(tmp_path)
    armed = arming.Armed(Snapshot(tmp_path, "f", 1, 1), RING, "tracepoint", 1.0)
    monkeypatch.setattr(analysis, "prepare", lambda *given: SimpleNamespace(name="default", id="f" * 64))
    monkeypatch.setattr(arming, "armed", lambda *given, **more: (SimpleNamespace(accelerator="tcg"), armed))
    monkeypatch.setattr(analysis, "Machine", lambda spec, home: world.machine)
    monkeypatch.setattr(analysis, "GRACE_S", 0.3)
    monkeypatch.setattr(client, "REQUEST_S", 1.0)
    monkeypatch.setattr(client, "LAUNCH_S", 0.3)
    before = (len(os.listdir("/proc/self/fd")), threading.active_count())
    yield world
    for timer in world.timers:
        timer.join()
    assert world.machine.closed == 1
    # the guest's end of the connection closes when its thread has seen that the host is gone
    deadline = time.monotonic() + 10
    while (
        now := (len(os.listdir("/proc/self/fd")), threading.active_count())
    ) > before and time.monotonic() < deadline:
        time.sleep(0.01)
    assert now <= before
    world.guest.close()


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


def test_the_agent_is_lost_in_the_middle(world: World) -> None:
    def launch(head: Head) -> bytes:
        world.began()
        world.later(0.4, lambda: world.machine.set(live=0))
        world.later(0.1, world.guest.hang_up)
        return polite(head)

    world.on["launch"] = launch
    run = world.run()
    assert run.ended == "all processes gone"
    assert run.timings.run_s is not None
    assert run.timings.run_s >= 0.3
    (said,) = run.errors
    assert "agent in the guest was lost" in said


def test_the_agent_falls_silent(world: World) -> None:
    def launch(head: Head) -> bytes:
        world.began()
        world.on["hello"] = lambda head: b""
        return polite(head)

    world.on["launch"] = launch
    world.timeout(0.2)
    run = world.run()
    assert run.ended == "timeout"
    assert run.errors == ["the agent in the guest was lost, output and exit status may be missing"]


def test_the_sample_kills_the_agent_at_once(world: World) -> None:
    def launch(head: Head) -> bytes:
        world.began()
        world.later(0.6, lambda: world.machine.set(live=0))
        world.on["hello"] = lambda head: b""
        return b""

    world.on["launch"] = launch
    run = world.run()
    assert run.ended == "all processes gone"
    assert run.command == ["/tmp/x", "\\xff"]
    assert run.errors[0].startswith("the agent in the guest was lost when the sample started: ")
    assert run.bytes == len(world.recording.data)


@pytest.mark.parametrize("what", ["clock", "put", "prepare", "launch"])
def test_what_fails_before_the_start_fails_the_analysis(world: World, what: str) -> None:
    world.on[what] = lambda head: encode({"id": head["id"], "error": "cannot do it"})
    with pytest.raises(GuestError, match="^cannot do it$"):
        world.run()
    assert not world.store.run.exists()


def test_refused_after_the_fork_is_no_run(world: World) -> None:
    def launch(head: Head) -> bytes:
        world.began()
        return encode({"id": head["id"], "error": "the sample could not be executed: Exec format error (ENOEXEC)"})

    world.on["launch"] = launch
    with pytest.raises(GuestError, match="ENOEXEC"):
        world.run()
    assert not world.store.run.exists()


@pytest.mark.parametrize("what", ["hello", "put", "launch"])
def test_silence_before_the_start(world: World, monkeypatch: pytest.MonkeyPatch, what: str) -> None:
    monkeypatch.setattr(client, "REQUEST_S", 0.3)
    world.on[what] = lambda head: b""
    with pytest.raises(GuestError, match="agent in the guest .* answer"):
        world.run()
    assert not world.store.run.exists()


def test_the_machine_ends_before_the_start(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "REQUEST_S", 60.0)
    world.on["put"] = lambda head: world.machine.end("off", "guest-panic")
    with pytest.raises(GuestError, match="the machine ended: guest-panic"):
        world.run()
    assert not world.store.run.exists()


@pytest.mark.parametrize("error", [MachineError("The snapshot is damaged"), HostError("no memory")])
def test_a_machine_that_cannot_be_restored(world: World, error: Exception) -> None:
    world.machine.fail = error
    with pytest.raises(type(error)):
        world.run()
    assert not world.store.run.exists()


def test_a_ring_that_is_not_there(world: World) -> None:
    world.machine.set(magic=1)
    with pytest.raises(TraceError, match="ring is not where it should be"):
        world.run()


def test_a_task_without_a_sample(world: World) -> None:
    world.task = msgspec.structs.replace(world.task, sample=None)
    with pytest.raises(GuestError, match="no sample"):
        world.run()


class Impatient:
    """Presses Ctrl-C when the sample runs."""

    def __init__(self, moment: str) -> None:
        self.moment, self.title = moment, ""

    def step(self, title: str, total: float | None = None) -> None:
        self.title = title
        if title == self.moment == "Delivering the sample":
            raise KeyboardInterrupt

    def advance(self, amount: float = 1, note: str = "") -> None:
        if self.title == self.moment:
            raise KeyboardInterrupt


def test_interrupted_while_it_ran(world: World) -> None:
    def launch(head: Head) -> bytes:
        world.began()
        return polite(head) + encode({"stream": "stdout"}, b"so far")

    world.on["launch"] = launch
    with pytest.raises(KeyboardInterrupt):
        world.run(Impatient("Running the sample"))
    run = world.written()
    assert (run.ended, run.errors, run.bytes) == ("interrupted", [], len(world.recording.data))
    assert world.store.stdout.read_bytes() == b"so far"
    # and a report can be made of it
    world.store.task.write_bytes(msgspec.json.encode(world.task))
    report = analysis.process(world.store, world.settings)
    assert report["malkoha"]["trace"]["ended"] == "interrupted"
    assert [process["pid"] for process in report["behavior"]["processes"]] == [101]


def test_interrupted_before_it_ran(world: World) -> None:
    with pytest.raises(KeyboardInterrupt):
        world.run(Impatient("Delivering the sample"))
    assert not world.store.run.exists()


def test_what_was_not_kept_is_said(world: World) -> None:
    def launch(head: Head) -> bytes:
        world.launch(head)
        world.machine.disk_errors = 2
        flood = b"".join(encode({"stream": "stdout"}, b"x" * (1 << 19)) for _ in range(3))
        return polite(head) + flood + world.last_words(b"end")

    world.on["launch"] = launch
    run = world.run()
    assert run.errors == [
        "the guest had 2 disk errors: it may have reached its write limit",
        f"output cut: {(1 << 19) + 3} bytes of standard output were not kept: the limit is {1 << 20} bytes",
    ]
    assert world.store.stdout.stat().st_size == 1 << 20


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
