"""Sigma rules become queries of the table that answers them; what cannot be converted is named."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

import malkoha
from malkoha.rules.sigma import convert_all

EVAL = Path(os.environ.get("MALKOHA_EVAL", Path(malkoha.__file__).parents[3] / "shared" / "eval"))
RULE = """
title: Curl to a shell
id: 11111111-2222-3333-4444-555555555555
logsource: {product: linux, category: %s}
detection:
  selection:
    Image|endswith: /curl
    Odd Field: x
  condition: selection
level: high
tags: [attack.execution, attack.t1059.004]
"""


def test_a_rule_as_a_query_and_its_cache(tmp_path: Path) -> None:
    path = tmp_path / "a.yml"
    path.write_text(RULE % "process_creation")
    broken = tmp_path / "b.yml"
    broken.write_text("title: [")
    files = [("set/a.yml", path), ("set/b.yml", broken)]
    made = convert_all(files, tmp_path / "cache")
    rule = made.rules[0]
    assert (rule.table, rule.level, rule.severity) == ("process_creation", "high", 4)
    assert rule.fields == ["Image", "Odd Field"]
    assert rule.tags == ["attack.execution", "attack.t1059.004"]
    assert "/curl" in rule.sql
    assert len(made.errors) == 1
    assert made.errors[0].startswith("set/b.yml: ")
    kept = list((tmp_path / "cache").iterdir())
    assert convert_all(files, tmp_path / "cache") == made
    path.write_text(RULE % "file_event")
    assert convert_all(files, tmp_path / "cache").rules[0].table == "file_event"
    assert len(list((tmp_path / "cache").iterdir())) == len(kept) + 1


def test_logs_of_services_have_no_table(tmp_path: Path) -> None:
    path = tmp_path / "a.yml"
    path.write_text(RULE.replace("category: %s", "service: sshd"))
    assert convert_all([("a", path)]).rules[0].table == ""


@pytest.mark.skipif(not (EVAL / "sigma").is_dir(), reason="the rules for evaluation are not here")
def test_every_rule_for_evaluation_is_converted() -> None:
    files = [(path.name, path) for path in sorted((EVAL / "sigma").rglob("*.yml"))]
    made = convert_all(files)
    assert made.errors == []
    assert {rule.file for rule in made.rules} == {name for name, _ in files}
    assert sum(1 for rule in made.rules if rule.table) >= 0.9 * len(files)
