"""How long work tells that it advances, without knowing who shows it."""

from __future__ import annotations

from typing import Protocol


class Progress(Protocol):
    """Receives the steps of one long job; the command line draws bars, tests and workers pass ``SILENT``."""

    def step(self, title: str, total: float | None = None) -> None:
        """Begin a step; ``total`` in any unit, None when unknown."""

    def advance(self, amount: float = 1, note: str = "") -> None:
        """Add to the current step; ``note`` is a short line of what is going on."""


class _Silent:
    def step(self, title: str, total: float | None = None) -> None:
        del title, total

    def advance(self, amount: float = 1, note: str = "") -> None:
        del amount, note


SILENT: Progress = _Silent()
