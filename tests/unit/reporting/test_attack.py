"""Techniques of a report, from signatures and rules, and where they stand in the matrix."""

from __future__ import annotations

from typing import Any

from malkoha.reporting.attack import matrix, tactics_of, techniques

REPORT: dict[str, Any] = {
    "info": {"id": 7, "started": 1.0, "ended": 1_790_000_000.0},
    "target": {
        "file": {
            "name": "x.sh",
            "size": 9,
            "sha256": "ab" * 32,
            "md5": "cd" * 16,
            "ssdeep": "3:a:b",
            "urls": ["http://evil.example/a"],
        }
    },
    "signatures": [
        {
            "name": "cron",
            "description": "Writes a cron job",
            "severity": 3,
            "ttp": {"T1053.003": "Cron", "nonsense": "x"},
        },
        {"name": "other", "description": "Also", "severity": 1, "ttp": {"T1053.003": "Cron"}},
    ],
    "behavior": {
        "summary": {
            "resolves_host": ["evil.example"],
            "connects_ip": ["203.0.113.7:4444", "10.0.0.1:53"],
            "file_created": ["/etc/cron.d/x"],
        }
    },
    "static": {"indicators": {"ips": ["198.51.100.1"], "emails": ["a@evil.example"]}},
    "dropped": [{"sha256": "ef" * 32}],
    "malkoha": {
        "version": "0.1.0",
        "verdict": {"level": "malicious", "score": 8.1},
        "yara": {"matches": [{"rule": "bot", "severity": 5, "attack": ["T1498"], "on": "sample", "file": "sample"}]},
        "sigma": {"matches": [{"title": "Odd", "severity": 3, "attack": ["T9999"]}]},
    },
}
"""A report of a malicious sample, as plain values."""


def test_techniques_and_what_saw_them() -> None:
    found = techniques(REPORT)
    assert list(found) == ["T1053.003", "T1498", "T9999"]
    assert found["T1053.003"] == {
        "name": "Scheduled Task/Job: Cron",
        "severity": 3,
        "sources": ["cron", "other"],
    }
    assert found["T1498"]["sources"] == ["YARA: bot"]


def test_the_matrix_has_a_column_for_each_tactic_seen() -> None:
    columns = matrix(REPORT)
    assert [column["title"] for column in columns] == [
        "Execution",
        "Persistence",
        "Privilege escalation",
        "Impact",
        "Other",
    ]
    assert [entry["id"] for entry in columns[-1]["techniques"]] == ["T9999"]
    assert matrix({}) == []


def test_a_former_id_is_shown_as_the_current() -> None:
    match = {"name": "x", "severity": 3, "ttp": {"T1686": "Firewall", "T1562.004": "Firewall (former id)"}}
    rule = {"title": "Odd", "severity": 2, "attack": ["T1562.004"]}
    found = techniques({"signatures": [match], "malkoha": {"sigma": {"matches": [rule]}}})
    assert found == {
        "T1686": {"name": "Disable or Modify System Firewall", "severity": 3, "sources": ["x", "Sigma: Odd"]},
    }


def test_tactics_of_sub_techniques_are_those_of_their_own_or_of_the_technique() -> None:
    assert tactics_of("T1485.001") == ["impact"]
    assert tactics_of("T1548.001") == ["privilege-escalation"]
    assert tactics_of("T1036.999") == ["stealth"]
    assert tactics_of("T9999") == []
