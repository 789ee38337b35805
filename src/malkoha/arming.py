"""The armed snapshot: a machine saved in the moment in which its tracer waits for the first process of a sample.

In: an image and the name of an engine. Out: the snapshot, found by a hash of all that went into it, or made now: the
image is booted, the agent is loaded, the module is compiled and loaded, and the whole machine is saved.

    MALKOHA_HOME/snapshots/<key>/armed.json     where the ring is; written last, so it says that the rest is whole
    MALKOHA_HOME/snapshots/<key>/machine/       what machinery.snapshot keeps
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import re
import secrets
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from malkoha.config import Settings
from malkoha.engine import source
from malkoha.errors import GuestError, HostError, MachineError, TraceError
from malkoha.guest import payload
from malkoha.guest.client import GuestClient
from malkoha.machinery import buildroot, cleanup, kvm, snapshot
from malkoha.machinery.base import running
from malkoha.machinery.command import Accelerator, MachineSpec
from malkoha.machinery.image import Image
from malkoha.machinery.qemu import Machine
from malkoha.machinery.snapshot import Snapshot
from malkoha.network import addresses as network
from malkoha.progress import SILENT, Progress
from malkoha.store import Home
from malkoha.trace.ring import Ring

FORMAT = 2
BOOT_S = 240.0
LOAD_S: dict[source.Engine, float] = {"tracepoint": 180.0, "kprobe": 1800.0}
"""Deadlines in seconds; under software emulation the kprobe engine takes minutes to register its probes."""
READY_S = 60.0
"""How long a tracer that has announced itself may take to put its probes in place."""
YOUNGEST_S, OLDEST_S = 9 * 86400, 58 * 86400
"""How long an armed guest seems to run already; which of it is drawn once for each snapshot."""

MODULE_NAMES: dict[source.Engine, str] = {"tracepoint": "intel_uncore_freq", "kprobe": "intel_uncore_perf"}
"""Until the module has taken itself off all lists, it bears a name that a server's kernel may well have."""


class Armed(msgspec.Struct, frozen=True):
    """One armed snapshot."""

    snapshot: Snapshot
    ring: int
    """Physical address of the ring's header in the guest."""
    engine: str
    arming_s: float
    """How long it took to make."""
    nic: bool = False
    authority: Path = Path()
    """Folder of the certificate authority that a guest with a network card trusts."""


class _Record(msgspec.Struct):
    format: int
    ring: int
    engine: str
    image: str
    arming_s: float
    nic: bool = False


def machine_spec(
    image: Image, home: Home, settings: Settings, *, nic: bool = False, skip_idle: bool = False
) -> MachineSpec:
    """Return the machine that this image runs in on this host, with or without a network card.

    With ``skip_idle`` its time jumps over waiting, which only software emulation can do.
    """
    accelerator: Accelerator = "tcg"
    if not skip_idle:
        accelerator = _accelerator(image, home, settings)
    return MachineSpec(
        kernel=image.kernel,
        initrd=image.initrd,
        disk=image.disk,
        accelerator=accelerator,
        memory_mb=settings.guest.memory_mb,
        cpus=settings.guest.cpus,
        append=image.kernel_arguments,
        nic=nic,
        skip_idle=skip_idle,
        binary=settings.machine.qemu,
    )


def _accelerator(image: Image, home: Home, settings: Settings) -> Accelerator:
    chosen = kvm.choose(
        home,
        image.kernel,
        settings.machine.accelerator,
        binary=settings.machine.qemu,
        timeout_s=settings.machine.kvm_probe_timeout_s,
    )
    return chosen.accelerator


def key(image: Image, engine: source.Engine, spec: MachineSpec) -> str:
    """Name the snapshot that these inputs make."""
    inputs = [
        FORMAT,
        image.id,
        image.created_at,
        engine,
        source.script(engine),
        source.ENGINE_OPTIONS[engine],
        MODULE_NAMES[engine],
        payload.digest(),
        snapshot.fingerprint(spec),
    ]
    return hashlib.sha256(msgspec.json.encode(inputs)).hexdigest()[:32]


def find(home: Home, name: str) -> Armed | None:
    """Return the armed snapshot of that key, or None when there is no whole one."""
    folder = home.snapshots / name
    try:
        record = msgspec.json.decode((folder / "armed.json").read_bytes(), type=_Record)
        if record.format != FORMAT:
            return None
        saved = snapshot.open_snapshot(folder / "machine")
    except (OSError, msgspec.DecodeError, MachineError):
        return None
    return Armed(saved, record.ring, record.engine, record.arming_s, record.nic, folder / "authority")


def prune(home: Home) -> int:
    """Remove all snapshots but the ones that were used last, of each engine with and without a network card.

    Returns the bytes freed.

    To be called when no machine runs. What is missing later is made anew.
    """
    kept: set[tuple[str, bool]] = set()
    freed = 0
    folders = [path for path in home.snapshots.glob("*") if path.is_dir()]
    for folder in sorted(folders, key=lambda path: path.stat().st_mtime, reverse=True):
        found = find(home, folder.name)
        if found is not None and (found.engine, found.nic) not in kept:
            kept.add((found.engine, found.nic))
            continue
        freed += sum(path.lstat().st_blocks * 512 for path in folder.rglob("*"))
        shutil.rmtree(folder, ignore_errors=True)
    return freed


