"""One virtual machine under QEMU.

In: a MachineSpec, and a Snapshot when it is to be restored. Out: a guest that runs, its memory, the socket of its
agent, its console. Everything that QEMU writes to is an open file without a name that it inherits: when it ends, in
whatever way, nothing stays behind.
"""

from __future__ import annotations

import contextlib
import os
import resource
import socket
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from malkoha.errors import MachineError
from malkoha.machinery import disk
from malkoha.machinery.base import Machinery, State
from malkoha.machinery.cleanup import OWNER_VARIABLE, RUN_VARIABLE, identity
from malkoha.machinery.command import TB_SIZE_MB, Descriptors, MachineSpec, command, firmware
from malkoha.machinery.memory import GuestMemory
from malkoha.machinery.qmp import Qmp
from malkoha.machinery.sockets import nameless_socket
from malkoha.machinery.spawn import find, spawn
from malkoha.machinery.watch import Watcher

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Iterator

    from malkoha.machinery.snapshot import Snapshot
    from malkoha.store import Home

QUIT_S = 2.0
KILL_S = 10.0
LOAD_S = 120.0
RUN_S = 5.0
OWN_MEMORY_MB = 2048
"""Address space that QEMU needs besides the guest's memory and the translated code."""
RESERVE = 64 << 20
"""Bytes that must be free under MALKOHA_HOME before a machine is started."""
PANIC = b"Kernel panic - not syncing"
RUN_STATES = {"STOP": "paused", "RESUME": "running"}


