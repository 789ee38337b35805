"""QEMU's machine protocol (QMP) over one connected socket: commands out, replies and events in.

Written here rather than taken from qemu.qmp, which brings asyncio into the path of every start (60 ms of imports) and
a second event loop beside the threads that watch QEMU. Protocol: docs/interop/qmp-spec of QEMU.
"""

from __future__ import annotations

import array
import itertools
import queue
import socket
import threading
from typing import TYPE_CHECKING, Any

import msgspec

from malkoha.errors import MachineError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

REPLY_TIMEOUT_S = 20.0
LINE_LIMIT = 4 << 20
"""A line of QMP is at most some kilobytes; more means that QEMU is not itself any more."""


class QmpRefused(MachineError):  # noqa: N818 - the answer to one command, not the end of the machine
    """QEMU answered a command with an error."""


class Qmp:
    """One QMP conversation.

    A watcher thread calls ``receive`` when the socket is readable; any thread may ``execute``.
    """

    def __init__(self, connection: socket.socket, on_event: Callable[[str, dict[str, Any]], None]) -> None:
        self._socket = connection
        self._on_event = on_event
        self._buffer = bytearray()
        self._numbers = itertools.count(1)
        self._waiting: dict[int, queue.SimpleQueue[dict[str, Any] | None]] = {}
        self._lock = threading.Lock()
        self._greeted = threading.Event()
        self._gone = False

    def receive(self) -> bool:
        """Take in what has arrived; False when QEMU has closed the conversation or talks nonsense."""
        try:
            chunk = self._socket.recv(65536)
        except OSError:
            chunk = b""
        self._buffer += chunk
        ok = bool(chunk) and len(self._buffer) <= LINE_LIMIT
        while (end := self._buffer.find(b"\n")) >= 0:
            line = bytes(self._buffer[:end])
            del self._buffer[: end + 1]
            ok = self._dispatch(line) and ok
        if not ok:
            self.lost()
        return ok

    def _dispatch(self, line: bytes) -> bool:
        if not line.strip():
            return True
        try:
            message = msgspec.json.decode(line, type=dict[str, Any])
        except msgspec.DecodeError:
            return False
        if "event" in message:
            self._on_event(str(message["event"]), message.get("data") or {})
        elif "QMP" in message:
            self._greeted.set()
        else:
            with self._lock:
                waiting = self._waiting.pop(message.get("id", 0), None)
            if waiting is not None:
                waiting.put(message)
        return True

    def lost(self) -> None:
        """Wake everybody who waits for an answer: there will be none."""
        with self._lock:
            self._gone = True
            waiting = list(self._waiting.values())
            self._waiting.clear()
        self._greeted.set()
        for one in waiting:
            one.put(None)

    def greet(self, timeout_s: float = REPLY_TIMEOUT_S) -> None:
        """Wait for QEMU's greeting and open the conversation."""
        if not self._greeted.wait(timeout_s):
            raise MachineError("QEMU does not answer", f"no greeting within {timeout_s:.0f} s")
        self.execute("qmp_capabilities")

    def execute(
        self,
        command: str,
        arguments: dict[str, Any] | None = None,
        *,
        fds: Sequence[int] = (),
        timeout_s: float = REPLY_TIMEOUT_S,
    ) -> Any:
        """Send one command, with file descriptors where it takes them, and return its result."""
        number = next(self._numbers)
        reply: queue.SimpleQueue[dict[str, Any] | None] = queue.SimpleQueue()
        message: dict[str, Any] = {"execute": command, "id": number}
        if arguments:
            message["arguments"] = arguments
        with self._lock:
            if self._gone:
                raise MachineError("QEMU is gone", f"{command} was not sent")
            self._waiting[number] = reply
        rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))] if fds else []
        try:
            self._socket.sendmsg([msgspec.json.encode(message) + b"\n"], rights)
        except OSError as error:
            self.lost()
            raise MachineError("QEMU is gone", str(error)) from error
        try:
            answer = reply.get(timeout=timeout_s)
        except queue.Empty:
            with self._lock:
                self._waiting.pop(number, None)
            raise MachineError("QEMU does not answer", f"{command} took more than {timeout_s:.0f} s") from None
        if answer is None:
            raise MachineError("QEMU is gone", f"no answer to {command}")
        if "error" in answer:
            raise QmpRefused(f"QEMU refused {command}", str(answer["error"].get("desc", "no reason given")))
        return answer.get("return")
