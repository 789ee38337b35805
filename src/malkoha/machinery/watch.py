"""The thread that looks after one QEMU: QMP messages, the serial console, standard error, and its end.

All of it comes from a process that malware may have taken over, so each stream is kept in a ring of fixed size.
"""

from __future__ import annotations

import os
import selectors
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable

CONSOLE_BYTES = 256 << 10
STDERR_BYTES = 16 << 10


class Ring:
    """The last ``limit`` bytes of a stream; ``dropped`` counts those that had to go."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.dropped = 0
        self._kept = bytearray()
        self._lock = threading.Lock()

    def add(self, chunk: bytes) -> None:
        with self._lock:
            self._kept += chunk
            surplus = len(self._kept) - self.limit
            if surplus > 0:
                del self._kept[:surplus]
                self.dropped += surplus

    def bytes(self) -> bytes:
        with self._lock:
            return bytes(self._kept)

    def last_line(self) -> str:
        """Return the last line that is not empty, printable characters only."""
        for line in reversed(self.bytes().decode("utf-8", "replace").splitlines()):
            shown = "".join(character if character.isprintable() else "?" for character in line).strip()
            if shown:
                return shown[:300]
        return ""


class Watcher:
    """Reads what QEMU says until it has ended, then reports how."""

    def __init__(
        self,
        process: subprocess.Popen[bytes],
        *,
        qmp: int,
        console: int,
        stderr: int,
        on_qmp: Callable[[], bool],
        on_end: Callable[[int], None],
    ) -> None:
        self.console = Ring(CONSOLE_BYTES)
        self.stderr = Ring(STDERR_BYTES)
        self.ended = threading.Event()
        self._process = process
        self._on_qmp = on_qmp
        self._on_end = on_end
        self._pidfd = os.pidfd_open(process.pid)
        self._selector = selectors.DefaultSelector()
        self._selector.register(qmp, selectors.EVENT_READ, self._read_qmp)
        self._selector.register(console, selectors.EVENT_READ, lambda: self._copy(console, self.console))
        self._selector.register(stderr, selectors.EVENT_READ, lambda: self._copy(stderr, self.stderr))
        self._selector.register(self._pidfd, selectors.EVENT_READ, None)
        self._thread = threading.Thread(target=self._run, name=f"malkoha-watch-{process.pid}", daemon=True)
        self._thread.start()

    def _read_qmp(self) -> bool:
        return self._on_qmp()

    @staticmethod
    def _copy(fd: int, ring: Ring) -> bool:
        try:
            chunk = os.read(fd, 65536)
        except OSError:
            return False
        ring.add(chunk)
        return bool(chunk)

    def _round(self, timeout_s: float | None) -> tuple[bool, bool]:
        """Serve all that is readable; tell whether there was anything and whether the process has ended."""
        ended = served = False
        for key, _ in self._selector.select(timeout_s):
            if key.data is None:
                ended = True
            else:
                served = True
                if not key.data():
                    self._selector.unregister(key.fileobj)
        return served, ended

    def _run(self) -> None:
        ended = False
        while not ended:
            _, ended = self._round(None)
        self._selector.unregister(self._pidfd)
        # what was said just before the end is still in the sockets; only a descendant could go on talking for ever
        for _ in range(1000):
            if not self._selector.get_map() or not self._round(0)[0]:
                break
        status = self._process.wait()
        self._selector.close()
        os.close(self._pidfd)
        self._on_end(status)
        self.ended.set()

    def join(self, timeout_s: float) -> bool:
        """Wait until QEMU has ended and all it said is in the rings."""
        return self.ended.wait(timeout_s)
