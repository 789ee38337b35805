"""MITRE ATT&CK: names, tactics and former ids of techniques, from attack.toml; for signatures and for reports."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable
from functools import lru_cache
from importlib.resources import files
from typing import Any

VERSION = 19


@lru_cache
def _facts() -> dict[str, Any]:
    return tomllib.loads(files("malkoha").joinpath("attack.toml").read_text(encoding="utf-8"))


@lru_cache
def _current() -> dict[str, str]:
    return {str(old): str(new) for new, olds in _facts()["former"].items() for old in olds}


def name(technique: str) -> str:
    """Give the name of a technique. Raises KeyError for an id that is not in the table."""
    return str(_facts()["technique"][technique][0])


def techniques() -> list[str]:
    """List all ids of the table."""
    return list(_facts()["technique"])


def tactics(technique: str) -> list[str]:
    """List the tactics of a technique. Raises KeyError for an id that is not in the table."""
    return str(_facts()["technique"][technique][1]).split()


def matrix() -> dict[str, str]:
    """Give name -> id of all tactics, in the order of the matrix."""
    return dict(_facts()["tactic"])


def former(technique: str) -> list[str]:
    """List the ids that a technique bore before version 19 of ATT&CK."""
    return [str(one) for one in _facts()["former"].get(technique, ())]


def current(technique: str) -> str:
    """Give the id that a technique bears today; that of any other text is itself."""
    return _current().get(technique, technique)


def named(techniques: Iterable[str]) -> dict[str, str]:
    """Give id -> name of techniques, each followed by its former ids."""
    found: dict[str, str] = {}
    for technique in techniques:
        found[technique] = name(technique)
        for old in former(technique):
            found[old] = f"{name(technique)} (former id)"
    return found
