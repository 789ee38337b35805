"""One analysis: a task in, a run with its trace and then a report out; the body of ``run`` is the list of the steps."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec

from malkoha import arming
from malkoha.config import Settings
from malkoha.dumping import Dumps
from malkoha.errors import GuestError, HostError, MalkohaError, TraceError
from malkoha.guest import payload
from malkoha.guest.client import GuestClient, NoAnswerError
from malkoha.guest.results import Outputs
from malkoha.log import analysis_log
from malkoha.machinery import cleanup
from malkoha.machinery import image as images
from malkoha.machinery.base import running
from malkoha.machinery.image import Image
from malkoha.machinery.qemu import Machine
from malkoha.model.task import Ended, NetworkRun, Run, Task, Timings, Trouble
from malkoha.network.route import Route
from malkoha.progress import SILENT, Progress
from malkoha.recorder import Pulse, Recorder
from malkoha.store import Home, Store
from malkoha.taking import Taking
from malkoha.trace.ring import Ring

log = logging.getLogger(__name__)

CONNECT_S = 30.0
DELIVER_S = 120.0
POLL_S = 0.02
HANDED_S = 70.0
"""How long a run waits for work that the sample has left to others: cron looks every minute."""
AWAITED = frozenset({"cron", "at", "timer"})
"""What begins by itself in that time; rules of udev and units wait for an event that may never come."""
GRACE_S = 2.0
"""How long after the last process the agent may still deliver its output and exit status."""
COLLECT_S = 20.0
"""How long the tracer may take to hand over the files that are still open at the end."""


def prepare(home: Home, settings: Settings, name: str = "default", progress: Progress = SILENT) -> Image:
    """Return the image called ``name``; the default one is built when it is missing or of an older recipe."""
    if name == "default":
        return images.build(home, settings.guest, files=payload.bootstrap_files(), progress=progress)
    image = images.find(home, name)
    if image is None:
        raise HostError(f"there is no image {name}", mend=f"malkoha image build {name}")
    return image


def run(task: Task, home: Home, settings: Settings, progress: Progress = SILENT, store: Store | None = None) -> Run:
    """Run the task's sample in a machine and leave trace/, output/ and run.json in ``store``, the task's folder.

    GuestError when the sample could not be started, MachineError or HostError when the machine could not. What cuts a
    run off after that (Ctrl-C, a full disk) is raised as well, with run.json written, so that what was recorded can
    still be processed.
    """
    store = (store or home.analysis(task.id)).create()
    started_at, clock = datetime.now(UTC), Stopwatch()
    with analysis_log(store.log, task.id):
        for line in cleanup.sweep(home):
            log.warning(line)
        image = prepare(home, settings, task.options.image, progress)
        wired = task.options.network != "none"
        skip_idle = task.options.time == "skip"
        spec, armed = arming.armed(image, task.options.engine, home, settings, progress, nic=wired, skip_idle=skip_idle)
        clock.start()
        progress.step("Restoring the machine")
        machine = Machine(spec, home)
        with _networked(machine, task, store, armed, settings) as route, running(machine, armed.snapshot):
            if route is not None:
                route.ready()
            clock.lap("restore_s")
            ring = Ring(machine.memory, armed.ring)
            outputs = Outputs(store, settings.analysis.max_output_mb << 20)
            recorder = Recorder(ring, store.records, settings.analysis.max_trace_mb << 20)
            if task.options.engine == "tracepoint" and task.options.extra.get("follow") != "no":
                ring.follow()
            taking = Taking(machine.memory, ring.files, store.files, settings.analysis)
            dumps = Dumps(store, settings.analysis.max_process_memory_mb << 20) if task.options.memory else None
            session = Session(task, store, machine, recorder, outputs, taking, dumps, clock, progress)
            with recorder, taking.recorder, outputs:
                failure = _attempt(session)
            if dumps is not None:
                progress.step("Keeping the memory of the machine")
                machine.stop()
                dumps.machine(machine.memory)
            result = session.finish(failure)
            if route is not None:
                machine.stop()
                route.finish()
            run = Run(
                engine=task.options.engine,
                ended=result.ended,
                lost=recorder.lost,
                bytes=recorder.bytes,
                image=f"{image.name} ({image.id[:12]})",
                accelerator=spec.accelerator,
                architecture="x86-64",
                machine=machine.name,
                package=result.package,
                command=result.command,
                exit_status=result.exit_status,
                agent_pid=result.agent_pid,
                unexercised=ring.unexercised,
                started_at=started_at,
                ended_at=datetime.now(UTC),
                timings=clock.timings(task, started_at, recorder.first_event_at),
                files=taking.facts(),
                troubles=result.troubles,
                errors=[*result.errors, *(route.result.remarks if route is not None else ())],
                network=route.result if route is not None else NetworkRun(),
            )
            _write(store.run, msgspec.json.encode(run))
        if failure is not None:
            raise failure
    return run


@contextmanager
def _networked(
    machine: Machine, task: Task, store: Store, armed: arming.Armed, settings: Settings
) -> Iterator[Route | None]:
    """Plug the machine's network card into the network that the task asks for; there is none in mode "none"."""
    if task.options.network == "none":
        yield None
        return
    with Route(task.options.network, store, armed.authority, settings) as route:
        machine.plug(route.take_wire())
        yield route


