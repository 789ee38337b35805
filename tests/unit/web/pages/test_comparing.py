from __future__ import annotations

from fastapi.testclient import TestClient

from malkoha.tasks import Tasks
from tests import reports
from tests.pages import queued, reported, rich


def test_two_analyses_side_by_side(client: TestClient, tasks: Tasks) -> None:
    reported(tasks, 1, rich(), "one.sh")
    other = rich()
    other["behavior"]["summary"]["command_line"] = ["only <b>here</b>"]
    other["network"]["domains"].append({"domain": "second.example", "ip": ""})
    other["signatures"].pop()
    reported(tasks, 2, other, "two.sh")
    text = client.get("/compare?first=1&second=2").text
    assert "only &lt;b&gt;here&lt;/b&gt;" in text
    assert "second.example" in text
    assert "1 only in 2" in text
    assert "1 only in 1" in text
    assert 'class="callcounts"' in text
    assert "one.sh" in text
    assert "two.sh" in text


def test_the_same_is_the_same(client: TestClient, tasks: Tasks) -> None:
    reported(tasks, 1, rich())
    text = client.get("/compare?first=1&second=1").text
    assert "100 % of what is told" in text
    assert "only in" not in text


def test_calls_whose_numbers_differ_most_come_first(client: TestClient, tasks: Tasks) -> None:
    reported(tasks, 1, reports.large(70, 1))
    reported(tasks, 2, reports.large(700, 1))
    text = client.get("/compare?first=1&second=2").text
    assert text.index("<td>write</td>") < text.index("<td>openat</td>")
    assert '<td class="num">60</td>' in text
    assert '<td class="num">600</td>' in text


def test_others_are_offered(client: TestClient, tasks: Tasks) -> None:
    for number in (1, 2):
        reported(tasks, number, rich())
    queued(tasks, 3)
    text = client.get("/compare?first=1").text
    assert 'href="/compare?first=1&amp;second=2"' in text
    assert "second=1" not in text
    assert "second=3" not in text
    assert client.get("/compare").status_code == 200
    answer = client.get("/compare?first=1&second=3")
    assert (answer.status_code, "Analysis 3: There is no report yet" in answer.text) == (404, True)
    assert client.get("/compare?first=1&second=9").status_code == 404
