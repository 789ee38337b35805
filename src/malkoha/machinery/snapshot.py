"""Saved machines: a folder with the state of the devices, the memory and the disk, restored as often as one likes.

    snapshot.json   what it is and how large its parts are
    state.bin       QEMU's migration stream without the memory
    ram.bin         the memory, as a sparse file: pages of zeros are holes
    disk.qcow2      what was written to the disk before saving, read-only from now on, laid over the image's disk

The memory does not go through QEMU: the guest's RAM is a memfd of ours, which is filled from ram.bin while QEMU starts
(capability x-ignore-shared). The folder appears under its name only when it is complete.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import socket
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from malkoha.errors import HostError, MachineError
from malkoha.machinery import disk
from malkoha.machinery.cleanup import OWNER, partial
from malkoha.machinery.command import Descriptors, MachineSpec, command
from malkoha.machinery.sparse import Filling, keep_file, keep_memory
from malkoha.machinery.spawn import find

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from malkoha.machinery.qemu import Machine

FORMAT = 1
STREAM_S = 120.0
STATE_LIMIT = 64 << 20


class _Record(msgspec.Struct, frozen=True):
    """Contents of snapshot.json."""

    format: int
    fingerprint: str
    memory_mb: int
    state_bytes: int
    ram_bytes: int
    ram_used: int
    disk_bytes: int


class Snapshot(msgspec.Struct, frozen=True):
    """A saved machine on disk."""

    folder: Path
    fingerprint: str
    memory_mb: int
    used: int
    """Bytes of memory that are not zero: what has to be copied for each restore."""

    @property
    def state(self) -> Path:
        return self.folder / "state.bin"

    @property
    def ram(self) -> Path:
        return self.folder / "ram.bin"

    @property
    def disk(self) -> Path:
        return self.folder / "disk.qcow2"


def fingerprint(spec: MachineSpec) -> str:
    """Return the part of a cache key that says on which QEMU and for which machine a state is good.

    The program is told by its size and time rather than by running it; a new package changes both. With KVM the
    processor is part of the state too.
    """
    binary = Path(find(spec.binary, "qemu-system-x86")).resolve().stat()
    # where the files lie does not matter; what they are is in the name of the image
    sizes = [_size(path) for path in (spec.kernel, spec.initrd, spec.disk)]
    plain = replace(spec, kernel=Path("kernel"), initrd=Path("initrd"), disk=Path("disk"))
    options = command(plain, "qemu", Descriptors(0, 0, 0, 0, 0, 0), incoming=True, frozen=Path("frozen"))
    processor = _host_processor() if spec.accelerator == "kvm" else ""
    key = [FORMAT, options, sizes, binary.st_size, binary.st_mtime_ns, processor]
    return hashlib.sha256(msgspec.json.encode(key)).hexdigest()[:32]


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError as error:
        raise MachineError("The image is not complete", f"{path}: {error.strerror}", "malkoha image build") from error


def _host_processor() -> str:
    """Return what /proc/cpuinfo says about the first processor, without what changes from moment to moment."""
    lines = Path("/proc/cpuinfo").read_text().partition("\n\n")[0].splitlines()
    return "\n".join(line for line in lines if line.split("\t")[0] in {"model name", "flags", "microcode", "stepping"})


def open_snapshot(folder: Path) -> Snapshot:
    """Read a saved machine's description; MachineError when it is missing or not whole."""
    mend = "remove it; it is made anew by the next analysis"
    try:
        record = msgspec.json.decode((folder / "snapshot.json").read_bytes(), type=_Record)
    except FileNotFoundError:
        raise MachineError(f"There is no snapshot at {folder}") from None
    except (OSError, msgspec.DecodeError, msgspec.ValidationError) as error:
        raise MachineError(f"The snapshot {folder} is damaged", str(error), mend) from error
    if record.format != FORMAT:
        raise MachineError(f"The snapshot {folder} is of another malkoha", f"format {record.format}", mend)
    for name, size in (
        ("state.bin", record.state_bytes),
        ("ram.bin", record.ram_bytes),
        ("disk.qcow2", record.disk_bytes),
    ):
        path = folder / name
        if not path.is_file() or path.stat().st_size != size:
            raise MachineError(f"The snapshot {folder} is damaged", f"{name} is missing or has another size", mend)
    return Snapshot(folder, record.fingerprint, record.memory_mb, record.ram_used)


