"""What recording costs: one guest, the same workloads untraced, under our engines, strace and bpftrace, side by side.

The guest is booted cold; what needs no module of ours runs first, then the engine is loaded into the same guest and the
workloads run again as its sample. The guest's own clock measures. Sizes differ where a recorder is too slow for the
others' size: ratios compare seconds per unit of work.
"""

from __future__ import annotations

import io
import statistics
import tarfile
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from malkoha import arming, config
from malkoha.cli.image import build_image
from malkoha.engine import source
from malkoha.guest.client import GuestClient, Prepared
from malkoha.machinery import buildroot
from malkoha.machinery.base import running
from malkoha.machinery.image import Image
from malkoha.machinery.qemu import Machine
from malkoha.recorder import Recorder
from malkoha.trace.ring import Ring

IMAGE = "bench"
PACKAGES = ("strace", "bpftrace", "gcc", "make", "libc6-dev")
WORKLOADS = Path(__file__).parent / "workloads"
FOLDER = "/opt/workloads"
WAIT_S = 1800.0
TRACE_LIMIT = 4 << 30

STRACE = ("strace", "-f", "-o", "/dev/shm/strace")


@dataclass(frozen=True)
class Workload:
    """What is run, how much of it, and how many units of work one run is."""

    name: str
    size: int
    unit: str
    slow_size: int = 0
    """Size for recorders that are far slower."""

    def size_for(self, recorder: str) -> int:
        return self.slow_size if self.slow_size and recorder in ("strace", "kprobe") else self.size


ALL = (
    Workload("flood", 100_000, "dd bs=1, two calls a unit", slow_size=4_000),
    Workload("compile", 1, "a program of four C files"),
    Workload("find", 1, "find / with the attributes of each file"),
    Workload("forks", 100, "fork, exec and wait in a shell"),
    Workload("network", 200, "a connection over loopback, 4 threads"),
)


@dataclass
class Guest:
    """A booted guest in which commands are run one after the other."""

    client: GuestClient
    said: bytearray = field(default_factory=bytearray)

    def run(self, *words: str) -> str:
        """Run one command to its end and return its standard output; RuntimeError when it fails."""
        self.said.clear()
        self.client.exit_status = None
        self.client.launch(Prepared("bench", [word.encode() for word in words], cwd=b"/tmp"), "root")
        deadline = time.monotonic() + WAIT_S
        while not self.client.finished:
            if time.monotonic() > deadline or not self.client.alive:
                raise RuntimeError(f"{' '.join(words)}: no end: {self.client.trouble}")
            time.sleep(0.02)
        text = self.said.decode("utf-8", "replace")
        if self.client.exit_status:
            raise RuntimeError(f"{' '.join(words)}: status {self.client.exit_status}: {text}")
        return text

    def measure(self, workload: Workload, recorder: str, runs: int, prefix: Sequence[str] = ()) -> float:
        """Return the median of seconds a unit."""
        size = workload.size_for(recorder)
        text = self.run("/bin/bash", f"{FOLDER}/run.sh", workload.name, str(runs), str(size), *prefix)
        seconds = [float(line.split()[1]) for line in text.splitlines() if line.startswith("seconds ")]
        return statistics.median(seconds) / size


def _deliver(guest: Guest) -> None:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        archive.add(WORKLOADS, "workloads")
    guest.client.put(b"/opt/workloads.tar", packed.getvalue(), 0o600)
    guest.run("/bin/tar", "-xf", "/opt/workloads.tar", "-C", "/opt")


Measured = dict[tuple[str, str], float]
"""(workload, recorder) -> seconds a unit."""


def _session(image: Image, engine: source.Engine, work: Callable[[Guest, Callable[[], Recorder]], None]) -> None:
    """Boot a guest and hand it over, with a function that loads the engine into it."""
    home = config.home_from()
    settings = config.load(home, {})
    module = buildroot.compile_module(
        image,
        name=arming.MODULE_NAMES[engine],
        script=source.script(engine),
        options=source.ENGINE_OPTIONS[engine],
        needs_symbols=engine == "kprobe",
    )
    said = bytearray()
    with (
        tempfile.TemporaryDirectory() as folder,
        running(Machine(arming.machine_spec(image, home, settings), home)) as machine,
        GuestClient(machine.agent_socket, lambda _, data: said.extend(data)) as client,
    ):
        client.connect(arming.BOOT_S)
        client.load_agent(arming.BOOT_S)
        guest = Guest(client, said)
        _deliver(guest)

        def load() -> Recorder:
            name = arming.MODULE_NAMES[engine]
            line = client.arm(module.path.read_bytes(), name, buildroot.loader_files(image), arming.LOAD_S[engine])
            return Recorder(Ring(machine.memory, arming.ring_address(line)), Path(folder) / "records", TRACE_LIMIT)

        work(guest, load)


def _beside_tracepoint(found: Measured, facts: dict[str, int], runs: int) -> Callable[..., None]:
    def work(guest: Guest, load: Callable[[], Recorder]) -> None:
        for workload in ALL:
            found[workload.name, "untraced"] = guest.measure(workload, "untraced", runs)
            found[workload.name, "strace"] = guest.measure(workload, "strace", 1, STRACE)
            found[workload.name, "bpftrace"] = guest.measure(workload, "bpftrace", 1, ("/bin/sh", f"{FOLDER}/bpf.sh"))
        with load() as recorder:
            for workload in ALL:
                found[workload.name, "tracepoint"] = guest.measure(workload, "tracepoint", runs)
            recorder.finish()
            facts["events"], facts["lost"] = recorder.ring.sequence, recorder.lost

    return work


def _beside_kprobe(found: Measured, facts: dict[str, int], runs: int) -> Callable[..., None]:
    def work(guest: Guest, load: Callable[[], Recorder]) -> None:
        for workload in ALL:
            found[workload.name, "untraced (kprobe's guest)"] = guest.measure(workload, "untraced", runs)
        with load() as recorder:
            for workload in ALL:
                found[workload.name, "kprobe"] = guest.measure(workload, "kprobe", 1)
            recorder.finish()
            facts["kprobe_events"], facts["kprobe_lost"] = recorder.ring.sequence, recorder.lost

    return work


def measure(runs: int, *, kprobe: bool = True) -> dict[str, Any]:
    """Return the figures: seconds a unit of each workload and recorder, and ratios to untraced in the same guest."""
    home = config.home_from()
    image = build_image(home, config.load(home, {}), IMAGE, PACKAGES)
    found: Measured = {}
    facts: dict[str, int] = {}
    _session(image, "tracepoint", _beside_tracepoint(found, facts, runs))
    if kprobe:
        _session(image, "kprobe", _beside_kprobe(found, facts, runs))
    figures: dict[str, Any] = {}
    units = {workload.name: workload.unit for workload in ALL}
    for (workload, recorder), seconds in found.items():
        name = f"recorders.{workload}.{recorder}"
        figures[f"{name}_us"] = {"value": round(seconds * 1e6, 2), "unit": "us", "against": f"a unit: {units[workload]}"}
        base = "untraced (kprobe's guest)" if recorder == "kprobe" else "untraced"
        if not recorder.startswith("untraced") and (workload, base) in found:
            ratio = round(seconds / found[workload, base], 2)
            figures[f"{name}_ratio"] = {"value": ratio, "unit": "x", "against": "untraced in the same guest"}
    for name, number in facts.items():
        figures[f"recorders.{name}"] = {"value": number, "unit": "events", "against": "all workloads of that engine"}
    return figures
