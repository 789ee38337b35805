"""The Navigator layer."""

from __future__ import annotations

import json

from malkoha.reporting.navigator import layer
from tests.unit.reporting.test_attack import REPORT


def test_a_layer() -> None:
    made = json.loads(layer(REPORT))
    assert (made["domain"], made["versions"]["layer"], made["name"]) == ("enterprise-attack", "4.5", "malkoha: x.sh")
    cron = [each for each in made["techniques"] if each["techniqueID"] == "T1053.003"]
    assert [each["tactic"] for each in cron] == ["execution", "persistence", "privilege-escalation"]
    assert cron[0]["score"] == 3
    assert cron[0]["comment"] == "cron, other"
    assert json.loads(layer({}))["techniques"] == []
