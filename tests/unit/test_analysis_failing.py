"""Analyses that fail, or are left alone by the agent, the machine or the user: what is kept, and what is said."""

from __future__ import annotations

import msgspec
import pytest

from malkoha import analysis
from malkoha.errors import GuestError, HostError, MachineError, TraceError
from malkoha.guest import client
from malkoha.inguest.protocol import encode
from tests.fake_guest import Head, polite
from tests.fake_world import World


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