def _attempt(session: Session) -> BaseException | None:
    """Run the session and return what cut it off; raise it when nothing had begun that could be reported."""
    try:
        session.run()
    except BaseException as error:
        if not session.started:
            raise
        return error
    return None


def _write(path: Path, content: bytes) -> None:
    """Write a file that is whole or not there: run.json says that the run was written down."""
    partial = path.with_name(path.name + ".part")
    partial.write_bytes(content)
    partial.replace(path)


class Stopwatch:
    """Durations of the stages of one run."""

    def __init__(self) -> None:
        self._began = self._last = time.monotonic()
        self._laps: dict[str, float] = {}

    def start(self) -> None:
        """Begin the first lap; what came before (an image that had to be built) belongs to none."""
        self._last = time.monotonic()

    def lap(self, name: str) -> None:
        now = time.monotonic()
        self._laps[name] = round(now - self._last, 3)
        self._last = now

    def timings(self, task: Task, started_at: datetime, first_event_at: float | None) -> Timings:
        return Timings(
            queued_s=round(max((started_at - task.added_at).total_seconds(), 0.0), 3),
            first_event_s=None if first_event_at is None else round(first_event_at - self._began, 3),
            total_s=round(time.monotonic() - self._began, 3),
            **self._laps,
        )


class Result(msgspec.Struct):
    """What one session with the guest came to."""

    package: str = ""
    command: list[str] = []
    ended: Ended = "timeout"
    exit_status: int | None = None
    agent_pid: int = 0
    troubles: list[Trouble] = []
    errors: list[str] = []


