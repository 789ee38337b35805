"""malkoha's own YARA rules: each finds what it is for, and none finds ordinary programs; errors of others are named."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import pytest

from malkoha.processing.yara import scan
from malkoha.rules.yara import bundled, compile_rules
from tests.unit.rules.cases import HITS, MISSES


@cache
def compiled() -> Any:
    found = compile_rules(bundled())
    assert found.errors == []
    return found.rules


def found(content: bytes) -> list[dict[str, Any]]:
    matches, trouble = scan(compiled(), content)
    assert trouble == ""
    return matches


def identifiers() -> set[str]:
    lines = [line for _, path in bundled() for line in path.read_text().splitlines()]
    return {line.split()[1] for line in lines if line.startswith("rule ")}


def test_every_rule_has_a_case() -> None:
    assert identifiers() == set(HITS)
    assert len(HITS) >= 40


@pytest.mark.parametrize("name", sorted(HITS))
def test_a_rule_finds_what_it_is_for_and_says_what_it_means(name: str) -> None:
    match = next(match for match in found(HITS[name].encode("latin-1")) if match["rule"] == name)
    assert match["description"]
    assert match["attack"]
    assert match["reference"].startswith("https://")
    assert 1 <= match["severity"] <= 5
    assert match["places"]


@pytest.mark.parametrize("name", sorted(MISSES))
def test_what_only_looks_like_it_is_not_found(name: str) -> None:
    assert [match["rule"] for match in found(MISSES[name].encode("latin-1"))] == []


@pytest.mark.parametrize(
    "program", ["bash", "ls", "tar", "ip", "systemctl", "perl", "curl", "wget", "ssh", "gdb", "python3"]
)
def test_ordinary_programs_are_not_found(program: str) -> None:
    path = next(
        (path for folder in ("/usr/bin", "/bin", "/usr/sbin") if (path := Path(folder, program)).exists()), None
    )
    if path is None:
        pytest.skip(f"{program} is not here")
    assert [match["rule"] for match in found(path.read_bytes()) if match["severity"] > 1] == []


def test_a_broken_rule_is_named_and_the_others_of_its_file_stay(tmp_path: Path) -> None:
    path = tmp_path / "x.yar"
    path.write_text('rule good { strings: $a = "needle" condition: $a }\nrule bad {\n  condition: nothing_known\n}\n')
    (tmp_path / "torn.yar").write_text('rule torn { strings: $a = "x"\n')
    (tmp_path / "other.yar").write_text(f'include "{path}"\nrule good {{ condition: false }}\n')
    made = compile_rules([(name, tmp_path / name) for name in ("x.yar", "torn.yar", "other.yar", "gone.yar")])
    assert str(made.errors[0]) == "x.yar:3: rule bad: unknown identifier `nothing_known`"
    assert {error.file for error in made.errors} == {"x.yar", "torn.yar", "other.yar", "gone.yar"}
    assert [match["rule"] for match in scan(made.rules, b"a needle")[0]] == ["good"]
