from __future__ import annotations

from collections.abc import Callable

from fastapi.testclient import TestClient
from prometheus_client.parser import text_string_to_metric_families

from malkoha.store import Home
from malkoha.tasks import Tasks
from malkoha.web.tokens import Role
from malkoha.web.tokens import Tokens as Secrets
from tests.unit.web.conftest import connect, finish, message


def samples(client: TestClient) -> dict[tuple[str, ...], float]:
    text = client.get("/metrics").text
    found = [sample for family in text_string_to_metric_families(text) for sample in family.samples]
    return {(sample.name, *sample.labels.values()): sample.value for sample in found}


def test_queue_and_requests(client: TestClient, submitted: Callable[..., int], tasks: Tasks) -> None:
    finish(tasks, submitted())
    submitted()
    client.request("BREW", "/tasks/list")
    client.get("/tasks/view/99")
    found = samples(client)
    assert found["malkoha_tasks", "reported"] == found["malkoha_tasks", "pending"] == 1
    assert found["malkoha_oldest_waiting_seconds",] > 0
    assert found["malkoha_disk_bytes", "free"] > 0
    assert found["malkoha_requests_total", "POST", "200"] == 2
    assert found["malkoha_requests_total", "GET", "404"] == 1
    assert found["malkoha_requests_total", "other", "405"] == 1
    assert found["malkoha_request_seconds_count",] == 4


def test_a_token_is_needed(home: Home, tasks: Tasks) -> None:
    secret = Secrets(home).add("prometheus", Role.READ)
    client = connect(home, tasks)
    message(client.get("/metrics"), 401)
    answer = client.get("/metrics", headers={"authorization": f"Bearer {secret}"})
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    requests = [line for line in answer.text.splitlines() if line.startswith("malkoha_requests_total")]
    assert requests == ['malkoha_requests_total{method="GET",status="401"} 1.0']
