"""Matches of rules become signatures by the rules' own level, and low ones never make a sample suspicious."""

from __future__ import annotations

from typing import Any

import pytest

from malkoha.signatures.judging import judge
from malkoha.signatures.rules_matched import SIGNATURES
from malkoha.signatures.verdict import verdict


def named(sections: dict[str, Any]) -> list[str]:
    matches, errors = judge([], [], sections, SIGNATURES)
    assert errors == []
    return [match.name for match in matches]


@pytest.mark.parametrize("section", ["yara", "sigma"])
def test_the_level_of_the_rule_decides(section: str) -> None:
    for severity, name in (
        (5, f"{section}_match"),
        (4, f"{section}_match"),
        (3, f"{section}_match_medium"),
        (1, f"{section}_match_low"),
    ):
        assert named({section: {"matches": [{"rule": "x", "severity": severity, "on": "sample"}]}}) == [name]
    assert named({section: {"matches": []}}) == []
    assert named({}) == []


def test_the_mark_names_rule_and_place() -> None:
    match = {"rule": "x", "severity": 4, "on": "dropped", "description": "A bot", "attack": ["T1498"]}
    matches, _ = judge([], [], {"yara": {"matches": [match]}}, SIGNATURES)
    assert (matches[0].marks[0].ioc, matches[0].marks[0].description) == ("x", "A bot (dropped, T1498)")


def test_many_low_rules_stay_clean() -> None:
    low = [{"title": f"rule {number}", "severity": 1} for number in range(40)]
    matches, _ = judge([], [], {"yara": {"matches": low}, "sigma": {"matches": low}}, SIGNATURES)
    assert verdict(matches).level == "clean"


def test_the_priority_of_an_alert_decides() -> None:
    alert = {"signature": "MALWARE gate", "category": "trojan", "severity": 1, "dst_ip": "203.0.113.9", "dst_port": 80}
    assert named({"suricata": {"alerts": [alert]}}) == ["suricata_alert"]
    assert named({"suricata": {"alerts": [alert | {"severity": 3}, alert | {"severity": None}]}}) == [
        "suricata_alert_low"
    ]
    assert named({"suricata": {}}) == []
    matches, _ = judge([], [], {"suricata": {"alerts": [alert]}}, SIGNATURES)
    assert (matches[0].marks[0].ioc, matches[0].marks[0].description) == ("MALWARE gate", "trojan (203.0.113.9:80)")
