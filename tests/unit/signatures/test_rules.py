"""Every signature on small traces: what it must find, and what it must leave alone."""

from __future__ import annotations

import importlib
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

import malkoha.signatures
from malkoha import attack
from malkoha.model.event import Event
from malkoha.model.matches import Match
from malkoha.signatures import rules_matched
from malkoha.signatures.base import Signature
from malkoha.signatures.catalogue import SIGNATURES
from malkoha.signatures.judging import judge
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
    """Read a listing of `COMM[TID] CALL` lines; `@N ` before one is its time in seconds."""
    made = []
    for number, text in enumerate(filter(None, listing.splitlines())):
        seconds, _, line = text[1:].partition(" ") if text.startswith("@") else ("0", "", text)
        comm, _, rest = line.partition("[")
        event = stap.parse_line(f"Mon Nov 23 21:00:{int(seconds):02} 2026.000000 {comm}@1[{rest}\n".encode(), number)
        assert event.kind == "syscall", line
        made.append(event)
    return made


def matches(listing: str, *names: str, findings: Sequence[dict[str, Any]] = ()) -> list[Match]:
    builder = Builder()
    rows = []
    for event in events(listing):
        process = builder.feed(event)
        rows.append(Row(process.key, process.calls - 1, event))
    sections = {"network": {"findings": list(findings)}}
    found, errors = judge(rows, builder.finish(), sections, [BY_NAME[name] for name in names] or SIGNATURES)
    assert errors == []
    return found


@pytest.mark.parametrize("case", cases())
def test_case(case: dict[str, Any]) -> None:
    steps = "\n".join(f"{line}\n" * times for times, line in case.get("steps", ()))
    found = matches(case.get("trace", "") or steps, case["signature"], findings=case.get("findings", ()))
    assert [mark.ioc for match in found for mark in match.marks if mark.type == "ioc"] == case.get("ioc", [])


def test_every_signature_has_a_hit_and_a_miss() -> None:
    listed = [parameter.values[0] for parameter in cases()]
    hits = {case["signature"] for case in listed if case.get("ioc")}
    misses = {case["signature"] for case in listed if not case.get("ioc")}
    assert hits == misses == set(BY_NAME) - {signature.name for signature in OF_RULES}


def test_every_signature_says_what_it_is() -> None:
    for signature in SIGNATURES:
        assert 1 <= signature.severity <= 5, signature
        assert signature.description, signature
        assert signature in OF_RULES or attack.named(signature.attack), signature
        asks = (signature.paths, signature.programs, signature.line, signature.script, signature.sends)
        judges_the_end = signature.on_end is not Signature.on_end
        assert signature.syscalls or judges_the_end or any(asks), signature
        assert signature.words or not (signature.script or signature.sends), signature
    assert len(BY_NAME) == len(SIGNATURES)


def test_no_file_of_signatures_is_forgotten() -> None:
    folder = Path(malkoha.signatures.__file__).parent
    homes = {signature.__module__.rsplit(".", 1)[-1] for signature in SIGNATURES}
    tactics = {tactic.replace("-", "_") for one in attack.techniques() for tactic in attack.tactics(one)}
    known = (*sorted(tactics), "families", "network_behaviour", "own_code", "remote_shells", "rules_matched")
    assert {path.stem for path in folder.glob("*.py") if path.stem.startswith(known)} == homes


def test_no_signature_of_a_file_is_forgotten() -> None:
    for module in {signature.__module__ for signature in SIGNATURES}:
        found = {
            item
            for item in vars(importlib.import_module(module)).values()
            if isinstance(item, type) and issubclass(item, Signature) and item.__module__ == module
        }
        assert {item for item in found if not item.__name__.startswith("_")} == {
            signature for signature in SIGNATURES if signature.__module__ == module
        }
