"""A process of one analysis's network: started with its orders, heard on its control socket, ended by closing that."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import msgspec

from malkoha.machinery.spawn import spawn
from malkoha.network.orders import Order, Plan, Said

END_S = 20.0
PACKAGE = Path(__file__).parents[2]


class Child:
    """One process; ``log`` takes what it writes on standard error."""

    def __init__(self, log: Path) -> None:
        self.control, self.theirs = socket.socketpair()
        self.process: subprocess.Popen[bytes] | None = None
        self._log = log
        self._said = b""

    def start(self, module: str, orders: Plan | Order, inherited: Sequence[int], before: Sequence[str] = ()) -> None:
        """Run a module of this package with its orders; ``before`` are words that give it its place."""
        with self.theirs, self._log.open("ab") as log:
            self.process = spawn(
                [*before, sys.executable, "-m", f"malkoha.network.{module}", msgspec.json.encode(orders).decode()],
                stderr=log.fileno(),
                pass_fds=(self.theirs.fileno(), *inherited),
                environment={
                    "PATH": os.environ.get("PATH", "") + ":/usr/sbin:/sbin",
                    "PYTHONPATH": str(PACKAGE),
                    "LC_ALL": "C.UTF-8",
                },
            )

    def hear(self, wait_s: float) -> Said | None:
        """Return the next thing that it says, None when it says nothing sensible in time."""
        self.control.settimeout(wait_s)
        try:
            while b"\n" not in self._said:
                more = self.control.recv(4096)
                if not more:
                    return None
                self._said += more
            line, _, self._said = self._said.partition(b"\n")
            return msgspec.json.decode(line, type=Said)
        except (OSError, msgspec.MsgspecError):
            return None

    def dismiss(self) -> None:
        """Tell it that the host has heard enough; it still says what it counted."""
        with contextlib.suppress(OSError):
            self.control.shutdown(socket.SHUT_WR)

    def end(self) -> None:
        """Close what is open and make sure that it is gone."""
        process, self.process = self.process, None
        self.control.close()
        self.theirs.close()
        if process is None:
            return
        try:
            process.wait(END_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def last_words(self) -> str:
        """Return the last line of what it wrote on standard error."""
        try:
            lines = self._log.read_text(errors="replace").splitlines()
        except OSError:
            return ""
        return lines[-1][:300] if lines else ""
