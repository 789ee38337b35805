"""Finds the analysis that a user names, and says clearly what is missing of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from malkoha.errors import UsageError

if TYPE_CHECKING:
    from pathlib import Path

    from malkoha.store import Home, Store

Analysis = Annotated[str, typer.Argument(help="The number of an analysis, or last.", metavar="ID")]


def find(home: Home, name: str) -> Store:
    """Return the analysis folder ``name`` ("last" is the newest); raise UsageError when there is none."""
    numbers = [int(entry.name) for entry in _entries(home) if entry.name.isdecimal() and entry.is_dir()]
    if name == "last":
        if not numbers:
            raise UsageError("there is no analysis yet", "", "malkoha analyze FILE makes one")
        return home.analysis(max(numbers))
    if not (name.isascii() and name.isdecimal()):
        raise UsageError(f"{name!r} is not the number of an analysis", "", "malkoha tasks lists them")
    if int(name) not in numbers:
        raise UsageError(f"there is no analysis {int(name)}", "", "malkoha tasks lists them")
    return home.analysis(int(name))


def need(path: Path, what: str, mend: str) -> Path:
    """Return ``path`` if it exists; raise UsageError that says how to get it otherwise."""
    if not path.exists():
        raise UsageError(f"analysis {path.parent.name} has no {what}", "", mend)
    return path


def no_events(store: Store) -> str:
    """Say how an analysis gets what processing makes."""
    return f"malkoha process {store.root.name} makes it, if the run was finished"


def _entries(home: Home) -> list[Path]:
    return list(home.analyses.iterdir()) if home.analyses.is_dir() else []
