from __future__ import annotations

import pytest
from fastapi.testclient import TestClient

from malkoha.tasks import Tasks
from tests.unit.web.conftest import message


def test_a_fault_of_ours_is_an_answer(client: TestClient, tasks: Tasks, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(**wanted: object) -> None:
        raise RuntimeError("secret")

    monkeypatch.setattr(tasks, "all", fail)
    assert message(client.get("/tasks/list"), 500) == "internal error, the log of the service says more"


def test_a_wrong_parameter_is_named(client: TestClient) -> None:
    assert message(client.get("/tasks/list?completed_after=x"), 400).startswith("completed_after: ")


def test_the_interface_describes_itself(client: TestClient) -> None:
    paths = client.get("/api/v1/openapi.json").json()["paths"]
    assert "/tasks/create/file" in paths
    assert "/tasks/report/{task_id}/{form}" in paths
