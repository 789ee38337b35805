"""Copies the tracer's records to the analysis folder while the sample runs, in a thread of its own; feels its pulse."""

from __future__ import annotations

import threading
import time
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self

from malkoha.model.task import Trouble
from malkoha.trace.ring import Ring

IDLE_S = 0.002
"""How long to wait when the ring was empty: short against its size, long against a look at it."""

SILENT_S = 40.0
"""How long a running guest may handle no timer before something is wrong with it; the tracer's pulse is a second."""


class Pulse:
    """Notices that the tracer no longer works though its machine runs.

    What the tracer says of itself stands in the ring's header; who can write there can silence it, but not unseen.
    """

    def __init__(self, ring: Ring) -> None:
        self.blind = False
        """Whether calls are no longer seen."""
        self._ring = ring
        self._beats, self._at = ring.pulse, time.monotonic()
        self._known: set[str] = set()

    def look(self) -> list[Trouble]:
        """Return what has happened to the tracer since the last look."""
        beats, now = self._ring.pulse, time.monotonic()
        if beats != self._beats:
            self._beats, self._at = beats, now
            self._known.discard("")
        found = []
        if now - self._at > SILENT_S and "" not in self._known:
            self._known.add("")
            what = "the last sign of life of the tracer: it was stopped, or the guest's kernel hangs"
            found.append(Trouble(at=time.time() - (now - self._at), what=what))
        for name in self._ring.unhooked:
            if name not in self._known:
                self._known.add(name)
                found.append(Trouble(at=time.time(), what=f"the tracer was taken off the kernel's {name}"))
        self.blind = not self._known.isdisjoint(("sys_enter", "sys_exit"))
        return found


class Recorder:
    """Drains one ring into one file until it is left; ``finish`` takes the rest.

    Beyond ``limit`` bytes the ring is still emptied, so that the guest does not have to wait, but nothing is kept:
    those events count as lost.
    """

    def __init__(self, ring: Ring, path: Path, limit: int) -> None:
        self.ring = ring
        self.bytes = 0
        self.first_event_at: float | None = None
        """time.monotonic() of the moment in which the first record was here."""
        self.error: Exception | None = None
        self._path = path
        self._limit = limit
        self._full_at: int | None = None
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="recorder", daemon=True)

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            self._file: BinaryIO = stack.enter_context(self._path.open("xb", buffering=0))
            self._null: BinaryIO = stack.enter_context(Path("/dev/null").open("wb", buffering=0))
            self._thread.start()
            self._files = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._files:
            self.finish()

    @property
    def lost(self) -> int:
        """Events that are not in the file: those the tracer dropped, and those beyond the limit."""
        beyond = self.ring.sequence - self._full_at if self._full_at is not None else 0
        return self.ring.lost + max(beyond, 0)

    def finish(self) -> None:
        """Stop and take what is still in the ring; harmless when done already."""
        if not self._stop.is_set():
            self._stop.set()
            self._thread.join()
            if self.error is None:
                self._try_drain()

    def _run(self) -> None:
        while not self._stop.is_set() and self.error is None:
            if not self._try_drain():
                time.sleep(IDLE_S)

    def _try_drain(self) -> int:
        try:
            return self._drain()
        except Exception as error:  # noqa: BLE001 - handed to the analysis, which ends with it
            self.error = error
            return 0

    def _drain(self) -> int:
        if self._full_at is None and self.bytes >= self._limit:
            self._full_at = self.ring.sequence
        out = self._file if self._full_at is None else self._null
        taken = self.ring.drain(out)
        if taken and self._full_at is None:
            self.bytes += taken
            if self.first_event_at is None:
                self.first_event_at = time.monotonic()
        return taken