class Session:
    """Deliver the sample, start it, and wait until the last traced process has gone."""

    def __init__(
        self,
        task: Task,
        store: Store,
        machine: Machine,
        recorder: Recorder,
        outputs: Outputs,
        taking: Taking,
        dumps: Dumps | None,
        clock: Stopwatch,
        progress: Progress,
    ) -> None:
        self.task, self.store, self.machine = task, store, machine
        self.recorder, self.outputs, self.clock, self.progress = recorder, outputs, clock, progress
        self.taking, self.dumps = taking, dumps
        self.started = False
        """Whether the sample may have run, so that there is something to report."""
        self._result = Result()
        self._pulse = Pulse(recorder.ring)
        self._gone_at: float | None = None
        """When the last traced process had gone for the first time."""

    def run(self) -> None:
        """Do all of it; what it came to is asked from ``finish``."""
        if self.task.sample is None:
            raise GuestError("this task has no sample")
        with GuestClient(self.machine.agent_socket, self.outputs.write, self._machine_ended) as guest:
            self.progress.step("Delivering the sample")
            guest.connect(CONNECT_S)
            guest.set_clock()
            guest.deliver(self.store.sample, self.task.sample.name, DELIVER_S)
            self.clock.lap("deliver_s")
            self._start(guest)
            self.progress.step("Running the sample", self.task.options.timeout_s)
            try:
                self._result.ended = self._wait()
                self._settle(guest)
                self._collect()
                if self.dumps is not None:
                    self._dump(guest, self.dumps)
            finally:
                self._result.exit_status = guest.exit_status
                self._result.agent_pid = guest.agent_pid
                self.clock.lap("run_s")

    def finish(self, failure: BaseException | None) -> Result:
        """Return what the run came to, once recorder and outputs are closed; ``failure`` is what cut it off."""
        if isinstance(failure, Exception):
            self._result.ended = "tracer stopped"
            self._note(f"the run was cut off: {failure}")
        elif failure is not None:
            self._result.ended = "interrupted"
        if self.recorder.error is not None and (failure is None or failure.__cause__ is not self.recorder.error):
            self._note(f"at the end {_recording_failed(self.recorder.error)}")
        if self.machine.disk_errors:
            self._note(f"the guest had {self.machine.disk_errors} disk errors: it may have reached its write limit")
        if left := self.recorder.ring.unexercised:
            self._note(f"the sample left work that was not run within this analysis: {', '.join(left)}")
        if missed := self.recorder.ring.unremembered:
            self._note(f"the sample wrote {missed} more files than the tracer keeps: who runs those was not followed")
        for remark in (*self.outputs.remarks(), *self.taking.remarks()):
            self._note(remark)
        return self._result

    def _start(self, guest: GuestClient) -> None:
        prepared = guest.prepare(self.task.options)
        self._result.package = prepared.package
        self._result.command = [item.decode("utf-8", "backslashreplace") for item in prepared.argv]
        try:
            guest.launch(prepared, self.task.options.user)
        except NoAnswerError as error:
            # a sample may end the agent before that has said that the sample runs
            if not self.recorder.ring.started:
                raise
            self._note(f"the agent in the guest was lost when the sample started: {error}")
        self.started = True

    def _machine_ended(self) -> str:
        state = self.machine.state()
        return "" if state == "running" else f"the machine ended: {self.machine.end_reason or state}"

    def _wait(self) -> Ended:
        began = time.monotonic()
        while (passed := time.monotonic() - began) < self.task.options.timeout_s:
            ended = self._ended()
            if ended:
                return ended
            time.sleep(POLL_S)
            self.progress.advance(time.monotonic() - began - passed)
        return "timeout"

    def _ended(self) -> Ended | None:
        ring = self.recorder.ring
        if self.recorder.error is not None:
            raise _recording_failed(self.recorder.error) from self.recorder.error
        if ring.tampered:
            what = "the sample overwrote the tracer's memory: what came after is not recorded"
            self._trouble(Trouble(at=time.time(), what=what))
            return "tracer stopped"
        if ring.started and ring.live == 0 and ring.pending == 0 and not self._awaits_others():
            return "all processes gone"
        if self._machine_ended():
            self._note(self._machine_ended())
            return "machine off"
        if self.store.stop.exists():
            self._note("the run was cancelled")
            return "interrupted"
        for trouble in self._pulse.look():
            self._trouble(trouble)
        return "tracer stopped" if self._pulse.blind else None

    def _awaits_others(self) -> bool:
        """Tell whether somebody may still begin work that the sample has left to him."""
        left = AWAITED.intersection(self.recorder.ring.unexercised)
        if left and self._gone_at is None:
            self._gone_at = time.monotonic()
            self.progress.step(f"Waiting for {' and '.join(sorted(left))} to run what the sample left there")
        return bool(left) and self._gone_at is not None and time.monotonic() - self._gone_at < HANDED_S

    def _settle(self, guest: GuestClient) -> None:
        """Let the agent deliver what the sample wrote last, and see whether it is still there."""
        if self._result.ended == "all processes gone":
            self._until(lambda: guest.finished or not guest.alive or bool(self._machine_ended()))
            if guest.finished:
                return
        if not self._machine_ended() and not (guest.alive and guest.answers(GRACE_S)):
            why = f": {guest.trouble}" if guest.trouble else ""
            self._note(f"the agent in the guest was lost, output and exit status may be missing{why}")

    def _collect(self) -> None:
        """Have the tracer hand over the files that may have changed since they were taken."""
        if self._machine_ended() or not self.taking.ask(always=self.dumps is not None):
            return
        self._until(lambda: self.taking.answered or bool(self._machine_ended()), COLLECT_S)
        if not self.taking.answered:
            self._note("the tracer did not hand over all files that were still open: their last state may be missing")

    def _dump(self, guest: GuestClient, dumps: Dumps) -> None:
        """Have the agent read the memory of the processes that live."""
        if self._machine_ended() or not self.taking.answered or not guest.alive:
            self._note("memory: no process could be asked for its memory, since the machine or the agent was gone")
            return
        self.progress.step("Reading the memory of processes")
        for trouble in dumps.processes(
            guest, self.taking.tasks, lambda: not guest.alive or bool(self._machine_ended())
        ):
            self._note(trouble)

    def _until(self, done: Callable[[], bool], wait_s: float = GRACE_S) -> None:
        deadline = time.monotonic() + wait_s
        while not done() and time.monotonic() < deadline:
            time.sleep(POLL_S)

    def _trouble(self, trouble: Trouble) -> None:
        self._result.troubles.append(trouble)
        self._note(f"at {datetime.fromtimestamp(trouble.at, UTC):%H:%M:%S} UTC: {trouble.what}")

    def _note(self, text: str) -> None:
        log.warning(text)
        self._result.errors.append(text)


def _recording_failed(error: Exception) -> MalkohaError:
    what = "the trace could not be recorded"
    return HostError(what, error.strerror or str(error)) if isinstance(error, OSError) else TraceError(what, str(error))


def process(store: Store, settings: Settings, progress: Progress = SILENT) -> dict[str, Any]:
    """Make the report of a finished run from its folder, and return it."""
    from malkoha import pipeline

    progress.step("Processing")
    return pipeline.process(store, settings, progress)


__all__ = ["MalkohaError", "prepare", "process", "run"]
