from __future__ import annotations

import pytest

from malkoha.store import Home
from malkoha.tasks import Tasks
from malkoha.web.tokens import Role, Tokens
from tests.pages import queued
from tests.unit.web.conftest import connect
from tests.unit.web.pages.conftest import HTMX

BROWSER = {"accept": "text/html"}


def test_who_is_unknown_is_led_to_the_form_and_back(home: Home, tasks: Tasks) -> None:
    secret = Tokens(home).add("alice", Role.READ)
    queued(tasks, 1, "known.sh")
    client = connect(home, tasks)
    answer = client.get("/", headers=BROWSER, follow_redirects=False)
    assert (answer.status_code, answer.headers["location"]) == (303, "/login?next=/")
    form = client.get("/login?next=/analysis/1").text
    assert 'name="next" value="/analysis/1"' in form
    assert 'aria-label="Pages"' not in form
    wrong = client.post("/login", data={"token": "no", "next": "/analysis/1"})
    assert (wrong.status_code, "no such token" in wrong.text) == (401, True)
    answer = client.post("/login", data={"token": secret, "next": "/analysis/1"}, follow_redirects=False)
    assert (answer.status_code, answer.headers["location"]) == (303, "/analysis/1")
    cookie = answer.headers["set-cookie"].lower()
    assert "httponly" in cookie
    assert "samesite=strict" in cookie
    assert secret.lower() not in cookie
    assert "known.sh" in client.get("/", headers=BROWSER).text
    client.post("/logout")
    assert client.get("/", headers=BROWSER, follow_redirects=False).status_code == 303
    assert client.get("/queue", headers=HTMX).status_code == 401


def test_a_role_that_does_not_reach_is_told(home: Home, tasks: Tasks) -> None:
    secret = Tokens(home).add("alice", Role.READ)
    queued(tasks, 1)
    client = connect(home, tasks)
    client.post("/login", data={"token": secret})
    answer = client.get("/submit")
    assert (answer.status_code, "needs the role submit" in answer.text) == (403, True)
    assert client.post("/submit", data={"urls": "http://x/"}).status_code == 403
    assert client.post("/analysis/1/delete").status_code == 403
    assert client.post("/analysis/1/again").status_code == 403
    assert tasks.get(1).id == 1


@pytest.mark.parametrize("place", ["//evil.example", "https://evil.example", "/\\evil.example", "x", "/\n/evil", ""])
def test_nobody_is_led_elsewhere(home: Home, tasks: Tasks, place: str) -> None:
    secret = Tokens(home).add("alice", Role.READ)
    client = connect(home, tasks)
    answer = client.post("/login", data={"token": secret, "next": place}, follow_redirects=False)
    assert answer.headers["location"] == "/"


def test_pages_of_other_origins_change_nothing(home: Home, tasks: Tasks) -> None:
    queued(tasks, 1)
    client = connect(home, tasks)
    for headers in ({"origin": "http://evil.example"}, {"sec-fetch-site": "cross-site"}):
        assert client.post("/analysis/1/delete", headers=headers).status_code == 403
    assert tasks.get(1).id == 1
