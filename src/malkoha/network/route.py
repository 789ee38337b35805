"""The host's side of one analysis's network: starts the simulator, hands QEMU its wire, and collects what was kept.

In: a mode, the analysis folder, the authority that the guest trusts. Out: a socket for ``Machine.plug`` and, at the
end, a NetworkRun that says which network it was, how it was made, and what was left out.
"""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
from pathlib import Path
from types import TracebackType
from typing import Self

import msgspec

from malkoha.errors import HostError
from malkoha.machinery.spawn import spawn
from malkoha.model.task import NetworkRun
from malkoha.network.simulator import Plan, Said
from malkoha.store import Store

READY_S = 20.0
END_S = 20.0
PACKAGE = Path(__file__).parents[2]


class Route:
    """One analysis's network; enter it before the machine is restored, leave it after the machine has ended."""

    def __init__(
        self, mode: str, store: Store, authority: Path, answers: str = "", capture_limit: int = 256 << 20
    ) -> None:
        self.result = NetworkRun(mode=mode, way="")
        self._store, self._authority, self._answers, self._limit = store, authority, answers, capture_limit
        self._process: subprocess.Popen[bytes] | None = None
        self._control: socket.socket | None = None
        self._near: socket.socket | None = None
        self._far: socket.socket | None = None
        self._said = b""

    def __enter__(self) -> Self:
        """Start the process; it makes itself ready while the machine is restored."""
        self._near, self._far = socket.socketpair()
        self._start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.finish()

    def take_wire(self) -> socket.socket:
        """Give the end of the wire that belongs to QEMU, once."""
        wire, self._near = self._near, None
        if wire is None:
            raise HostError("the network's wire was taken already")
        return wire

    def ready(self) -> NetworkRun:
        """Wait until somebody is at the other end; where no namespace can be made, nothing answers there."""
        said = self._hear(READY_S)
        if said is None or not said.ready:
            why = (said.error if said is not None else self._last_words()) or "it did not say why"
            if self.result.mode != "sim":
                raise HostError("the network could not be started", why)
            self.result.remarks.append(f"no simulated internet, nothing answers instead: {why}")
            self._end()
            self.result.mode = "drop"
            self._start()
            return self.ready()
        self.result.way = f"a namespace of its own ({said.link})" if said.link != "none" else "no namespace, no answers"
        if self._far is not None:
            self._far.close()
            self._far = None
        return self.result

    def finish(self) -> NetworkRun:
        """End it, and return what it was; harmless when it has ended."""
        if self._process is None:
            return self.result
        with contextlib.suppress(OSError):
            if self._control is not None:
                self._control.shutdown(socket.SHUT_WR)
        said = self._hear(END_S)
        if said is None:
            self.result.remarks.append(f"the network's process ended badly: {self._last_words() or 'it said nothing'}")
        else:
            self.result.frames, self.result.sessions = said.frames, said.sessions
            for number, words in (
                (said.uncaptured, "frames are not in the capture, which is full"),
                (said.dropped, "frames were dropped on their way"),
                (said.omitted, "conversations were not kept, there were too many"),
                (said.refused, "connections or ports were refused, there were too many at a time"),
            ):
                if number:
                    self.result.remarks.append(f"network: {number} {words}")
        self._end()
        for end in (self._near, self._far):
            if end is not None:
                end.close()
        self._near = self._far = None
        return self.result

    # -- the process -----------------------------------------------------------------------------------------------

    def _start(self) -> None:
        if self._far is None:
            raise HostError("the network's wire is gone")
        folder = self._store.network
        folder.mkdir(parents=True, exist_ok=True)
        self._said = b""
        ours, theirs = socket.socketpair()
        with (
            theirs,
            self._store.pcap.open("wb") as capture,
            self._store.network_log.open("ab") as log,
        ):
            plan = Plan(
                mode=self.result.mode,
                wire=self._far.fileno(),
                control=theirs.fileno(),
                capture=capture.fileno(),
                folder=str(folder.absolute()),
                authority=str(self._authority.absolute()),
                answers=self._answers,
                capture_limit=self._limit,
            )
            self._control = ours
            self._process = spawn(
                [*_namespace(self.result.mode), sys.executable, "-m", "malkoha.network.simulator", _text(plan)],
                stderr=log.fileno(),
                pass_fds=(plan.wire, plan.control, plan.capture),
                environment={
                    "PATH": os.environ.get("PATH", "") + ":/usr/sbin:/sbin",
                    "PYTHONPATH": str(PACKAGE),
                    "LC_ALL": "C.UTF-8",
                },
            )

    def _end(self) -> None:
        """Close what is open and make sure that the process is gone."""
        process, self._process = self._process, None
        if self._control is not None:
            self._control.close()
            self._control = None
        if process is None:
            return
        try:
            process.wait(END_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def _hear(self, wait_s: float) -> Said | None:
        """Return the next thing that the process says, None when it says nothing sensible in time."""
        if self._control is None:
            return None
        self._control.settimeout(wait_s)
        try:
            while b"\n" not in self._said:
                more = self._control.recv(4096)
                if not more:
                    return None
                self._said += more
            line, _, self._said = self._said.partition(b"\n")
            return msgspec.json.decode(line, type=Said)
        except (OSError, msgspec.MsgspecError):
            return None

    def _last_words(self) -> str:
        """Return the last line of what the process wrote on standard error."""
        try:
            lines = self._store.network_log.read_text(errors="replace").splitlines()
        except OSError:
            return ""
        return lines[-1][:300] if lines else ""


def _namespace(mode: str) -> list[str]:
    """Return the command that gives what follows a network of its own: with root directly, else as root of a user
    namespace; nothing where nothing is simulated."""
    if mode != "sim":
        return []
    return ["unshare", "--net", "--"] if os.geteuid() == 0 else ["unshare", "--map-root-user", "--net", "--"]


def _text(plan: Plan) -> str:
    return msgspec.json.encode(plan).decode()
