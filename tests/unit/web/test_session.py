from __future__ import annotations

import time

import pytest

from malkoha.store import Home
from malkoha.tasks import Tasks
from malkoha.web import access
from malkoha.web.tokens import Role
from malkoha.web.tokens import Tokens as Secrets
from tests.unit.web.conftest import connect, message

PLACE = "/api/v1/session"


def test_a_browser_logs_in_and_out(home: Home, tasks: Tasks) -> None:
    secret = Secrets(home).add("alice", Role.SUBMIT)
    client = connect(home, tasks)
    assert client.get(PLACE).json() == {"name": None, "role": None, "needed": True}
    message(client.get("/tasks/list"), 401)
    answer = client.post(PLACE, json={"token": secret})
    assert answer.json() == {"name": "alice", "role": "submit"}
    cookie = answer.headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=strict" in cookie
    assert secret not in cookie
    assert client.get("/tasks/list").status_code == 200
    assert client.get(PLACE).json()["name"] == "alice"
    kept = dict(client.cookies)
    client.delete(PLACE)
    message(client.get("/tasks/list"), 401)
    client.cookies.update(kept)
    message(client.get("/tasks/list"), 401)


def test_a_removed_token_ends_its_sessions(home: Home, tasks: Tasks) -> None:
    secrets = Secrets(home)
    secret = secrets.add("alice", Role.READ)
    secrets.add("bob", Role.READ)
    client = connect(home, tasks)
    client.post(PLACE, json={"token": secret})
    assert client.get("/tasks/list").status_code == 200
    secrets.remove("alice")
    message(client.get("/tasks/list"), 401)


def test_a_session_ends(home: Home, tasks: Tasks, monkeypatch: pytest.MonkeyPatch) -> None:
    client = connect(home, tasks)
    client.post(PLACE, json={"token": Secrets(home).add("alice", Role.READ)})
    later = time.monotonic() + access.SESSION_S + 1
    monkeypatch.setattr("malkoha.web.access.time.monotonic", lambda: later)
    message(client.get("/tasks/list"), 401)


def test_wrong_tokens_and_too_many_of_them(home: Home, tasks: Tasks) -> None:
    Secrets(home).add("alice", Role.READ)
    client = connect(home, tasks)
    for _ in range(30):
        message(client.post(PLACE, json={"token": "wrong"}), 401)
    answer = client.post(PLACE, json={"token": "wrong"})
    assert "wait" in message(answer, 429)
    assert int(answer.headers["retry-after"]) > 0


def test_old_sessions_make_room(home: Home, tasks: Tasks, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(access, "MAX_SESSIONS", 2)
    secret = Secrets(home).add("alice", Role.READ)
    client = connect(home, tasks)
    client.post(PLACE, json={"token": secret})
    first = dict(client.cookies)
    for _ in range(2):
        client.cookies.clear()
        client.post(PLACE, json={"token": secret})
    assert client.get("/tasks/list").status_code == 200
    client.cookies.clear()
    client.cookies.update(first)
    message(client.get("/tasks/list"), 401)


def test_without_tokens_everybody_here_is_an_admin(home: Home, tasks: Tasks) -> None:
    assert connect(home, tasks).get(PLACE).json() == {"name": "local", "role": "admin", "needed": False}
