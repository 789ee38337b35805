"""What the reports say of the cases: recall of techniques, false alarms, and what was missed.

In: pairs of a case and its report (None when there is none). Out: plain values, for bench/eval.json and the table.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from evaluation.cases import Case

Report = dict[str, Any]
Judged = Sequence[tuple[Case, Report | None]]


def atomics(judged: Judged) -> dict[str, Any]:
    """Give the recall of the cases that count, by technique and by tactic, and each case that was missed."""
    counting = [(case, hit(case, report)) for case, report in judged if case.counts]
    others = [(case, hit(case, report)) for case, report in judged if not case.counts]
    return {
        "cases": len(judged),
        "not_run": sorted(case.name for case, report in judged if report is None),
        "recall": share(found for _, found in counting),
        "recall_not_counted": share(found for _, found in others),
        "by_tactic": _grouped((tactic, found) for case, found in counting for tactic in case.tactics),
        "by_technique": _grouped((case.technique, found) for case, found in counting),
        "missed": [_missed(case, report) for case, report in judged if not hit(case, report)],
    }


def benign(judged: Judged) -> dict[str, Any]:
    """Give the ordinary jobs whose verdict is above clean."""
    ran = [(case, report) for case, report in judged if report is not None]
    alarms = [(case, report) for case, report in ran if level(report) != "clean"]
    return {
        "cases": len(judged),
        "not_run": sorted(case.name for case, report in judged if report is None),
        "failed": sorted(case.name for case, report in ran if report["malkoha"]["exit_status"] not in (0, None)),
        "false_alarms": _share(len(alarms), len(ran)),
        "malicious": sorted(case.name for case, report in alarms if level(report) == "malicious"),
        "alarms": [_alarm(case, report) for case, report in alarms],
        "matched": _matched(report for _, report in ran),
    }


def malicious(judged: Judged) -> dict[str, Any]:
    """Give the share of malicious jobs whose verdict is above clean, and what the others were given."""
    ran = [(case, report) for case, report in judged if report is not None]
    return {
        "cases": len(judged),
        "not_run": sorted(case.name for case, report in judged if report is None),
        "recognised": share(level(report) != "clean" for _, report in ran),
        "malicious": share(level(report) == "malicious" for _, report in ran),
        "below": [_alarm(case, report) for case, report in ran if level(report) != "malicious"],
    }


def hit(case: Case, report: Report | None) -> bool:
    """Tell whether a rule that matched names the technique of a case, its parent, or one of its sub-techniques."""
    wanted = {case.technique, case.former} - {""}
    return any(
        code in wanted or _parent(code) in wanted or code in map(_parent, wanted) for code in techniques(report or {})
    )


def techniques(report: Report) -> set[str]:
    """Give the ATT&CK ids, current and former, of all that matched."""
    return {code for match in report.get("signatures", []) for code in match["ttp"]}


def level(report: Report) -> str:
    """Give the level of the verdict."""
    return str(report["malkoha"]["verdict"]["level"])


def share(found: Iterable[bool]) -> dict[str, Any]:
    """Count what was found, of how many, and the share in per cent; None of nothing."""
    answers = list(found)
    return _share(sum(answers), len(answers))


def _share(found: int, of: int) -> dict[str, Any]:
    return {"found": found, "of": of, "percent": round(100 * found / of, 1) if of else None}


def _grouped(rows: Iterable[tuple[str, bool]]) -> dict[str, dict[str, Any]]:
    groups: dict[str, list[bool]] = {}
    for name, found in rows:
        groups.setdefault(name, []).append(found)
    return {name: share(groups[name]) for name in sorted(groups)}


def _parent(technique: str) -> str:
    """Give the technique above a sub-technique; of a technique, nothing."""
    head, dot, _ = technique.partition(".")
    return head if dot else ""


def _missed(case: Case, report: Report | None) -> dict[str, Any]:
    found = {"case": case.name, "technique": case.technique, "title": case.title, "counts": case.counts}
    if report is None:
        return found | {"why": "no report"}
    matched = sorted(match["name"] for match in report["signatures"])
    return found | {"analysis": report["info"]["id"], "matched": matched}


def _alarm(case: Case, report: Report) -> dict[str, Any]:
    verdict = report["malkoha"]["verdict"]
    matched = {match["name"]: match["severity"] for match in report["signatures"]}
    return {
        "case": case.name,
        "analysis": report["info"]["id"],
        "level": verdict["level"],
        "score": verdict["score"],
        "matched": matched,
    }


def _matched(reports: Iterable[Report]) -> dict[str, int]:
    """Count in how many ordinary jobs each signature matched, the most frequent first."""
    counts: dict[str, int] = {}
    for report in reports:
        for match in report["signatures"]:
            counts[match["name"]] = counts.get(match["name"], 0) + 1
    return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))
