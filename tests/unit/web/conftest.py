"""The application on a home of its own, and a client that speaks to it without a socket."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import httpx2 as httpx
import msgspec
import pytest
from fastapi.testclient import TestClient

from malkoha.config import Service, Settings
from malkoha.model.task import Status
from malkoha.store import Home
from malkoha.tasks import Tasks
from malkoha.web.app import application

SCRIPT = b"#!/bin/sh\necho hello\n"
REPORT: dict[str, Any] = {
    "info": {"id": 1, "score": 1.5},
    "target": {"category": "file"},
    "signatures": [{"name": "</script><script>alert(1)</script>"}],
    "behavior": {"summary": {"file_read": ["/etc/passwd"]}, "processtree": [], "processes": [{"pid": 1}]},
    "network": {"hosts": ["198.51.100.1"], "domains": [], "udp": [{}]},
    "strings": ["x"],
    "malkoha": {"verdict": {"score": 1.5, "level": "clean", "why": []}},
}


@pytest.fixture
def tasks(home: Home) -> Iterator[Tasks]:
    with Tasks(home) as opened:
        yield opened


@pytest.fixture
def client(home: Home, tasks: Tasks) -> TestClient:
    return connect(home, tasks)


def connect(
    home: Home, tasks: Tasks, *, token: str = "", settings: Settings | None = None, exposed: bool = False
) -> TestClient:
    chosen = settings or Settings()
    if token:
        chosen = msgspec.structs.replace(chosen, service=Service(token=token))
    app = application(home, chosen, tasks, exposed=exposed)
    return TestClient(app, base_url="http://127.0.0.1:8090", raise_server_exceptions=False)


@pytest.fixture
def submitted(client: TestClient) -> Callable[..., int]:
    """Submit a script and return its task."""

    def call(content: bytes = SCRIPT, name: str = "a.sh", **fields: str) -> int:
        answer = client.post("/tasks/create/file", files={"file": (name, content)}, data=fields)
        assert answer.status_code == 200, answer.text
        return int(answer.json()["task_id"])

    return call


def finish(tasks: Tasks, task_id: int) -> None:
    """Stand in for the machine and for processing."""
    tasks.move(task_id, Status.RUNNING)
    store = tasks.home.analysis(task_id)
    store.run.write_text("{}")
    store.report_json.write_bytes(msgspec.json.encode(REPORT))
    store.report_html.write_text("<html>")
    tasks.move(task_id, Status.COMPLETED)
    tasks.move(task_id, Status.REPORTED)


def message(answer: httpx.Response, status: int) -> str:
    """Return what an error says."""
    assert answer.status_code == status, answer.text
    body = answer.json()
    assert list(body) == ["message"]
    return str(body["message"])
