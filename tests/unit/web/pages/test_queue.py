from __future__ import annotations

import re

from fastapi.testclient import TestClient

from malkoha.model.task import Status
from malkoha.tasks import Tasks
from tests import reports
from tests.pages import SCRIPT, queued, reported


def ids(text: str) -> list[int]:
    return [int(number) for number in re.findall(r'data-row="(\d+)"', text)]


def test_the_newest_comes_first_with_its_verdict(client: TestClient, tasks: Tasks) -> None:
    reported(tasks, 1, reports.busy(), "dropper.sh")
    queued(tasks, 2, "waits.sh")
    text = client.get("/").text
    assert ids(text) == [2, 1]
    assert "waits.sh" in text
    assert re.search(r'verdict-pill v-malicious"><b>[0-9.]+</b> malicious', text)
    assert '<span class="status st-pending">pending</span>' in text


def test_no_analyses_yet(client: TestClient) -> None:
    assert "No analyses yet" in client.get("/").text
    assert "Nothing fits" in client.get("/?q=x").text


def test_states_and_words_choose(client: TestClient, tasks: Tasks) -> None:
    for number, name in ((1, "one.sh"), (2, "two.sh"), (3, "100%_x.sh")):
        queued(tasks, number, name)
    tasks.move(2, Status.RUNNING)
    assert ids(client.get("/?status=running").text) == [2]
    assert ids(client.get("/?q=ONE").text) == [1]
    assert ids(client.get("/?q=%25_").text) == [3]
    assert ids(client.get("/?q=3").text) == [3]
    assert ids(client.get("/?q=sh&status=pending").text) == [3, 1]
    sample = tasks.get(1).sample
    assert sample is not None
    assert ids(client.get(f"/?q={sample.sha256[:20]}").text) == [3, 2, 1]
    assert client.get("/?status=nonsense").status_code == 400


def test_a_long_list_has_pages(client: TestClient, tasks: Tasks) -> None:
    for number in range(1, 54):
        queued(tasks, number)
    first, second = client.get("/").text, client.get("/?page=2").text
    assert ids(first) == list(range(53, 3, -1))
    assert ids(second) == [3, 2, 1]
    assert 'rel="next"' in first
    assert 'rel="prev"' in second
    assert 'rel="next"' not in second
    assert ids(client.get("/?q=a.sh&page=2").text) == [3, 2, 1]


def test_rows_are_sent_again_only_when_they_changed(client: TestClient, tasks: Tasks) -> None:
    queued(tasks, 1)
    (seen,) = re.findall(r"seen=([0-9a-f]+)", client.get("/").text)
    assert client.get(f"/queue?seen={seen}").status_code == 204
    tasks.move(1, Status.RUNNING)
    answer = client.get(f"/queue?seen={seen}")
    assert answer.status_code == 200
    assert "st-running" in answer.text
    assert "<!doctype" not in answer.text


def test_reports_that_nobody_took_in_are_taken_in(client: TestClient, tasks: Tasks) -> None:
    made = reported(tasks, 1, reports.busy(), parquet=False)
    tasks.delete(1)
    tasks.add(made)
    assert "v-malicious" in client.get("/").text


def test_hostile_names_are_texts(client: TestClient, tasks: Tasks) -> None:
    queued(tasks, 1, "<script>alert(1)</script>\n\u202egpj.exe")
    queued(tasks, 2, "x" * 10_000, error="<img src=x onerror=alert(1)>" * 100)
    text = client.get("/").text
    assert "<script>alert" not in text
    assert "<img" not in text
    assert "\u202e" not in text
    assert "\\n\\u202egpj.exe" in text
    assert len(text) < 12_000


def test_the_sample_is_not_the_answer(client: TestClient, tasks: Tasks) -> None:
    queued(tasks, 1)
    assert SCRIPT not in client.get("/").content
