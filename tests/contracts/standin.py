"""A machine without a machine: a thread that answers lines, with real guest memory, for tests of what uses machines."""

from __future__ import annotations

import contextlib
import secrets
import socket
import tempfile
import threading
from pathlib import Path
from typing import ClassVar

from malkoha.errors import MachineError
from malkoha.machinery import Machinery, State
from malkoha.machinery.memory import GuestMemory
from malkoha.machinery.snapshot import Snapshot

SIZE = 1 << 20


class StandIn(Machinery):
    """Answers each line that comes over the agent's socket with itself, a newline and a line ``.``."""

    name: ClassVar[str] = "stand-in"

    def __init__(self) -> None:
        self._state: State = "off"
        self._used = False
        self._memory: GuestMemory | None = None
        self._listener: socket.socket | None = None
        self._client: socket.socket | None = None
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._folder: tempfile.TemporaryDirectory[str] | None = None
        self._path = Path()

    def start(self) -> None:
        if self._used:
            raise MachineError("A machine can be started only once")
        self._used = True
        self._memory = GuestMemory(SIZE)
        self._folder = tempfile.TemporaryDirectory()
        self._path = Path(self._folder.name) / secrets.token_hex(4)
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(self._path))
        self._listener.listen(1)
        self._state = "running"
        self._thread.start()

    def restore(self, snapshot: Snapshot) -> None:
        if not snapshot.ram.is_file():
            raise MachineError(f"There is no snapshot at {snapshot.folder}")
        self.start()
        self.memory.write(0, snapshot.ram.read_bytes())

    def save(self, folder: Path) -> Snapshot:
        folder.mkdir(parents=True)
        snapshot = Snapshot(folder, "stand-in", 1, SIZE)
        snapshot.ram.write_bytes(self.memory.read(0, SIZE))
        return snapshot

    def _serve(self) -> None:
        assert self._listener is not None
        listener = self._listener
        while True:
            try:
                self._client = listener.accept()[0]
            except OSError:
                return
            with self._client as client, contextlib.suppress(OSError):
                while line := self._line(client):
                    if line == b"poweroff\n":
                        self._state = "off"
                        return
                    client.sendall(line + b"\n.\n")

    @staticmethod
    def _line(client: socket.socket) -> bytes:
        line = b""
        while not line.endswith(b"\n"):
            byte = client.recv(1)
            if not byte:
                return b""
            line += byte
        return line

    def stop(self) -> None:
        self._used = True
        self._state = "off"
        for end in (self._listener, self._client):
            if end is not None:
                with contextlib.suppress(OSError):
                    end.shutdown(socket.SHUT_RDWR)
                end.close()
        self._listener = self._client = None
        if self._thread.is_alive():
            self._thread.join()
        if self._folder is not None:
            self._folder.cleanup()
            self._folder = None

    def close(self) -> None:
        self.stop()
        if self._memory is not None:
            self._memory.close()

    def state(self) -> State:
        return self._state

    @property
    def agent_socket(self) -> Path:
        if self._folder is None:
            raise MachineError("The machine has no agent socket", "it does not run")
        return self._path

    @property
    def memory(self) -> GuestMemory:
        if self._memory is None:
            raise MachineError("The machine has no memory", "it was not started")
        return self._memory
