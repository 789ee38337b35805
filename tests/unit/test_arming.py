"""The armed snapshot with a stand-in for machine and module: its key, its making, and what happens when that fails."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import msgspec
import pytest

from malkoha import arming
from malkoha.config import Guest, Settings
from malkoha.config import Machine as MachineSettings
from malkoha.engine import source
from malkoha.errors import GuestError, HostError, MachineError, TraceError
from malkoha.guest import payload
from malkoha.inguest.protocol import encode
from malkoha.machinery import buildroot, snapshot
from malkoha.machinery.cleanup import PARTIAL
from malkoha.machinery.image import Image
from malkoha.machinery.qemu import Machine
from malkoha.machinery.snapshot import Snapshot
from malkoha.progress import SILENT, Progress
from malkoha.store import Home
from tests.fake_guest import FakeGuest, Head, polite
from tests.guest_ring import HEADER, GuestRing


class FakeMachine:
    """Boots at once; its agent is a fake guest's."""

    made: list[FakeMachine] = []

    def __init__(self, guest: Path) -> None:
        self.agent_socket = guest
        self.console = b"[    1.0] hello\n[    2.0] last \xff words\n"
        self.closed = False
        FakeMachine.made.append(self)

    def start(self) -> None:
        assert not self.closed

    def close(self) -> None:
        self.closed = True


class AgingRing:
    """A ring whose guest needs a moment to grow old."""

    def __init__(self) -> None:
        self.grown: list[int] = []
        self._looks = 0

    def grow_old(self, seconds: int) -> None:
        self.grown.append(seconds)

    @property
    def aging(self) -> bool:
        self._looks += 1
        return self._looks % 3 > 0


