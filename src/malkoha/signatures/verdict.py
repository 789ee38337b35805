"""The verdict: one score from the signatures that matched. docs/report.md explains it to readers.

Each match adds doubt by its severity; doubts combine like independent chances, so that many small ones never outweigh
what they are, and one strong one is enough: score = 10 * (1 - product of (1 - weight)).
"""

from __future__ import annotations

from collections.abc import Sequence

from malkoha.model.report import Level, Match, Verdict

WEIGHTS = {1: 0.08, 2: 0.2, 3: 0.4, 4: 0.6, 5: 0.85}
SUSPICIOUS = 3.0
MALICIOUS = 7.0


def verdict(matches: Sequence[Match]) -> Verdict:
    """Give score (0 to 10, one decimal), level and the names of the matches, strongest first."""
    innocent = 1.0
    for match in matches:
        innocent *= 1 - WEIGHTS[min(max(match.severity, 1), 5)]
    score = round(10 * (1 - innocent), 1)
    level: Level = "malicious" if score >= MALICIOUS else "suspicious" if score >= SUSPICIOUS else "clean"
    why = [match.name for match in sorted(matches, key=lambda match: (-match.severity, match.name))]
    return Verdict(score=score, level=level, why=why)
