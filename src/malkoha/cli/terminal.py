"""What a person sees: messages, tables, progress. Everything shown goes through ``plain``, so a sample's names cannot
steer the terminal."""

from __future__ import annotations

import logging
import os
import sys
import time
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from malkoha import log

if TYPE_CHECKING:
    from rich.console import Console

    from malkoha.config import Settings
    from malkoha.progress import Progress
    from malkoha.store import Home

_shown = {"debug": False}


def _set_debug(wanted: bool) -> bool:
    _shown["debug"] = wanted
    log.set_up(sys.stderr, logging.DEBUG if wanted else logging.WARNING)
    return wanted


Debug = Annotated[
    bool, typer.Option("--debug", help="Show log lines, and the traceback of an error.", callback=_set_debug)
]
"""The option that every command has."""


def plain(text: str) -> str:
    """Return text that can neither end a line nor steer the terminal."""
    return log.printable(text)


def surroundings() -> tuple[Home, Settings]:
    """Return the home and its settings."""
    from malkoha import config

    home = config.home_from()
    settings = config.load(home)
    return config.place(home, settings), settings


def log_as(settings: Settings) -> None:
    """Log as a service does: as the settings say; ``--debug`` wins over their level."""
    level = logging.DEBUG if _shown["debug"] else logging.getLevelNamesMapping()[settings.log.level.upper()]
    log.set_up(sys.stderr, level, as_json=settings.log.form == "json")


def out() -> Console:
    """Return the console for results."""
    from rich.console import Console

    return Console(soft_wrap=not sys.stdout.isatty(), highlight=False)


def say(text: str) -> None:
    """Print one line of news on standard error."""
    sys.stderr.write(f"malkoha: {plain(text)}\n")
    sys.stderr.flush()


def error(text: str, *, trace: bool = False) -> None:
    """Print one error line on standard error, after the traceback when ``--debug`` was given."""
    if trace and _shown["debug"]:
        traceback.print_exc()
    label = "\x1b[1;31mmalkoha:\x1b[0m" if sys.stderr.isatty() and "NO_COLOR" not in os.environ else "malkoha:"
    sys.stderr.write(f"{label} {plain(text)}\n")


def usage_error(problem: typer.TyperException) -> None:
    """Print what was wrong with the arguments, and where the help is."""
    message = " ".join(problem.format_message().split())
    context = getattr(problem, "ctx", None)
    path = context.command_path if context is not None else "malkoha"
    error(f"{message[:1].lower()}{message[1:].rstrip('.')} ({path} --help shows what there is)")


def os_error(problem: OSError) -> str:
    """Return a failed system call as one line."""
    name = f"{problem.filename}: " if problem.filename is not None else ""
    return f"{name}{problem.strerror or problem}"


def table(columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Print rows under headings; plain text separated by tabs where the output is not a terminal."""
    if not sys.stdout.isatty():
        for row in [columns, *rows]:
            print("\t".join(plain(str(cell)) for cell in row))
        return
    from rich import box
    from rich.table import Table
    from rich.text import Text

    shown = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for column in columns:
        shown.add_column(column, overflow="fold")
    for row in rows:
        shown.add_row(*(Text(plain(str(cell))) for cell in row))
    out().print(shown)


def write_json(document: Any) -> None:
    """Print a document as JSON, indented, for people and tools alike."""
    import msgspec

    sys.stdout.write(msgspec.json.format(msgspec.json.encode(document), indent=2).decode() + "\n")


def show_report(store_report: Path) -> None:
    """Open report.html in a browser, if somebody sits in front of a desktop; never as root."""
    desktop = os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")
    if desktop and sys.stdout.isatty() and os.geteuid() != 0 and store_report.exists():
        import webbrowser

        webbrowser.open(store_report.as_uri())


@contextmanager
def progress() -> Iterator[Progress]:
    """Yield a Progress that draws on standard error: bars on a terminal, else a line for each step."""
    if not sys.stderr.isatty():
        yield Lines()
        return
    from malkoha.cli.bars import Bars

    with Bars() as bars:
        yield bars


class Lines:
    """A line for each step, and one now and then while a long one goes on, for logs and pipes."""

    EVERY_S = 15.0

    def __init__(self) -> None:
        self._title = ""
        self._total: float | None = None
        self._done = 0.0
        self._told_at = 0.0

    def step(self, title: str, total: float | None = None) -> None:
        self._title, self._total, self._done, self._told_at = title, total, 0.0, time.monotonic()
        say(title)

    def advance(self, amount: float = 1, note: str = "") -> None:
        self._done += amount
        now = time.monotonic()
        if now - self._told_at >= self.EVERY_S:
            self._told_at = now
            share = f" {100 * self._done / self._total:.0f} %" if self._total else ""
            say(f"{self._title}{share}{': ' + note if note else ''}")