class Bench:
    """An image, settings, and everything that arming uses replaced by something quick."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.home = Home(folder / "home")
        self.saved = 0
        self.fail: BaseException | None = None
        self.fail_save: Exception | None = None
        image = folder / "image"
        image.mkdir()
        for name in ("kernel", "initrd", "disk.qcow2"):
            (image / name).write_bytes(b"x")
        qemu = folder / "qemu"
        qemu.write_text("#!/bin/sh\n")
        qemu.chmod(0o755)
        self.settings = Settings(machine=MachineSettings(accelerator="tcg", qemu=str(qemu)))
        self.image = Image(
            name="default",
            id="i" * 20,
            folder=image,
            kernel_release="6.12",
            kernel_arguments="quiet",
            packages=(),
            created_at=datetime(2026, 1, 1, tzinfo=UTC),
            sizes={},
            sources=(),
            build_part="b",
            guest_part="g",
        )
        self.module = folder / "module.ko"
        self.module.write_bytes(b"module")
        self.guest = FakeGuest(folder / "agent", self.answer)
        self.line = "ring 12ab000"
        self.ring = AgingRing()

    def answer(self, head: Head) -> bytes:
        if head["do"] == "arm":
            return encode({"id": head["id"], "line": self.line})
        return polite(head)

    def compile(self, image: Image, **options: Any) -> object:
        time.sleep(0.1)
        if self.fail is not None:
            raise self.fail
        return SimpleNamespace(path=self.module)

    def save(self, machine: object, folder: Path) -> Snapshot:
        if self.fail_save is not None:
            raise self.fail_save
        self.saved += 1
        folder.mkdir()
        for name in ("state.bin", "ram.bin", "disk.qcow2"):
            (folder / name).write_bytes(name.encode())
        record = {"format": snapshot.FORMAT, "fingerprint": "f", "memory_mb": 1, "ram_used": 1}
        sizes = {"state_bytes": 9, "ram_bytes": 7, "disk_bytes": 10}
        (folder / "snapshot.json").write_bytes(msgspec.json.encode(record | sizes))
        return snapshot.open_snapshot(folder)

    def spec(self) -> Any:
        return arming.machine_spec(self.image, self.home, self.settings)

    def key(self) -> str:
        return arming.key(self.image, "tracepoint", self.spec())

    def armed(self, progress: Progress = SILENT) -> arming.Armed:
        return arming.armed(self.image, "tracepoint", self.home, self.settings, progress)[1]

    def left(self) -> list[str]:
        """What lies in the folder of snapshots besides locks."""
        return sorted(path.name for path in self.home.snapshots.iterdir() if not path.name.endswith(".lock"))


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    bench = Bench(tmp_path)
    FakeMachine.made = []
    monkeypatch.setattr(arming, "Machine", lambda spec, home: FakeMachine(tmp_path / "agent"))
    monkeypatch.setattr(buildroot, "compile_module", bench.compile)
    monkeypatch.setattr(buildroot, "loader_files", lambda image: {"staprun": b"s"})
    monkeypatch.setattr(snapshot, "save", bench.save)
    monkeypatch.setattr(arming, "await_ring", lambda machine, address: bench.ring)
    yield bench
    assert all(machine.closed for machine in FakeMachine.made)
    bench.guest.close()


def test_made_once_and_found_again(bench: Bench) -> None:
    first = bench.armed()
    assert (first.ring, first.engine, bench.saved) == (0x12AB000, "tracepoint", 1)
    assert first.snapshot.folder == bench.home.snapshots / bench.key() / "machine"
    assert bench.armed() == first
    assert bench.saved == 1
    assert bench.left() == [bench.key()]
    assert sorted(path.name for path in (bench.home.snapshots / bench.key()).iterdir()) == ["armed.json", "machine"]
    asked = [head["do"] for head in bench.guest.asked]
    assert asked == ["load", "hello", "stage", "put", "put", "arm", "settle"]
    (age_s,) = bench.ring.grown
    assert 9 * 86400 <= age_s <= 58 * 86400
    assert bench.guest.asked[-1]["age_s"] == age_s


def test_pruning_keeps_the_one_used_last(bench: Bench) -> None:
    old, kept = bench.armed(), bench.key()
    bench.image = msgspec.structs.replace(bench.image, id="j" * 20)
    bench.armed()
    assert bench.key() != kept
    bench.image = msgspec.structs.replace(bench.image, id="i" * 20)
    assert bench.armed() == old
    (bench.home.snapshots / "damaged").mkdir()
    arming.prune(bench.home)
    assert bench.left() == [kept]


def test_its_steps_are_told(bench: Bench) -> None:
    told: list[str] = []
    bench.armed(SimpleNamespace(step=lambda title, total=None: told.append(title), advance=lambda *given: None))
    assert told == [
        "Booting the guest",
        "Loading the agent",
        "Loading the tracepoint engine into the guest's kernel",
        "Saving the armed machine",
    ]


# -- the key ---------------------------------------------------------------------------------------------------------


def test_the_key_stays(bench: Bench) -> None:
    assert bench.key() == bench.key()
    assert len(bench.key()) == 32
    moved = msgspec.structs.replace(bench.image, name="another name")
    assert arming.key(moved, "tracepoint", bench.spec()) == bench.key()


def test_the_key_changes_with_each_input(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    spec = bench.spec()
    keys = [arming.key(bench.image, "tracepoint", spec), arming.key(bench.image, "kprobe", spec)]
    changes: list[dict[str, Any]] = [{"id": "j" * 20}, {"created_at": datetime(2026, 1, 2, tzinfo=UTC)}]
    keys += [arming.key(msgspec.structs.replace(bench.image, **change), "tracepoint", spec) for change in changes]
    specs = [replace(spec, memory_mb=512), replace(spec, cpus=7), replace(spec, accelerator="kvm")]
    specs += [replace(spec, append="other")]
    keys += [arming.key(bench.image, "tracepoint", other) for other in specs]
    for owner, name, value in (
        (arming, "FORMAT", 99),
        (source, "script", lambda engine: "another script"),
        (source, "ENGINE_OPTIONS", {"tracepoint": ("-D", "X")}),
        (arming, "MODULE_NAMES", {"tracepoint": "another_name"}),
        (payload, "digest", lambda: "another agent"),
        (snapshot, "fingerprint", lambda spec: "another machine"),
    ):
        with monkeypatch.context() as patch:
            patch.setattr(owner, name, value)
            keys.append(arming.key(bench.image, "tracepoint", spec))
    assert len(set(keys)) == len(keys)


def test_the_machine_is_that_of_the_settings(bench: Bench) -> None:
    settings = Settings(guest=Guest(memory_mb=512, cpus=3), machine=bench.settings.machine)
    spec = arming.machine_spec(bench.image, bench.home, settings)
    assert (spec.memory_mb, spec.cpus, spec.accelerator, spec.append) == (512, 3, "tcg", "quiet")
    assert (spec.kernel, spec.disk) == (bench.image.kernel, bench.image.disk)


def test_a_machine_that_skips_time_is_emulated_and_has_a_snapshot_of_its_own(bench: Bench) -> None:
    plain = arming.machine_spec(bench.image, bench.home, bench.settings)
    spec = arming.machine_spec(bench.image, bench.home, bench.settings, skip_idle=True)
    assert (spec.skip_idle, spec.accelerator, plain.skip_idle) == (True, "tcg", False)
    assert snapshot.fingerprint(spec) != snapshot.fingerprint(plain)


def test_a_tracer_whose_probes_never_come_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    ring = GuestRing()
    machine = cast("Machine", SimpleNamespace(memory=ring.memory))
    assert arming.await_ring(machine, HEADER).size == ring.reader().size
    ring.set("magic", 0)
    monkeypatch.setattr(arming, "READY_S", 0.0)
    with pytest.raises(TraceError, match="not where it should be"):
        arming.await_ring(machine, HEADER)


def test_a_tracer_that_does_not_set_the_clocks_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    ring = GuestRing()
    monkeypatch.setattr(arming, "READY_S", 0.0)
    with pytest.raises(TraceError, match="does not set the guest's clocks"):
        arming.grow_old(ring.reader(), 86400)
    assert ring.word("age") == 86400


# -- what is not whole -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("armed.json", None),
        ("armed.json", b""),
        ("armed.json", b'{"format": 1}'),
        ("armed.json", b'{"format": 99, "ring": 1, "engine": "tracepoint", "image": "x", "arming_s": 1}'),
        ("armed.json", b'{"format": 1, "ring": "1", "engine": "tracepoint", "image": "x", "arming_s": 1}'),
        ("machine/ram.bin", None),
        ("machine/ram.bin", b"shorter than before, or longer"),
        ("machine/snapshot.json", b"{"),
    ],
)
def test_a_damaged_one_is_made_anew(bench: Bench, name: str, content: bytes | None) -> None:
    bench.armed()
    path = bench.home.snapshots / bench.key() / name
    path.unlink()
    if content is not None:
        path.write_bytes(content)
    assert arming.find(bench.home, bench.key()) is None
    assert bench.armed().ring == 0x12AB000
    assert bench.saved == 2
    assert bench.left() == [bench.key()]


def test_a_half_made_one_is_made_anew(bench: Bench) -> None:
    half = bench.home.snapshots / bench.key()
    (half / "machine").mkdir(parents=True)
    (half / "machine" / "ram.bin").write_bytes(b"x")
    assert bench.armed().ring == 0x12AB000


@pytest.mark.parametrize("error", [HostError("no compiler"), KeyboardInterrupt()])
def test_a_module_that_cannot_be_made(bench: Bench, error: BaseException) -> None:
    bench.fail = error
    with pytest.raises(type(error)):
        bench.armed()
    assert bench.left() == []
    bench.fail = None
    assert bench.armed().ring == 0x12AB000


@pytest.mark.parametrize(
    ("error", "raised"), [(MachineError("state too large"), MachineError), (OSError(28, "No space left"), HostError)]
)
def test_a_machine_that_cannot_be_saved(bench: Bench, error: Exception, raised: type[Exception]) -> None:
    bench.fail_save = error
    with pytest.raises(raised):
        bench.armed()
    assert bench.left() == []
    assert FakeMachine.made[0].closed


def test_ctrl_c_while_it_is_made(bench: Bench) -> None:
    def step(title: str, total: float | None = None) -> None:
        if title.startswith("Saving"):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        bench.armed(SimpleNamespace(step=step, advance=lambda *given: None))
    assert bench.left() == []
    assert FakeMachine.made[0].closed


def test_what_goes_wrong_in_the_guest_names_its_last_words(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    bench.line = "what?"
    with pytest.raises(GuestError, match=r"did not say where its ring is: 'what\?'"):
        bench.armed()
    bench.guest.answer = lambda head: b""
    monkeypatch.setattr(arming, "BOOT_S", 0.2)
    with pytest.raises(GuestError, match=r"did not load the agent: nothing in 0.2 s \(console: .* last \\xff words\)"):
        bench.armed()
    assert bench.left() == []


def test_it_vanishes_while_it_is_made(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(arming, "find", lambda home, name: None)
    with pytest.raises(HostError, match="vanished while it was made"):
        bench.armed()


# -- two at a time ---------------------------------------------------------------------------------------------------


def test_the_second_waits_for_the_first(bench: Bench) -> None:
    found: list[arming.Armed] = []
    callers = [threading.Thread(target=lambda: found.append(bench.armed())) for _ in range(3)]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()
    assert bench.saved == 1
    assert len(found) == 3
    assert found[0] == found[1] == found[2]


def test_different_ones_do_not_wait(bench: Bench) -> None:
    with arming._locked(bench.home, "another"):
        assert bench.armed().ring == 0x12AB000


def test_after_a_failure_the_next_makes_it(bench: Bench) -> None:
    errors: list[HostError] = []

    def failing() -> None:
        try:
            bench.armed()
        except HostError as error:
            errors.append(error)

    bench.fail = HostError("first time")
    first = threading.Thread(target=failing)
    first.start()
    first.join()
    bench.fail = None
    assert bench.armed().ring == 0x12AB000
    assert len(errors) == 1
    assert not [name for name in bench.left() if name.startswith(PARTIAL)]


# -- the tracer's line -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "address"), [("ring 12ab000", 0x12AB000), ("ring 0x10\n", 16), ("ring ffffffffffffffff", 2**64 - 1)]
)
def test_the_announcement(line: str, address: int) -> None:
    assert arming.ring_address(line) == address


NO_ANNOUNCEMENT = [
    *("", "ring", "ring ", "ring 0", "ring -5", "ring 1_0", "ring 10 20", "rings 10", "xring 10", "ring 0x", "ring g"),
    *("ring 1\nring 2", "ring 10\n\n", "ring " + "1" * 17, "ring \u0661"),
]


@pytest.mark.parametrize("line", NO_ANNOUNCEMENT)
def test_anything_else_is_no_announcement(line: str) -> None:
    with pytest.raises(GuestError, match="where its ring is"):
        arming.ring_address(line)
