"""The table of techniques: it is whole, and a report names former ids too."""

from __future__ import annotations

import json

import pytest

from malkoha import attack
from tests.evaluation import FOLDER


def test_techniques_have_names_and_tactics() -> None:
    assert attack.name("T1059.004") == "Command and Scripting Interpreter: Unix Shell"
    assert attack.tactics("T1622") == ["discovery", "stealth"]
    for one in attack.techniques():
        assert attack.name(one)
        assert attack.tactics(one), one
    with pytest.raises(KeyError):
        attack.name("T0000")


def test_former_ids_are_named_beside_the_current() -> None:
    assert attack.named(["T1690"]) == {
        "T1690": "Prevent Command History Logging",
        "T1562.003": "Prevent Command History Logging (former id)",
    }


def test_former_ids_become_the_current() -> None:
    assert [attack.current(one) for one in ("T1562.004", "T1686", "T1059", "x")] == ["T1686", "T1686", "T1059", "x"]


def test_every_tactic_has_its_place_in_the_matrix() -> None:
    assert list(attack.matrix())[6:8] == ["stealth", "defense-impairment"]
    assert {tactic for one in attack.techniques() for tactic in attack.tactics(one)} <= set(attack.matrix())
    for one in attack.techniques():
        parent = one.partition(".")[0]
        assert parent == one or parent in attack.techniques(), one


def test_the_map_of_former_ids_is_whole() -> None:
    path = FOLDER / "detections.json"
    if not path.is_file():
        pytest.skip("the material is not there")
    for old, new in json.loads(path.read_text())["v19_mapping"].items():
        assert old in attack.former(new)
