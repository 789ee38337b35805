"""The files that a sample writes, on their way out: the tracer's ring for them is drained into trace/files.bin.

In: the guest's memory and the limits. Out: the records as they came (trace/files.py reads them), and how complete they
are.
"""

from __future__ import annotations

from pathlib import Path

from malkoha.config import Analysis
from malkoha.model.task import Files
from malkoha.recorder import Recorder
from malkoha.trace.control import Control
from malkoha.trace.ring import Memory, Ring

HEADS = 8192
"""Room in files.bin for what is told of one file besides its content."""


class Taking:
    """The files of one run: what is taken at most, and what was."""

    def __init__(self, memory: Memory, physical: int, path: Path, settings: Analysis) -> None:
        """Prepare to take what comes through the ring at ``physical`` into ``path``, and tell the tracer the limits."""
        self._limits = size, count, total = settings.max_file_mb << 20, settings.max_files, settings.max_files_mb << 20
        self.control = Control(memory, physical)
        self.control.limit(*self._limits)
        self.recorder = Recorder(Ring(memory, physical), path, total + size + count * HEADS)

    def ask(self, *, always: bool = False) -> bool:
        """Ask for what was not taken yet, and for the processes that live; False when there is nothing to be taken.

        With ``always`` it is asked for the sake of the processes.
        """
        if not always and not self.control.held:
            return False
        self.control.ask()
        return True

    @property
    def tasks(self) -> list[int]:
        """Traced processes that lived when the tracer answered last."""
        return self.control.tasks

    @property
    def answered(self) -> bool:
        """Whether all that was asked for has been handed over."""
        return self.control.answered

    def facts(self) -> Files:
        """Say how complete the files are; to be called when the recorder is closed."""
        control = self.control
        return Files(
            taken=control.taken,
            bytes=control.bytes,
            refused=control.refused,
            untracked=control.untracked,
            lost=self.recorder.lost,
            limit_size=self._limits[0],
        )

    def remarks(self) -> list[str]:
        """Say what is missing."""
        _, count, total = self._limits
        facts, error = self.facts(), self.recorder.error
        said = (
            (facts.refused, f"versions of files were not taken: the limits are {count} files and {total >> 20} MiB"),
            (facts.untracked, "writes were to more files than the tracer can tell apart: those were not taken"),
            (facts.lost, "records of files were lost"),
        )
        trouble = [f"files could not be kept: {error}"] if error is not None else []
        return [f"files: {number} {words}" for number, words in said if number] + trouble
