from __future__ import annotations

import hashlib
from collections.abc import Callable

from fastapi.testclient import TestClient

from malkoha.store import Store
from tests.unit.web.conftest import REPORT, SCRIPT, message
from tests.unit.web.v1.conftest import SHA

PLACE = "/api/v1/tasks/1"


def test_reports(client: TestClient, reported: Store) -> None:
    assert client.get(f"{PLACE}/report").json() == REPORT
    page = client.get(f"{PLACE}/report.html")
    assert page.text == "<html>"
    assert "sandbox" in page.headers["content-security-policy"]
    assert client.get(f"{PLACE}/summary").json()["malkoha"]["verdict"]["level"] == "clean"


def test_files(client: TestClient, reported: Store) -> None:
    sample = hashlib.sha256(SCRIPT).hexdigest()
    reported.payloads.mkdir(parents=True)
    (reported.payloads / "index.json").write_text("{}")
    assert client.get(f"{PLACE}/files").json()["files"] == [
        {"kind": "sample", "name": "sample", "size": len(SCRIPT), "sha256": sample},
        {"kind": "dropped", "name": "", "size": 7, "sha256": SHA},
    ]
    answer = client.get(f"{PLACE}/files/{SHA}")
    assert answer.content == b"dropped"
    assert answer.headers["content-disposition"].startswith("attachment")
    assert client.get(f"{PLACE}/files/{sample}").content == SCRIPT
    message(client.get(f"{PLACE}/files/{'0' * 64}"), 404)
    message(client.get(f"{PLACE}/files/..%2Ftask.json"), 404)


def test_exports(client: TestClient, reported: Store) -> None:
    answer = client.get(f"{PLACE}/export/stap")
    assert b"openat(" in answer.content
    assert answer.headers["content-disposition"] == 'attachment; filename="1-stap.stap"'
    assert client.get(f"{PLACE}/export/json").json() == REPORT
    assert "memory" in message(client.get(f"{PLACE}/export/memory"), 404)
    message(client.get(f"{PLACE}/export/exe"), 404)


def test_comparison(client: TestClient, reported: Store, submitted: Callable[..., int]) -> None:
    answer = client.get("/api/v1/compare?first=1&second=1").json()
    assert answer["alike"] == 1.0
    submitted()
    assert "no report" in message(client.get("/api/v1/compare?first=1&second=2"), 404)
    message(client.get("/api/v1/compare?first=1&second=9"), 404)
    message(client.get("/api/v1/compare?first=1"), 400)


def test_nothing_yet(client: TestClient, submitted: Callable[..., int]) -> None:
    submitted()
    for path in ("report", "report.html", "summary"):
        message(client.get(f"{PLACE}/{path}"), 404)
    assert [each["kind"] for each in client.get(f"{PLACE}/files").json()["files"]] == ["sample"]
