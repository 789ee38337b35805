"""The real agent on this host: the starter of an image as a child process, behind a socket like that of QEMU.

It does what the tests tell it to and nothing else: it does not pose as anything, and enters no group or namespace.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from malkoha.guest import payload

_REAPER = """
import ctypes
PR_SET_CHILD_SUBREAPER = 36
ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
"""
_SERVE = """
real_load = load
class Undressed:
    def __init__(self, body):
        self.module = real_load(body)
    def main(self, port):
        self.module.main(port, {})
load = Undressed
serve(int(sys.argv[1]))
"""


class RealAgent:
    """One starter and what it became; ``path`` is what a host connects to, one at a time.

    While no host is connected, what the guest says is lost, as it is under QEMU.
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder / "agent"
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(self.path))
        self._listener.listen(4)
        self._ours, theirs = socket.socketpair()
        theirs.setblocking(False)
        starter = payload.bootstrap_files()["/usr/sbin/irqbalance"][1].decode().rsplit("if __name__ ==", 1)[0]
        script = starter + _REAPER + _SERVE
        self._process = subprocess.Popen(
            [sys.executable, "-c", script, str(theirs.fileno())],
            pass_fds=[theirs.fileno()],
            stdin=subprocess.DEVNULL,
            start_new_session=True,
        )
        theirs.close()
        self.pid = self._process.pid
        self._below: set[int] = set()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._relay, daemon=True)
        self._thread.start()

    def children(self) -> list[int]:
        """The launcher, once it was started."""
        return _children(self.pid)

    def kill(self) -> None:
        """End the agent as kill -9 does."""
        self._below |= set(_below(self.pid))
        self._process.kill()
        self._process.wait()

    def close(self) -> None:
        """End the agent and everything below it."""
        self._below |= set(_below(self.pid))
        for pid in self._below:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self._process.kill()
        self._process.wait()
        self._stop.set()
        self._thread.join()
        self._listener.close()
        self._ours.close()

    def _relay(self) -> None:
        """Pass bytes on until the agent ends."""
        host: socket.socket | None = None
        while not self._stop.is_set():
            for ready in select.select([self._ours, self._listener if host is None else host], [], [], 0.05)[0]:
                if ready is self._listener:
                    host = self._listener.accept()[0]
                    continue
                data = _received(ready)
                if ready is self._ours:
                    if not data:
                        self._stop.set()
                    elif host is not None:
                        with contextlib.suppress(OSError):
                            host.sendall(data)
                elif data:
                    with contextlib.suppress(OSError):
                        self._ours.sendall(data)
                else:
                    ready.close()
                    host = None
        if host is not None:
            host.close()


def _received(end: socket.socket) -> bytes:
    try:
        return end.recv(65536)
    except OSError:
        return b""


def _children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def _below(pid: int) -> list[int]:
    try:
        children = _children(pid)
    except OSError:
        return []
    return children + [grandchild for child in children for grandchild in _below(child)]


@contextlib.contextmanager
def real_agent(folder: Path) -> Iterator[RealAgent]:
    """Start an agent and end it with all that it started."""
    agent = RealAgent(folder)
    try:
        yield agent
    finally:
        agent.close()


def wait_until(condition: Callable[[], object], wait_s: float = 20.0) -> bool:
    """Wait until ``condition()`` holds; tell whether it does."""
    end = time.monotonic() + wait_s
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(0.01)
    return True
