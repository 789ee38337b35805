"""Tables of paths: patterns that many signatures give, compiled into one index that a path is looked up in.

``*`` is any text without a slash, ``**`` any text, ``{a,b}`` a choice. A pattern begins with ``/``, with ``~`` (a home
folder), or else fits in any folder.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Generic, TypeVar

HOME = r"(?:/root|/home/[^/]+)"
REMEMBERED = 100_000
"""Paths whose answer is kept."""
EVERYWHERE = "/**"

_PIECE = re.compile(r"\*\*|\*|\?|\{[^{}]*\}|[^*?{]+")
_T = TypeVar("_T")


class Paths:
    """Some patterns, kept as they were written."""

    __slots__ = ("patterns", "regex")

    def __init__(self, *patterns: str) -> None:
        self.patterns = patterns
        self.regex = re.compile("|".join(_regex(pattern) for pattern in patterns), re.DOTALL)

    def __add__(self, other: Paths) -> Paths:
        return Paths(*self.patterns, *other.patterns)

    def __contains__(self, path: str) -> bool:
        return self.regex.fullmatch(path) is not None


def table(*patterns: str) -> Paths:
    """Make a table of paths from patterns."""
    return Paths(*patterns)


def _regex(pattern: str) -> str:
    lead, rest = "", pattern
    if pattern.startswith("~"):
        lead, rest = HOME, pattern[1:]
    elif not pattern.startswith("/"):
        lead = "(?:.*/)?"
    return lead + "".join(_piece(piece) for piece in _PIECE.findall(rest))


def _piece(piece: str) -> str:
    if piece == "**":
        return ".*"
    if piece in ("*", "?"):
        return "[^/]*" if piece == "*" else "[^/]"
    if piece.startswith("{"):
        return "(?:" + "|".join(_regex_inner(choice) for choice in piece[1:-1].split(",")) + ")"
    return re.escape(piece)


def _regex_inner(choice: str) -> str:
    return "".join("[^/]*" if part == "*" else re.escape(part) for part in re.split(r"(\*)", choice))


def _expand(pattern: str) -> Iterable[str]:
    found = re.search(r"\{([^{}]*)\}", pattern)
    if found is None:
        return [pattern]
    return [
        one
        for choice in found[1].split(",")
        for one in _expand(pattern[: found.start()] + choice + pattern[found.end() :])
    ]


def _places(pattern: str) -> Iterable[str]:
    """Give the keys under which a pattern is looked for.

    Its first two folders; ``~`` for those of a home; a part without marks for those that fit in any folder; else ``?``.
    """
    for one in _expand(pattern):
        parts = one.split("/")
        if one.startswith("~"):
            yield "~"
        elif one.startswith("/"):
            first = parts[1] if len(parts) > 1 else ""
            second = parts[2] if len(parts) > 2 else ""
            if any(mark in first for mark in "*?"):
                yield "?"
            else:
                yield f"/{first}" if any(mark in second for mark in "*?") or len(parts) < 3 else f"/{first}/{second}"
        else:
            yield next((part for part in reversed(parts) if not any(mark in part for mark in "*?")), "?")


class _Place(Generic[_T]):
    """The patterns that are looked for under one key; together first, since most paths fit none of them."""

    def __init__(self) -> None:
        self._owners: list[tuple[str, _T]] = []
        self._any: re.Pattern[str] | None = None
        self._each: list[tuple[re.Pattern[str], _T]] = []

    def add(self, regex: str, owner: _T) -> None:
        self._owners.append((regex, owner))
        self._any = None

    def find(self, path: str) -> Iterable[_T]:
        if self._any is None:
            self._any = re.compile("|".join(dict.fromkeys(regex for regex, _ in self._owners)), re.DOTALL)
            self._each = [(re.compile(regex, re.DOTALL), owner) for regex, owner in self._owners]
        if self._any.fullmatch(path) is None:
            return ()
        return [owner for pattern, owner in self._each if pattern.fullmatch(path)]


class Index(Generic[_T]):
    """Finds the owners of all tables that a path fits, quickly: most paths fit none."""

    def __init__(self) -> None:
        self._places: dict[str, _Place[_T]] = {}
        self._answers: dict[str, tuple[_T, ...]] = {}
        self._everywhere: list[_T] = []

    def add(self, paths: Paths, owner: _T) -> None:
        """Put a table into the index."""
        for pattern in paths.patterns:
            if pattern == EVERYWHERE:
                self._everywhere.append(owner)
                continue
            for place in set(_places(pattern)):
                self._places.setdefault(place, _Place()).add(_regex(pattern), owner)

    def find(self, path: str) -> tuple[_T, ...]:
        """Give the owners of the tables that a path fits, each once."""
        answer = self._answers.get(path)
        if answer is None:
            if len(self._answers) >= REMEMBERED:
                self._answers.clear()
            answer = self._answers[path] = tuple(dict.fromkeys(self._search(path)))
        return answer

    def _search(self, path: str) -> Iterable[_T]:
        parts = path.split("/")
        keys = ["?", *parts]
        if path.startswith("/"):
            yield from self._everywhere
            keys += [f"/{parts[1]}", "/".join(parts[:3])]
        if path.startswith(("/root", "/home/")):
            keys.append("~")
        for key in dict.fromkeys(keys):
            place = self._places.get(key)
            if place is not None:
                yield from place.find(path)
