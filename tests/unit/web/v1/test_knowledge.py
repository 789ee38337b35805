from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from fastapi.testclient import TestClient

from malkoha.rules import sets
from malkoha.signatures.catalogue import SIGNATURES
from malkoha.store import Home
from malkoha.tasks import Tasks
from tests.unit.web.conftest import SCRIPT, finish


def test_rules(client: TestClient, home: Home, tmp_path: Path) -> None:
    rule = tmp_path / "own.yar"
    rule.write_text("rule a { condition: true }")
    sets.add(home, rule)
    found = client.get("/api/v1/rules").json()
    assert len(found["signatures"]) == len(SIGNATURES)
    assert [each["name"] for each in found["sets"]] == ["malkoha", "own"]


def test_statistics(client: TestClient, submitted: Callable[..., int], tasks: Tasks) -> None:
    assert client.get("/api/v1/statistics").json()["run_s"] == {}
    finish(tasks, submitted())
    submitted(SCRIPT + b"#")
    found = client.get("/api/v1/statistics").json()
    assert (found["total"], found["waiting"], found["statuses"]) == (2, 1, {"pending": 1, "reported": 1})
    assert found["days"][-1]["added"] + found["days"][-2]["added"] == 2
    assert (len(found["days"]), found["hour"]) == (30, 1)
    assert found["run_s"]["median"] >= 0
    assert found["oldest_waiting_s"] >= 0


def test_abilities(client: TestClient) -> None:
    found = client.get("/api/v1/abilities").json()
    assert "shell" in found["packages"]
    assert found["machines"] == []
    assert "stix" in found["formats"]
    assert found["networks"] == ["none", "sim", "drop"]