def armed(
    image: Image,
    engine: source.Engine,
    home: Home,
    settings: Settings,
    progress: Progress = SILENT,
    *,
    nic: bool = False,
    skip_idle: bool = False,
) -> tuple[MachineSpec, Armed]:
    """Return the armed snapshot for an image and an engine, making it where there is none.

    Two callers who want the same one: the second waits. A half-made or damaged one is thrown away.
    """
    spec = machine_spec(image, home, settings, nic=nic, skip_idle=skip_idle)
    name = key(image, engine, spec)
    found = find(home, name)
    if found is None:
        with _locked(home, name):
            found = find(home, name)
            if found is None:
                shutil.rmtree(home.snapshots / name, ignore_errors=True)
                _arm(image, engine, spec, home, home.snapshots / name, progress)
                found = find(home, name)
    if found is None:
        raise HostError("the armed snapshot vanished while it was made", mend="try again")
    with contextlib.suppress(OSError):
        # the time of its last use, for prune(); the system's own stamp is too coarse to tell two uses apart
        os.utime(home.snapshots / name, ns=(time.time_ns(),) * 2)
    return spec, found


def _arm(image: Image, engine: source.Engine, spec: MachineSpec, home: Home, target: Path, progress: Progress) -> None:
    module = buildroot.compile_module(
        image,
        name=MODULE_NAMES[engine],
        script=source.script(engine),
        options=source.ENGINE_OPTIONS[engine],
        needs_symbols=engine == "kprobe",
        progress=progress,
    )
    started = time.monotonic()
    folder = cleanup.partial(target)
    try:
        with running(Machine(spec, home)) as machine:
            wiring = network.wiring(folder / "authority") if spec.nic else None
            ring = _load(machine, image, engine, module.path.read_bytes(), wiring, progress)
            progress.step("Saving the armed machine")
            snapshot.save(machine, folder / "machine")
        record = _Record(FORMAT, ring, engine, image.id, round(time.monotonic() - started, 1), spec.nic)
        (folder / "armed.json").write_bytes(msgspec.json.encode(record))
        (folder / cleanup.OWNER).unlink()
        folder.rename(target)
    except OSError as error:
        raise HostError("the armed snapshot cannot be kept", error.strerror or str(error)) from error
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _load(
    machine: Machine,
    image: Image,
    engine: source.Engine,
    module: bytes,
    wiring: dict[str, Any] | None,
    progress: Progress,
) -> int:
    """Bring the agent, the network and the tracer up and return the address that the tracer announced."""
    progress.step("Booting the guest")
    with GuestClient(machine.agent_socket) as guest:
        try:
            guest.connect(BOOT_S)
            progress.step("Loading the agent")
            guest.load_agent(BOOT_S)
            if wiring is not None:
                progress.step("Connecting the guest to its network")
                guest.connect_network(wiring)
            progress.step(f"Loading the {engine} engine into the guest's kernel")
            line = guest.arm(module, MODULE_NAMES[engine], buildroot.loader_files(image), LOAD_S[engine])
            address = ring_address(line)
            age_s = YOUNGEST_S + secrets.randbelow(OLDEST_S - YOUNGEST_S)
            grow_old(await_ring(machine, address), age_s)
            guest.settle(MODULE_NAMES[engine], age_s)
        except GuestError as error:
            said = machine.console.decode("utf-8", "backslashreplace").strip().splitlines()
            raise GuestError(error.what, error.why, error.mend or (f"console: {said[-1]}" if said else "")) from error
    return address


def grow_old(ring: Ring, seconds: int) -> None:
    """Have the guest's clocks say that it has run for some time; TraceError when nothing in it does that."""
    deadline = time.monotonic() + READY_S
    ring.grow_old(seconds)
    while ring.aging:
        if time.monotonic() > deadline:
            raise TraceError("the tracer does not set the guest's clocks", "its pulse cannot be felt")
        time.sleep(0.02)


def await_ring(machine: Machine, address: int) -> Ring:
    """Wait until the tracer's probes are in place, which its ring's header tells; TraceError when they never are."""
    deadline = time.monotonic() + READY_S
    while True:
        try:
            return Ring(machine.memory, address)
        except TraceError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.02)


def ring_address(line: str) -> int:
    """Read the tracer's announcement ``ring <hexadecimal address>`` (engine/follow.stp)."""
    found = re.fullmatch(r"ring (?:0x)?([0-9a-f]{1,16})\n?", line)
    if found and int(found[1], 16):
        return int(found[1], 16)
    raise GuestError("the tracer did not say where its ring is", repr(line[:200]))


@contextlib.contextmanager
def _locked(home: Home, name: str) -> Iterator[None]:
    home.snapshots.mkdir(parents=True, exist_ok=True)
    path = home.snapshots / f".{name}.lock"
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
