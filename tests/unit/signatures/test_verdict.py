"""The score: what its levels need."""

from __future__ import annotations

import pytest

from malkoha.model.matches import Match
from malkoha.signatures.verdict import verdict


def match(severity: int, name: str = "m") -> Match:
    return Match(name=name, description="", severity=severity, ttp={}, marks=[], markcount=1)


@pytest.mark.parametrize(
    ("severities", "score", "level"),
    [
        ([], 0.0, "clean"),
        ([1], 0.5, "clean"),
        ([2], 1.0, "clean"),
        ([1, 1, 1], 1.0, "clean"),
        ([1] * 40, 1.0, "clean"),
        ([1] * 40 + [2, 2], 2.7, "clean"),
        ([3], 4.0, "suspicious"),
        ([2, 2, 2], 2.7, "clean"),
        ([2, 2, 2, 2], 3.4, "suspicious"),
        ([4], 6.0, "suspicious"),
        ([4, 3], 7.6, "malicious"),
        ([5], 8.5, "malicious"),
        ([5, 5, 5, 5], 10.0, "malicious"),
        ([9], 8.5, "malicious"),
    ],
)
def test_scores(severities: list[int], score: float, level: str) -> None:
    found = verdict([match(severity) for severity in severities])
    assert (found.score, found.level) == (score, level)


def test_the_strongest_reason_stands_first() -> None:
    assert verdict([match(1, "b"), match(4, "z"), match(1, "a")]).why == ["z", "a", "b"]
