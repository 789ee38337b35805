from __future__ import annotations

from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from malkoha.tasks import Tasks
from malkoha.web import pages
from malkoha.web.pages.rendering import POLICY, asset
from tests.pages import queued
from tests.unit.web.pages.conftest import HTMX

FOLDER = Path(pages.__file__).parent


def test_the_policy_runs_and_loads_our_own_files_only(client: TestClient) -> None:
    answer = client.get("/")
    assert answer.headers["content-security-policy"] == POLICY
    assert "unsafe" not in POLICY
    assert answer.headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize("path", sorted((FOLDER / "templates").iterdir()), ids=lambda path: str(path.name))
def test_no_template_has_script_style_or_an_address_of_elsewhere(path: Path) -> None:
    text = path.read_text()
    for bad in ("<style", " style=", "javascript:", "hx-on", "|safe", "http://", "https://", " onclick"):
        assert bad not in text.replace('placeholder="http://', ""), bad
    assert text.count("<script") == text.count('<script src="{{ asset(')


def test_a_file_is_kept_under_an_address_that_changes_with_it(client: TestClient) -> None:
    answer = client.get(asset("pages.js"))
    assert answer.headers["content-type"] == "text/javascript; charset=utf-8"
    assert "immutable" in answer.headers["cache-control"]
    assert answer.content == (FOLDER / "static" / "pages.js").read_bytes()
    assert client.get("/static/icon.svg").headers["content-type"] == "image/svg+xml"


@pytest.mark.parametrize("name", ["nothing.js", "..%2frendering.py", "%2fetc%2fpasswd", "page.html.j2"])
def test_nothing_else_is_given_out(client: TestClient, name: str) -> None:
    assert client.get(f"/static/{name}").status_code == 404


def test_htmx_comes_with_its_licence(client: TestClient) -> None:
    assert "Zero-Clause BSD" in client.get("/static/htmx.LICENSE.txt").text


def test_errors_are_pages(client: TestClient, tasks: Tasks) -> None:
    answer = client.get("/analysis/7")
    assert answer.status_code == 404
    assert "<title>404" in answer.text
    assert "There is no analysis 7" in answer.text
    assert client.get("/analysis/x").status_code == 404
    assert client.get("/?page=0").status_code == 400
    assert client.get("/?status=<b>").text.count("<b>&lt;") == 0
    queued(tasks, 1)
    answer = client.get("/analysis/1/network")
    assert (answer.status_code, "There is no report yet" in answer.text) == (404, True)


def test_htmx_gets_the_part_that_it_asked_for(client: TestClient) -> None:
    assert client.get("/analysis/7", headers=HTMX).text.startswith("<title>")
    assert "<!doctype html>" in client.get("/analysis/7", headers=HTMX | {"hx-history-restore-request": "true"}).text
