from __future__ import annotations

import re
from typing import Any

import pytest
from fastapi.testclient import TestClient

from malkoha.model.task import Status
from malkoha.tasks import Tasks
from malkoha.web.pages.frame import TABS
from tests import reports
from tests.pages import queued, reported, rich
from tests.unit.web.pages.conftest import HTMX

PLACES = [place for place, _ in TABS]


@pytest.fixture
def busy(tasks: Tasks) -> dict[str, Any]:
    report = rich()
    reported(tasks, 1, report, "dropper.sh")
    return report


@pytest.mark.parametrize("place", PLACES)
def test_a_tab_is_a_page_and_a_part(client: TestClient, busy: dict[str, Any], place: str) -> None:
    path = f"/analysis/1/{place}".rstrip("/")
    whole = client.get(path)
    assert whole.status_code == 200
    assert f'hx-push-url="true" hx-indicator="#tab" aria-current="page">{dict(TABS)[place]}</a>' in whole.text
    part = client.get(path, headers=HTMX)
    assert part.text.startswith("<title>dropper.sh")
    assert 'id="tabs"' not in part.text
    assert len(part.text) < len(whole.text)


def test_the_overview_says_why(client: TestClient, busy: dict[str, Any]) -> None:
    text = client.get("/analysis/1").text
    why = busy["malkoha"]["verdict"]["why"][0]
    assert f'href="/analysis/1/signatures#{why}"' in text
    assert 'data-level="malicious"' in text
    assert busy["target"]["file"]["sha256"] in text
    assert 'id="attack"' in text


def test_marks_lead_to_their_calls(client: TestClient, busy: dict[str, Any]) -> None:
    mark = next(mark for match in busy["signatures"] for mark in match["marks"] if "cid" in mark)
    assert (
        f'href="/analysis/1/calls?process={mark["key"]}&amp;at={mark["cid"]}"'
        in client.get("/analysis/1/signatures").text
    )


def test_downloads_are_offered_where_they_are(client: TestClient, tasks: Tasks, busy: dict[str, Any]) -> None:
    text = client.get("/analysis/1").text
    for path in (
        "/tasks/report/1/json",
        "/tasks/report/1/html",
        "/analysis/1/events.parquet",
        "/analysis/1/sample.zip",
    ):
        assert f'<a href="{path}">' in text
        assert client.get(path).status_code == 200
    assert "/pcap/get/1" not in text
    tasks.home.analysis(1).pcap.write_bytes(b"x")
    assert "/pcap/get/1" in client.get("/analysis/1").text


def test_what_is_not_reported_says_where_it_stands(client: TestClient, tasks: Tasks) -> None:
    queued(tasks, 1)
    assert "waiting for a machine" in client.get("/analysis/1").text
    tasks.move(1, Status.RUNNING)
    assert "the machine is being restored" in client.get("/analysis/1").text
    tasks.move(1, Status.FAILED_ANALYSIS, error="no <b>machine</b>")
    assert "no &lt;b&gt;machine&lt;/b&gt;" in client.get("/analysis/1").text


def test_an_analysis_is_run_again_made_anew_and_deleted(client: TestClient, tasks: Tasks, busy: dict[str, Any]) -> None:
    answer = client.post("/analysis/1/again", follow_redirects=False)
    assert answer.headers["location"] == f"/analysis/{tasks.all()[0].id}"
    assert tasks.all()[0].status is Status.PENDING
    client.post("/analysis/1/process", follow_redirects=False)
    assert tasks.get(1).status is Status.COMPLETED
    client.post("/analysis/1/delete", follow_redirects=False)
    assert not tasks.home.analysis(1).root.exists()
    assert client.get("/analysis/1").status_code == 404


def test_strings_are_filtered(client: TestClient, busy: dict[str, Any], tasks: Tasks) -> None:
    wanted = busy["strings"][0]
    text = client.get("/analysis/1/static", params={"q": wanted.upper()}).text
    assert f" of {len(busy['strings'])}" in text
    assert "No printable strings fit" in client.get("/analysis/1/static?q=nowhere-at-all").text


@pytest.mark.parametrize("place", PLACES)
def test_poison_in_every_field_stays_text(client: TestClient, tasks: Tasks, place: str) -> None:
    report = reports.poisoned(rich(), reports.POISON.replace("\ud800", "") + "y" * 10_000)
    reported(tasks, 1, report, "<script>\u202e" + "n" * 200)
    answer = client.get(f"/analysis/1/{place}".rstrip("/"))
    assert answer.status_code == 200
    visible = re.sub(r'data-copy="[^"]*"', "", answer.text)  # is never shown, and gives what there is
    for bad in ("<script>d", "<img", "\u202e", "\x1b", "\x00", "</style></"):
        assert bad not in visible, bad
    assert answer.text.count("<script") == 3
    assert len(answer.content) < 16 << 20


def test_a_report_without_events_has_its_tabs(client: TestClient, tasks: Tasks) -> None:
    reported(tasks, 1, {"info": {}}, parquet=False)
    for place in PLACES:
        status = client.get(f"/analysis/1/{place}".rstrip("/")).status_code
        assert status == (404 if place in ("processes", "calls") else 200), place
