"""MITRE ATT&CK: names, tactics and former ids of the techniques that signatures name, from attack.toml."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable
from functools import lru_cache
from importlib.resources import files
from typing import Any


@lru_cache
def _facts() -> dict[str, Any]:
    return tomllib.loads(files("malkoha.signatures").joinpath("attack.toml").read_text(encoding="utf-8"))


def name(technique: str) -> str:
    """Give the name of a technique. Raises KeyError for an id that is not in the table."""
    return str(_facts()["technique"][technique][0])


def techniques() -> list[str]:
    """List all ids of the table."""
    return list(_facts()["technique"])


def tactics(technique: str) -> list[str]:
    """List the tactics of a technique. Raises KeyError for an id that is not in the table."""
    return str(_facts()["technique"][technique][1]).split()


def former(technique: str) -> list[str]:
    """List the ids that a technique bore before version 19 of ATT&CK."""
    return [str(one) for one in _facts()["former"].get(technique, ())]


def named(techniques: Iterable[str]) -> dict[str, str]:
    """Give id -> name of techniques, each followed by its former ids."""
    found: dict[str, str] = {}
    for technique in techniques:
        found[technique] = name(technique)
        for old in former(technique):
            found[old] = f"{name(technique)} (former id)"
    return found
