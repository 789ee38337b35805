"""The verdict: one score from the signatures that matched. docs/report.md explains it to readers.

Each match adds doubt by its severity; doubts combine like independent chances: 10 * (1 - product of (1 - weight)).
What ordinary programs do as well (severity 1) weighs little, and all of it together no more than one unusual thing,
since a long harmless script does many such things. Three unusual things may be an administrator's day; four are reason
for a look.
"""

from __future__ import annotations

from collections.abc import Sequence

from malkoha.model.matches import Level, Match, Verdict

WEIGHTS = {1: 0.05, 2: 0.1, 3: 0.4, 4: 0.6, 5: 0.85}
ORDINARY = 0.1
"""What all matches of severity 1 weigh together at most."""
SUSPICIOUS = 3.0
MALICIOUS = 7.0


def verdict(matches: Sequence[Match]) -> Verdict:
    """Give score (0 to 10, one decimal), level and the names of the matches, strongest first."""
    severities = [min(max(match.severity, 1), 5) for match in matches]
    innocent = max(1 - ORDINARY, (1 - WEIGHTS[1]) ** severities.count(1))
    for severity in severities:
        innocent *= 1.0 if severity == 1 else 1 - WEIGHTS[severity]
    score = round(10 * (1 - innocent), 1)
    level: Level = "malicious" if score >= MALICIOUS else "suspicious" if score >= SUSPICIOUS else "clean"
    why = [match.name for match in sorted(matches, key=lambda match: (-match.severity, match.name))]
    return Verdict(score=score, level=level, why=why)