def save(machine: Machine, folder: Path) -> Snapshot:
    """Pause a running machine and keep it under ``folder``; it stays paused and is to be stopped.

    HostError when the disk is full. An agent's connection is not part of it: see docs/guides/machines.md.
    """
    folder = folder.absolute()
    if folder.exists():
        raise MachineError(f"The snapshot {folder} exists already")
    if machine.restored:
        raise MachineError("A restored machine cannot be saved", "its disk lies on top of another snapshot's")
    making = partial(folder)
    try:
        machine.qmp("stop")
        state = making / "state.bin"
        _keep_state(machine, state)
        used = keep_memory(machine.memory, making / "ram.bin")
        keep_file(machine.overlay_fd, making / "disk.qcow2")
        disk.virtual_size(making / "disk.qcow2")
        record = _Record(
            format=FORMAT,
            fingerprint=fingerprint(machine.spec),
            memory_mb=machine.spec.memory_mb,
            state_bytes=state.stat().st_size,
            ram_bytes=machine.memory.size,
            ram_used=used,
            disk_bytes=(making / "disk.qcow2").stat().st_size,
        )
        (making / "snapshot.json").write_bytes(msgspec.json.format(msgspec.json.encode(record)))
        _settle(making)
        making.rename(folder)
    except OSError as error:
        raise HostError("The machine cannot be saved", f"{folder}: {error.strerror}") from error
    finally:
        shutil.rmtree(making, ignore_errors=True)
    return open_snapshot(folder)


@contextlib.contextmanager
def _stream(machine: Machine, work: Callable[[socket.socket], None]) -> Iterator[None]:
    """Give QEMU one end of a connection under the name "state", and let a thread do ``work`` on the other.

    Not the file itself: QEMU gives up "fd:" for plain files (deprecated since 9.1), and so its size is bounded here.
    """
    ours, theirs = socket.socketpair()
    ours.settimeout(STREAM_S)
    with ours, ThreadPoolExecutor(1, "malkoha-state") as copier:
        try:
            with theirs:
                machine.send_file("state", theirs.fileno())
            done = copier.submit(work, ours)
            yield
        except BaseException:
            # wakes the thread, whatever QEMU does
            ours.shutdown(socket.SHUT_RDWR)
            raise
        done.result()


def _keep_state(machine: Machine, target: Path) -> None:
    """Have QEMU write its state and keep what comes."""

    def copy(source: socket.socket) -> None:
        size = 0
        with target.open("xb") as file:
            while chunk := source.recv(1 << 16):
                size += len(chunk)
                if size > STATE_LIMIT:
                    source.shutdown(socket.SHUT_RDWR)
                    raise MachineError("The machine's state is too large", f"more than {STATE_LIMIT >> 20} MB")
                file.write(chunk)

    with _stream(machine, copy):
        machine.migrate("migrate", "fd:state")


def _feed_state(machine: Machine, source: Path) -> None:
    """Have QEMU read a saved state."""

    def write(target: socket.socket) -> None:
        # QEMU may give up in the middle; why it did stands on its standard error
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            target.sendall(source.read_bytes())
            target.shutdown(socket.SHUT_WR)

    with _stream(machine, write):
        machine.migrate("migrate-incoming", "fd:state")


def _settle(folder: Path) -> None:
    """Bring all files to the disk and make them read-only, so that the name stands for whole contents."""
    (folder / OWNER).unlink()
    for path in folder.iterdir():
        with path.open("rb") as file:
            os.fsync(file.fileno())
        path.chmod(0o400)


def load(machine: Machine, snapshot: Snapshot) -> None:
    """Bring a machine that was not started yet to the saved moment and let it run; ``Machine.restore`` calls it."""
    snapshot = open_snapshot(snapshot.folder)
    if snapshot.fingerprint != fingerprint(machine.spec):
        raise MachineError(
            f"The snapshot {snapshot.folder} is for another machine or another QEMU",
            "",
            "remove it; it is made anew by the next analysis",
        )
    filling = Filling(machine.reserve_memory(), snapshot.ram)
    try:
        machine.launch_for(snapshot)
        # devices look into the memory while they are loaded (virtio reads its rings), so it has to be there
        filling.done()
        _feed_state(machine, snapshot.state)
        machine.resume()
    except OSError as error:
        raise MachineError(f"The snapshot {snapshot.folder} cannot be read", error.strerror or str(error)) from error
    finally:
        filling.abandon()
