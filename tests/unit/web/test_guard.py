from __future__ import annotations

import pytest
from fastapi.testclient import TestClient

from malkoha.store import Home
from malkoha.tasks import Tasks
from malkoha.web.guard import is_loopback
from tests.unit.web.conftest import connect, message

TOKEN = "a-token-of-some-length"


def test_a_token_is_asked_for_once_it_is_set(home: Home, tasks: Tasks) -> None:
    client = connect(home, tasks, token=TOKEN)
    for shown in ("", "Bearer", "Bearer wrong", f"Basic {TOKEN}", f"Bearer {TOKEN}x"):
        answer = client.get("/tasks/list", headers={"authorization": shown} if shown else {})
        assert "token" in message(answer, 401)
        assert answer.headers["www-authenticate"] == "Bearer"
    for kind in ("Bearer", "Token", "bearer"):
        headers = {"authorization": f"{kind} {TOKEN}", "host": "sandbox.example:8090"}
        assert client.get("/tasks/list/", headers=headers).status_code == 200


@pytest.mark.parametrize("host", ["sandbox.example", "127.0.0.1.example", "", "[::1", "10.0.0.1:8090"])
def test_without_a_token_only_names_of_this_machine(client: TestClient, host: str) -> None:
    assert "this machine only" in message(client.get("/tasks/list", headers={"host": host}), 403)


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1:1", "[::1]:8090", "127.9.9.9"])
def test_names_of_this_machine(client: TestClient, host: str) -> None:
    assert client.get("/tasks/list", headers={"host": host}).status_code == 200


def test_pages_of_other_origins(client: TestClient) -> None:
    for origin in ("http://evil.example", "null", "http://127.0.0.1:80"):
        answer = client.post("/tasks/create/url", data={"url": "http://a/"}, headers={"origin": origin})
        assert "other origins" in message(answer, 403)
    assert client.get("/tasks/list", headers={"origin": "http://127.0.0.1:8090"}).status_code == 200


def test_lengths_that_are_none(client: TestClient) -> None:
    for length in ("-1", "x", "9" * 20):
        assert "too large" in message(client.post("/tasks/create/file", headers={"content-length": length}), 413)


def test_headers_of_every_answer(client: TestClient) -> None:
    for path in ("/tasks/list", "/nothing"):
        answer = client.get(path)
        assert answer.headers["content-security-policy"].startswith("default-src 'none'")
        assert answer.headers["x-content-type-options"] == "nosniff"


def test_loopback() -> None:
    assert [name for name in ("localhost", "127.0.0.1", "::1", "0.0.0.0", "::", "a") if is_loopback(name)] == [
        "localhost",
        "127.0.0.1",
        "::1",
    ]
