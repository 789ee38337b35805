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

BPFTRACE = ("/bin/sh", f"{FOLDER}/bpf.sh")
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
            address = arming.ring_address(line)
            arming.await_ring(machine, address)
            return Recorder(Ring(machine.memory, address), Path(folder) / "records", TRACE_LIMIT)

        work(guest, load)


def _figures(group: str, found: Measured) -> dict[str, Any]:
    """Put the seconds a unit into figures, and their ratios to untraced."""
    units = {workload.name: workload.unit for workload in ALL}
    figures: dict[str, Any] = {}
    for (workload, recorder), seconds in found.items():
        name = f"{group}.{workload}.{recorder}"
        figures[f"{name}_us"] = {
            "value": round(seconds * 1e6, 2),
            "unit": "us",
            "against": f"a unit: {units[workload]}",
        }
        if recorder != "untraced":
            ratio = round(seconds / found[workload, "untraced"], 2)
            figures[f"{name}_ratio"] = {"value": ratio, "unit": "x", "against": "untraced in the same guest"}
    return figures


def _bench_image() -> Image:
    home = config.home_from()
    return build_image(home, config.load(home, {}), IMAGE, PACKAGES)


def _with_engine(
    group: str, engine: source.Engine, runs: int, others: Callable[[Guest, Measured], None] | None
) -> dict[str, Any]:
    """Measure untraced, then ``others``, then the engine, all in one guest."""
    found: Measured = {}
    counts: dict[str, int] = {}

    def work(guest: Guest, load: Callable[[], Recorder]) -> None:
        for workload in ALL:
            found[workload.name, "untraced"] = guest.measure(workload, "untraced", runs)
        if others is not None:
            others(guest, found)
        with load() as recorder:
            for workload in ALL:
                found[workload.name, engine] = guest.measure(workload, engine, runs)
            recorder.finish()
            counts.update(events=recorder.ring.sequence, lost=recorder.lost)

    _session(_bench_image(), engine, work)
    against = f"all workloads under {engine}"
    return _figures(group, found) | {
        f"{group}.{name}": {"value": number, "unit": "events", "against": against} for name, number in counts.items()
    }


def measure(runs: int) -> dict[str, Any]:
    """Compare untraced, strace, bpftrace and the tracepoint engine."""

    def others(guest: Guest, found: Measured) -> None:
        for workload in ALL:
            found[workload.name, "strace"] = guest.measure(workload, "strace", 1, STRACE)
            found[workload.name, "bpftrace"] = guest.measure(workload, "bpftrace", 1, BPFTRACE)

    return _with_engine("recorders", "tracepoint", runs, others)


def measure_kprobe(runs: int) -> dict[str, Any]:
    """Compare untraced and the kprobe engine; loading it takes minutes."""
    return _with_engine("kprobe", "kprobe", min(runs, 2), None)
