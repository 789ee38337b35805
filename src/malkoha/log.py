"""Logging: records of every module in; analysis.log of their analysis, and lines for the command line, out.

A task's id is set for a block of code and stands on each line. Threads that were started without a context of their own
have no id; their lines go to the one running analysis, or to all of them when there are several, never to none.
"""

from __future__ import annotations

import json
import logging
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from datetime import UTC, datetime
from pathlib import Path
from typing import TextIO

MAX_LOG_BYTES = 16 * 1024 * 1024
"""A sample that makes malkoha log without end does not fill the disk."""

_root = logging.getLogger("malkoha")
_task: ContextVar[int | None] = ContextVar("task", default=None)


class TaskFilter(logging.Filter):
    """Put the task's id on each record; with ``only``, let pass that task's records and those of no task."""

    def __init__(self, only: int | None = None) -> None:
        super().__init__()
        self.only = only

    def filter(self, record: logging.LogRecord) -> bool:
        if not hasattr(record, "task"):
            record.task = _task.get()
        return self.only is None or getattr(record, "task", None) in (self.only, None)


class LineFormatter(logging.Formatter):
    """One line a record; whatever the message holds, it can neither end the line nor steer a terminal."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(task)s %(name)s: %(message)s")
        self.default_msec_format = "%s.%03d"

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - the name is logging's
        record.message = printable(record.message)
        return super().formatMessage(record)

    def formatException(self, ei: object) -> str:  # noqa: N802 - the name is logging's
        text = super().formatException(ei)  # type: ignore[arg-type]  # the stub's type is private
        return "\n".join("    " + printable(line) for line in text.splitlines())


class JsonFormatter(logging.Formatter):
    """One JSON object a record: time, level, logger, message, task, and the ``facts`` of its ``extra``."""

    def format(self, record: logging.LogRecord) -> str:
        told: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if (task := getattr(record, "task", None)) is not None:
            told["task"] = task
        if record.exc_info:
            told["exception"] = self.formatException(record.exc_info)
        # lone surrogates are escaped, so that nothing which a sample writes can spoil a line
        return json.dumps(told | getattr(record, "facts", {}), default=str)


class BoundedFileHandler(logging.FileHandler):
    """Append to a file up to a number of bytes, then say once that it ends there."""

    def __init__(self, path: Path, limit: int = MAX_LOG_BYTES) -> None:
        super().__init__(path, encoding="utf-8", errors="backslashreplace", delay=False)
        self.left = limit - path.stat().st_size

    def emit(self, record: logging.LogRecord) -> None:
        if self.left <= 0:
            return
        self.left -= len(self.format(record)) + 1
        super().emit(record)
        if self.left <= 0:
            last = {"msg": "the log is full; later lines are dropped", "args": (), "exc_info": None, "exc_text": None}
            super().emit(logging.makeLogRecord(record.__dict__ | last))

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - the name is logging's
        """Write no more to a file that cannot be written (a full disk), and say so once to whoever else listens."""
        error = sys.exc_info()[1]
        if not isinstance(error, OSError):
            super().handleError(record)
        elif self.left > 0:
            self.left = 0
            _root.warning("%s ends here: %s", self.baseFilename, error.strerror)

    def close(self) -> None:
        # what could not be written is tried again here
        with suppress(OSError):
            super().close()


def printable(text: str) -> str:
    """Return ``text`` with control characters and lone surrogates as backslash escapes."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text)


def set_up(stream: TextIO, level: int = logging.WARNING, *, as_json: bool = False) -> None:
    """Show records from ``level`` on in ``stream``, as lines or as JSON; called by the command line."""
    handler = logging.StreamHandler(stream)
    handler.setLevel(level)
    handler.addFilter(TaskFilter())
    handler.setFormatter(JsonFormatter() if as_json else LineFormatter())
    for old in [old for old in _root.handlers if type(old) is logging.StreamHandler]:
        _root.removeHandler(old)
    _root.addHandler(handler)
    _root.setLevel(logging.DEBUG)
    _root.propagate = False


_open_lock = threading.Lock()


@contextmanager
def analysis_log(path: Path, task_id: int) -> Iterator[None]:
    """Append what is logged for ``task_id`` inside the block to ``path`` (analysis.log)."""
    if any(
        isinstance(handler, BoundedFileHandler) and handler.baseFilename == str(path.absolute())
        for handler in _root.handlers
    ):
        yield  # opened by a caller already: one line a record
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    handler = BoundedFileHandler(path)
    handler.addFilter(TaskFilter(task_id))
    handler.setFormatter(LineFormatter())
    token = _task.set(task_id)
    with _open_lock:
        _root.addHandler(handler)
        _root.setLevel(logging.DEBUG)
    try:
        yield
    finally:
        _task.reset(token)
        with _open_lock:
            _root.removeHandler(handler)
        handler.close()
