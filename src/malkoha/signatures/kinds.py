"""Kinds of rules that several tactics have: not for packages, for the sample only, not for backups, counted often."""

from __future__ import annotations

from collections import Counter
from typing import ClassVar

from malkoha.signatures.base import Command, Evidence, Scene, Signature, Touch
from malkoha.signatures.programs import BACKUPS, PACKAGERS

COUNTED = 10_000
"""Processes whose count is kept."""


class Installed(Signature):
    """A rule that does not count what the installation of a package does."""

    def on_path(self, touch: Touch, scene: Scene) -> Evidence | None:
        """Judge what a call does to a path, unless a package brings it."""
        return None if scene.under(PACKAGERS) else super().on_path(touch, scene)

    def on_run(self, command: Command, scene: Scene) -> Evidence | None:
        """Judge a command, unless a package's script runs it."""
        return None if scene.under(PACKAGERS) else super().on_run(command, scene)


class OfSample(Signature):
    """A rule over paths that counts only what programs do that do not belong to the system."""

    def on_path(self, touch: Touch, scene: Scene) -> Evidence | None:
        """Judge what a call does to a path, unless a program of the system does it."""
        return None if scene.program else super().on_path(touch, scene)


class Wanted(Signature):
    """A rule over files that counts a copier or packer only where it was asked for them: a backup takes whole homes."""

    def on_path(self, touch: Touch, scene: Scene) -> Evidence | None:
        """Judge what a call does to a path, unless it is met on the way through a folder."""
        command = None if scene.programs.isdisjoint(BACKUPS) else scene.command
        if command is not None:
            folder, _, name = touch.path.rpartition("/")
            hidden = folder.rpartition("/")[2]
            if name not in command.line and not (hidden.startswith(".") and hidden in command.line):
                return None
        return super().on_path(touch, scene)


class Often(Signature):
    """A rule for what means something only when one process does it ``times`` times."""

    times: ClassVar[int]

    def __init__(self) -> None:
        self._counts: Counter[int] = Counter()

    def reached(self, key: int) -> bool:
        """Count once more for a process, and tell whether this was the one that makes it often."""
        if len(self._counts) < COUNTED or key in self._counts:
            self._counts[key] += 1
        return self._counts[key] == self.times
