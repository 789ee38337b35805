from __future__ import annotations

from typing import Any

import pytest
from fastapi.testclient import TestClient

from malkoha.config import Service, Settings
from malkoha.store import Home
from malkoha.tasks import Tasks
from malkoha.web.app import ROUTERS
from malkoha.web.guard import FIELDS_BYTES, is_loopback
from malkoha.web.tokens import Role
from malkoha.web.tokens import Tokens as Secrets
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


def test_roles(home: Home, tasks: Tasks, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("malkoha.web.api.os.kill", lambda *who: None)
    client = connect(home, tasks)
    ways: dict[Role, list[tuple[str, str]]] = {
        Role.READ: [("GET", "/tasks/list"), ("GET", "/cuckoo/status")],
        Role.SUBMIT: [("POST", "/tasks/create/url"), ("GET", "/tasks/reschedule/1"), ("GET", "/tasks/rereport/1")],
        Role.ADMIN: [("GET", "/tasks/delete/1"), ("GET", "/exit")],
    }
    secrets = {role: Secrets(home).add(role.value, role) for role in Role}
    for held, secret in secrets.items():
        for needed, requests in ways.items():
            for method, path in requests:
                answer = client.request(method, path, headers={"authorization": f"Bearer {secret}"})
                if held.covers(needed):
                    assert answer.status_code in (200, 400, 404), path
                else:
                    assert needed.value in message(answer, 403), path


def test_every_route_asks_for_a_role() -> None:
    """A route that forgot to would let every token in."""
    open_to_all = {"/api/v1/session", "/login", "/logout", "/static/{name}"}
    routes: list[Any] = [route for router in ROUTERS for route in router.routes]
    assert len(routes) > 20
    for route in routes:
        calls = [d.dependency.__qualname__ for d in route.dependencies]
        assert route.path in open_to_all or "needs.<locals>.check" in calls, route.path


def test_pages_that_embed_us(client: TestClient) -> None:
    """A picture of another page sends no origin, and Cuckoo's interface deletes by GET."""
    headers = {"sec-fetch-site": "cross-site", "sec-fetch-mode": "no-cors", "sec-fetch-dest": "image"}
    assert "other origins" in message(client.get("/tasks/delete/1", headers=headers), 403)
    visit = {"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate", "sec-fetch-dest": "document"}
    assert client.get("/tasks/list", headers=visit).status_code == 200
    assert "other origins" in message(client.get("/tasks/delete/1", headers=visit), 403)
    message(client.get("/tasks/delete/1", headers={"sec-fetch-site": "none"}), 404)


def test_nobody_is_let_in_when_the_last_token_goes(home: Home, tasks: Tasks) -> None:
    client = connect(home, tasks, exposed=True)
    message(client.get("/tasks/list", headers={"host": "localhost"}), 401)


def test_a_browser_is_led_to_the_login(home: Home, tasks: Tasks) -> None:
    client = connect(home, tasks, token=TOKEN)
    answer = client.get("/analysis/1", headers={"accept": "text/html"}, follow_redirects=False)
    assert (answer.status_code, answer.headers["location"]) == (303, "/login?next=/analysis/1")
    assert "Log in" in client.get("/login", headers={"accept": "text/html"}).text


def test_too_many_requests(home: Home, tasks: Tasks) -> None:
    settings = Settings(service=Service(requests_per_minute=3, submissions_per_minute=1))
    client = connect(home, tasks, settings=settings)
    message(client.post("/tasks/create/url"), 400)
    assert "Too many" in message(client.post("/tasks/create/url"), 429)
    assert client.get("/tasks/list").status_code == 200
    answer = client.get("/tasks/list")
    assert "Too many" in message(answer, 429)
    assert 0 < int(answer.headers["retry-after"]) <= 20  # less when this machine is slow


def test_only_forms_may_be_large(client: TestClient) -> None:
    answer = client.post("/api/v1/session", json={"token": "x" * FIELDS_BYTES})
    assert "at most 1 MiB" in message(answer, 413)


def test_a_broken_list_of_tokens(client: TestClient, home: Home) -> None:
    home.tokens.write_text("broken")
    assert "cannot be read" in message(client.get("/tasks/list"), 500)
