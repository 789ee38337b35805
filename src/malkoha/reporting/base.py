"""What a reporter is: it turns a whole report into a file of the analysis folder."""

from __future__ import annotations

import contextlib
from abc import ABC, abstractmethod
from pathlib import Path
from typing import ClassVar

from malkoha.errors import ReportError
from malkoha.model.report import Report
from malkoha.store import Store


class Reporter(ABC):
    """One form of the report; it reads nothing but the report and returns the file that it wrote."""

    name: ClassVar[str]

    @abstractmethod
    def write(self, report: Report, store: Store) -> Path:
        """Write the report into the analysis folder. Raises ReportError when it cannot be written."""


def replace(path: Path, data: bytes) -> Path:
    """Write a file so that readers see the old one or the whole new one; ReportError when that fails."""
    partial = path.with_name(path.name + ".part")
    try:
        partial.write_bytes(data)
        partial.replace(path)
    except OSError as error:
        with contextlib.suppress(OSError):
            partial.unlink()
        raise ReportError(f"cannot write {path.name}", error.strerror or str(error), "is the disk full?") from error
    return path
