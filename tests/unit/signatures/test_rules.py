"""Every signature on small traces: what it must find, and what it must leave alone."""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest

import malkoha.signatures
from malkoha.model.event import Event
from malkoha.model.report import Finding, Match, Network
from malkoha.signatures import rules_matched
from malkoha.signatures.base import Signature
from malkoha.signatures.runner import SIGNATURES, judge
from malkoha.trace import stap
from malkoha.trace.processes import Builder
from malkoha.trace.store import Row

CASES = Path(__file__).parents[2] / "signatures"
BY_NAME = {signature.name: signature for signature in SIGNATURES}
OF_RULES = set(rules_matched.SIGNATURES)
"""They judge what rules found and see no events: test_rules_matched.py."""


def cases() -> list[Any]:
    found = []
    for path in sorted(CASES.glob("*.toml")):
        for number, case in enumerate(tomllib.loads(path.read_text())["case"]):
            found.append(pytest.param(case, id=f"{path.stem}-{case['signature']}-{number}"))
    return found


def events(listing: str) -> list[Event]:
    """Read a listing of `COMM[TID] CALL` lines."""
    made = []
    for number, line in enumerate(filter(None, listing.splitlines())):
        comm, _, rest = line.partition("[")
        event = stap.parse_line(f"Mon Nov 23 21:00:00 2026.000000 {comm}@1[{rest}\n".encode(), number)
        assert event.kind == "syscall", line
        made.append(event)
    return made


def matches(listing: str, *names: str, findings: Sequence[dict[str, Any]] = ()) -> list[Match]:
    builder = Builder()
    rows = []
    for event in events(listing):
        process = builder.feed(event)
        rows.append(Row(process.key, process.calls - 1, event))
    sections = {"network": Network(findings=[msgspec.convert(finding, Finding) for finding in findings])}
    found, errors = judge(rows, builder.finish(), sections, [BY_NAME[name] for name in names] or SIGNATURES)
    assert errors == []
    return found


@pytest.mark.parametrize("case", cases())
def test_case(case: dict[str, Any]) -> None:
    found = matches(case.get("trace", ""), case["signature"], findings=case.get("findings", ()))
    assert [mark.ioc for match in found for mark in match.marks if mark.type == "ioc"] == case.get("ioc", [])


def test_every_signature_has_a_hit_and_a_miss() -> None:
    listed = [parameter.values[0] for parameter in cases()]
    hits = {case["signature"] for case in listed if case.get("ioc")}
    misses = {case["signature"] for case in listed if not case.get("ioc")}
    assert hits == misses == set(BY_NAME) - {signature.name for signature in OF_RULES}


def test_every_signature_says_what_it_is() -> None:
    for signature in SIGNATURES:
        assert 1 <= signature.severity <= 5
        assert signature.description
        assert signature in OF_RULES or signature.ttps
        assert signature.syscalls or signature.on_end is not Signature.on_end
    assert len(BY_NAME) == len(SIGNATURES)


def test_no_file_of_signatures_is_forgotten() -> None:
    folder = Path(malkoha.signatures.__file__).parent
    homes = {signature.__module__.rsplit(".", 1)[-1] for signature in SIGNATURES}
    assert {path.stem for path in folder.glob("*.py")} - {"__init__", "base", "runner", "verdict"} == homes
