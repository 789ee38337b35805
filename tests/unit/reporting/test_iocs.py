"""Indicators: what counts, where from, and defanged so that no program makes a link of them."""

from __future__ import annotations

import csv
import io
import json
from typing import Any

import pytest

from malkoha.reporting.iocs import as_csv, as_json, defang, indicators
from tests.unit.reporting.test_attack import REPORT


def test_each_once_with_its_source() -> None:
    found = {(each.type, each.value): each.source for each in indicators(REPORT)}
    assert found["domain", "evil.example"] == "behaviour"
    assert found["ip", "203.0.113.7"] == "behaviour"
    assert found["ip", "198.51.100.1"] == "strings"
    assert found["sha256", "ab" * 32] == "sample"
    assert found["sha256", "ef" * 32] == "dropped"
    assert found["path", "/etc/cron.d/x"] == "behaviour"
    assert ("ip", "10.0.0.1") not in found


@pytest.mark.parametrize(
    ("kind", "value", "expected"),
    [
        ("url", "http://evil.example:80/a.b", "hxxp://evil[.]example:80/a.b"),
        ("url", "https://u@evil.example", "hxxps://u[@]evil[.]example"),
        ("domain", "a.evil.example", "a[.]evil[.]example"),
        ("ip", "203.0.113.7", "203[.]0[.]113[.]7"),
        ("ip", "2001:db8::1", "2001[:]db8[:][:]1"),
        ("email", "a@evil.example", "a[@]evil[.]example"),
        ("sha256", "ab.cd", "ab.cd"),
    ],
)
def test_defanging(kind: str, value: str, expected: str) -> None:
    assert defang(kind, value) == expected


def test_json_and_csv_hold_the_same() -> None:
    rows = list(csv.DictReader(io.StringIO(as_csv(REPORT).decode())))
    assert rows == json.loads(as_json(REPORT))
    assert len(rows) == len(indicators(REPORT))


def test_a_cell_is_no_formula_and_garbage_no_indicator() -> None:
    hostile: dict[str, Any] = {
        "static": {"indicators": {"emails": ["=cmd()@x.example"], "ips": ["not one", "127.0.0.1"], "domains": ["-", 5]}}
    }
    lines = as_csv(hostile).decode().splitlines()
    assert lines[1].startswith("email,'=cmd()@x.example,")
    assert len(lines) == 2
    assert indicators({}) == []