class Machine(Machinery):
    """A guest under QEMU; started once by ``start`` or ``restore``."""

    name: ClassVar[str] = "qemu"

    def __init__(self, spec: MachineSpec, home: Home) -> None:
        self.spec = spec
        self.home = home
        self.end_reason = ""
        """Why it ended: QEMU's shutdown reason (guest-shutdown, guest-reset, ...) or how the process died."""
        self.disk_errors = 0
        """I/O errors that the guest has seen, mostly because it reached its write limit."""
        self._state: State = "off"
        self._lock = threading.RLock()
        self._files = contextlib.ExitStack()
        self._memory: GuestMemory | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._watcher: Watcher | None = None
        self._qmp: Qmp | None = None
        self._agent_path = -1
        self._overlay = -1
        self.restored = False
        """Whether it came from a snapshot; such a machine cannot be saved again."""
        self._wire: socket.socket | None = None
        self._shutdown = ""
        self._stopping = False
        self._migration: list[str] = []
        self._migrated = threading.Event()

    def plug(self, wire: socket.socket) -> None:
        """Give the network card of a machine that is not started yet its wire: one end of a stream of frames."""
        self._wire = wire

    # -- life ----------------------------------------------------------------------------------------------------

    def start(self) -> None:
        with self._guarded():
            self._launch(None)
            self.resume()

    def restore(self, snapshot: Snapshot) -> None:
        from malkoha.machinery.snapshot import load

        with self._guarded():
            load(self, snapshot)

    @contextlib.contextmanager
    def _guarded(self) -> Iterator[None]:
        """Leave nothing behind when a start fails, and say what QEMU said."""
        try:
            yield
        except MachineError as error:
            self.stop()
            said = self._watcher.stderr.last_line() if self._watcher else ""
            if said and said not in str(error):
                raise MachineError(error.what, f"{error.why}: {said}" if error.why else said, error.mend) from error
            raise
        except BaseException:
            self.stop()
            raise

    def _firmware(self) -> int:
        """Put what the firmware says of itself into a file in memory, which QEMU reads."""
        file = self._file(os.memfd_create("firmware", os.MFD_CLOEXEC))
        os.write(file, firmware(self.spec.identity))
        return file

    def _launch(self, frozen: Path | None, *, incoming: bool = False) -> None:
        """Start a paused QEMU with everything connected."""
        with self._lock:
            if self._process is not None or self._stopping:
                raise MachineError("A machine can be started only once")
            spec = self.spec
            binary = find(spec.binary, "qemu-system-x86")
            for needed in (spec.kernel, spec.initrd, spec.disk):
                if not needed.is_file():
                    raise MachineError("The image is not complete", f"{needed} is missing", "malkoha image build")
            memory = self.reserve_memory()
            self._overlay = self._file(disk.overlay(self.home.run, disk.virtual_size(spec.disk), RESERVE))
            qmp_here, qmp_there = self._pair()
            console_here, console_there = self._pair()
            wire = self._take_wire() if spec.nic else None
            listener, reference = nameless_socket(self.home.run)
            self._agent_path = self._file(reference)
            stderr_here, stderr_there = os.pipe2(os.O_CLOEXEC)
            self._file(stderr_here)
            fds = Descriptors(
                memory=memory.fd,
                overlay=self._overlay,
                qmp=qmp_there.fileno(),
                agent=listener.fileno(),
                console=console_there.fileno(),
                wire=-1 if wire is None else wire.fileno(),
                firmware=self._firmware(),
            )
            try:
                self._process = spawn(
                    command(spec, binary, fds, incoming=incoming, frozen=frozen),
                    stderr=stderr_there,
                    pass_fds=fds.all(),
                    environment=self._environment(),
                    limits=self._limits(),
                )
            finally:
                os.close(stderr_there)
                for theirs in (qmp_there, console_there, listener, wire):
                    if theirs is not None:
                        theirs.close()
            self._state = "paused"
            self._qmp = Qmp(qmp_here, self._on_event)
            self._watcher = Watcher(
                self._process,
                qmp=qmp_here.fileno(),
                console=console_here.fileno(),
                stderr=stderr_here,
                on_qmp=self._qmp.receive,
                on_end=self._on_end,
            )
        self._qmp.greet()

    def launch_for(self, snapshot: Snapshot) -> None:
        """Start a QEMU that waits for the state of ``snapshot``."""
        self.restored = True
        self._launch(snapshot.disk, incoming=True)

    def reserve_memory(self) -> GuestMemory:
        """Make the guest's memory before it is started, so that it can be filled meanwhile."""
        with self._lock:
            if self._memory is None:
                self._memory = GuestMemory(self.spec.memory_mb << 20)
            return self._memory

    def _environment(self) -> dict[str, str]:
        return {
            "PATH": os.environ.get("PATH", "/usr/sbin:/usr/bin:/sbin:/bin"),
            "LC_ALL": "C",
            "MALLOC_ARENA_MAX": "4",
            OWNER_VARIABLE: identity(),
            RUN_VARIABLE: str(self.home.run.absolute()),
        }

    def _limits(self) -> dict[int, int]:
        megabytes = self.spec.memory_mb + TB_SIZE_MB + OWN_MEMORY_MB
        return {
            resource.RLIMIT_AS: megabytes << 20,
            # a saved state goes through QEMU as well, and holds at most what the machine holds
            resource.RLIMIT_FSIZE: self.spec.write_limit_mb << 20,
            resource.RLIMIT_CORE: 0,
        }

    def _file(self, fd: int) -> int:
        self._files.callback(os.close, fd)
        return fd

    def _pair(self) -> tuple[socket.socket, socket.socket]:
        ours, theirs = socket.socketpair()
        self._files.enter_context(ours)
        return ours, theirs

    def _take_wire(self) -> socket.socket:
        """Return the wire that was plugged in, or one at whose other end nobody listens."""
        if self._wire is None:
            return self._pair()[1]
        wire, self._wire = self._wire, None
        return wire

    def stop(self) -> None:
        with self._lock:
            self._stopping = True
            watcher, process, qmp = self._watcher, self._process, self._qmp
        if watcher is not None and process is not None and not watcher.ended.is_set():
            if qmp is not None:
                with contextlib.suppress(MachineError):
                    qmp.execute("quit", timeout_s=QUIT_S)
            if not watcher.join(QUIT_S):
                process.kill()
                if not watcher.join(KILL_S):
                    raise MachineError("QEMU cannot be ended", f"process {process.pid} ignores SIGKILL")
        elif process is not None and watcher is None:
            process.kill()
            process.wait()
        with self._lock:
            self._files.close()
            self._agent_path = self._overlay = -1

    def close(self) -> None:
        try:
            self.stop()
        finally:
            with self._lock:
                if self._memory is not None:
                    self._memory.close()

    # -- what happens --------------------------------------------------------------------------------------------

    def _on_event(self, event: str, data: dict[str, Any]) -> None:
        if event in RUN_STATES:
            self._state = "running" if event == "RESUME" else "paused"
        elif event == "SHUTDOWN":
            self._shutdown = str(data.get("reason", "unknown"))
        elif event == "BLOCK_IO_ERROR":
            self.disk_errors += 1
        elif event == "MIGRATION":
            self._migration.append(str(data.get("status", "")))
            if self._migration[-1] in {"completed", "failed", "cancelled"}:
                self._migrated.set()

    def _on_end(self, status: int) -> None:
        if status == 0 and (self._shutdown or self._stopping):
            self.end_reason = self._shutdown or "host-qmp-quit"
            if self.end_reason == "guest-reset" and PANIC in self.console:
                self.end_reason = "guest-panic"
            self._state = "off"
        elif self._stopping:
            self.end_reason = self._shutdown or "killed"
            self._state = "off"
        else:
            how = f"killed by signal {-status}" if status < 0 else f"exit status {status}"
            said = self._watcher.stderr.last_line() if self._watcher else ""
            self.end_reason = f"{how}: {said}" if said else how
            self._state = "dead"
        if self._qmp is not None:
            self._qmp.lost()
        self._migrated.set()

    def state(self) -> State:
        return self._state

    def wait(self, timeout_s: float) -> bool:
        """Wait until the guest has ended; False when it has not within ``timeout_s`` seconds."""
        return self._watcher is None or self._watcher.join(timeout_s)

    # -- what others use -----------------------------------------------------------------------------------------

    @property
    def agent_socket(self) -> Path:
        if self._agent_path < 0:
            raise MachineError("The machine has no agent socket", "it does not run")
        return Path(f"/proc/{os.getpid()}/fd/{self._agent_path}")

    @property
    def memory(self) -> GuestMemory:
        if self._memory is None:
            raise MachineError("The machine has no memory", "it was not started")
        return self._memory

    @property
    def console(self) -> bytes:
        """The last 256 KiB that the guest has written to its serial port: hostile bytes."""
        return self._watcher.console.bytes() if self._watcher else b""

    @property
    def pid(self) -> int | None:
        """Process of QEMU, None before the start."""
        return self._process.pid if self._process else None

    @property
    def overlay_fd(self) -> int:
        """Descriptor of the throw-away disk."""
        return self._overlay

    @property
    def written(self) -> int:
        """Bytes that the overlay takes on the host."""
        with self._lock:
            return os.fstat(self._overlay).st_blocks * 512 if self._overlay >= 0 else 0

    def qmp(self, name: str, **arguments: Any) -> Any:
        """Run one QMP command; underscores in argument names stand for dashes."""
        if self._qmp is None:
            raise MachineError("The machine is not there", f"{name} was not sent")
        return self._qmp.execute(name, {key.replace("_", "-"): value for key, value in arguments.items()})

    def send_file(self, name: str, fd: int) -> None:
        """Give QEMU an open file under a name, for commands that take one (QMP getfd)."""
        if self._qmp is None:
            raise MachineError("The machine is not there", f"{name} was not sent")
        self._qmp.execute("getfd", {"fdname": name}, fds=(fd,))

    def migrate(self, name: str, uri: str, timeout_s: float = LOAD_S) -> None:
        """Run "migrate" or "migrate-incoming" to its end; memory itself stays where it is."""
        wanted = [{"capability": key, "state": True} for key in ("events", "x-ignore-shared")]
        self.qmp("migrate-set-capabilities", capabilities=wanted)
        # a guest that is restored has not moved: nobody has to be told where its card is now
        self.qmp("migrate-set-parameters", announce_rounds=0)
        self._migration.clear()
        self._migrated.clear()
        self.qmp(name, uri=uri)
        if not self._migrated.wait(timeout_s):
            raise MachineError("QEMU does not finish", f"{name} took more than {timeout_s:.0f} s")
        if self._migration[-1:] != ["completed"]:
            # QEMU says why on standard error and ends; wait for that line
            self.wait(1.0)
            raise MachineError("The machine's state could not be moved", self.end_reason or "QEMU gave up")

    def resume(self) -> None:
        """Let a paused guest run."""
        self.qmp("cont")
        deadline = time.monotonic() + RUN_S
        # QEMU tells the event before the answer; a guest that ends at once is past it already
        while self._state == "paused" and time.monotonic() < deadline:
            time.sleep(0.001)
        if self._state == "paused":
            raise MachineError("The guest does not run", f"still paused after {RUN_S:.0f} s")
