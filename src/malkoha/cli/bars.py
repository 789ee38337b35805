"""Progress on a terminal: the current step with a bar, a spinner where the total is unknown, and the time it takes."""

from __future__ import annotations

import threading
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TaskID, TaskProgressColumn, TextColumn, TimeElapsedColumn
from rich.text import Text

from malkoha.log import printable


class Bars:
    """Draws the current step; finished ones stay as one line with their duration. Safe to call from any thread."""

    def __init__(self, console: Console | None = None) -> None:
        self._console = console or Console(stderr=True, highlight=False)
        self._progress = Progress(
            SpinnerColumn(finished_text=""),
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=24),
            TaskProgressColumn(show_speed=False),
            TimeElapsedColumn(),
            TextColumn("{task.fields[note]}", style="dim", markup=False),
            console=self._console,
            transient=True,
        )
        self._lock = threading.Lock()
        self._task: TaskID | None = None
        self._title = ""

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(self, *error: object) -> None:
        with self._lock:
            if error[0] is None:
                self._finish()
            self._progress.stop()

    def step(self, title: str, total: float | None = None) -> None:
        with self._lock:
            self._finish()
            self._title = printable(title)
            self._task = self._progress.add_task(self._title, total=total, note="")

    def advance(self, amount: float = 1, note: str = "") -> None:
        with self._lock:
            if self._task is not None:
                self._progress.update(self._task, advance=amount, note=printable(note)[:60])

    def _finish(self) -> None:
        if self._task is None:
            return
        took = self._progress.tasks[-1].elapsed or 0.0
        self._progress.remove_task(self._task)
        self._task = None
        self._console.print(Text.assemble(("✓ ", "green"), self._title, (f"  {took:.1f} s", "dim")))
