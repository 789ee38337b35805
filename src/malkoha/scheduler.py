"""Worker slots: child processes that run the queue, each replaced when it dies, none left behind at the end."""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
import threading
import time
from types import TracebackType
from typing import Self

from malkoha.config import ROUTED, Settings
from malkoha.machinery import cleanup, image
from malkoha.machinery.spawn import spawn
from malkoha.model.task import Options, needs
from malkoha.store import Home
from malkoha.submit import way_out

NETWORKS = ("none", "drop", "sim")
"""Network modes that every machine has."""
WORKER = (sys.executable, "-m", "malkoha.cli", "worker")
STOP_S = 30.0
"""How long a worker may take to shut its machine down before it is killed."""
WATCH_S = 0.2
LONGEST_PAUSE_S = 30.0

log = logging.getLogger(__name__)


def offers(home: Home, settings: Settings) -> list[str]:
    """Return what this machine can do, as ``model.task.needs`` puts it: each image with each network mode."""
    images = ["default", *(found.name for found in image.list_images(home) if found.name != "default")]
    networks = [*NETWORKS, *(mode for mode in ROUTED if way_out(mode, settings.routes))]
    return [needs(Options(image=name, network=mode)) for name in images for mode in networks]


class Slots:
    """``number`` workers; a context manager that starts them, watches them and ends them.

    A worker cannot outlive this process, however that ends. One that dies is replaced, at once the first time and after
    a pause that doubles when it dies again within that pause.
    """

    def __init__(self, home: Home, number: int, command: tuple[str, ...] = WORKER) -> None:
        self._home = home
        self._command = command
        self._workers: list[subprocess.Popen[bytes] | None] = [None] * number
        self._pauses = [0.0] * number
        self._due = [0.0] * number
        self._stopping = threading.Event()
        self._watcher = threading.Thread(target=self._watch, name="malkoha-slots", daemon=True)
        self.restarts = 0

    @property
    def pids(self) -> list[int]:
        """Process ids of the workers that live."""
        return [worker.pid for worker in self._workers if worker is not None and worker.poll() is None]

    def __enter__(self) -> Self:
        for slot in range(len(self._workers)):
            self._start(slot)
        self._watcher.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stopping.set()
        self._watcher.join()
        workers = [worker for worker in self._workers if worker is not None]
        for worker in workers:
            if worker.poll() is None:
                worker.send_signal(signal.SIGTERM)
        deadline = time.monotonic() + STOP_S
        for worker in workers:
            try:
                worker.wait(max(deadline - time.monotonic(), 0.01))
            except subprocess.TimeoutExpired:
                log.warning("worker %d did not stop and was killed", worker.pid)
                worker.kill()
                worker.wait()
        for line in cleanup.sweep(self._home):
            log.warning(line)

    def _start(self, slot: int) -> None:
        environment = dict(os.environ) | {"MALKOHA_HOME": str(self._home.root.absolute())}
        self._due[slot] = time.monotonic() + self._pauses[slot]
        self._workers[slot] = spawn(self._command, stderr=2, environment=environment)

    def _watch(self) -> None:
        while not self._stopping.wait(WATCH_S):
            for slot, worker in enumerate(self._workers):
                if worker is None or worker.poll() is None or time.monotonic() < self._due[slot]:
                    continue
                log.warning("worker %d ended with status %d and is replaced", worker.pid, worker.returncode)
                lived = time.monotonic() - self._due[slot]
                again = lived < LONGEST_PAUSE_S
                self._pauses[slot] = min(max(2 * self._pauses[slot], 0.5), LONGEST_PAUSE_S) if again else 0.0
                self.restarts += 1
                self._start(slot)
