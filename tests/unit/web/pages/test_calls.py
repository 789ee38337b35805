from __future__ import annotations

import re
from typing import Any

import pytest
from fastapi.testclient import TestClient

from malkoha.tasks import Tasks
from malkoha.web.pages.calls import BEFORE, ROWS
from tests import reports
from tests.pages import reported


def apis(text: str) -> list[str]:
    return re.findall(r'<span class="a">(\w+)</span>', text)


def more(text: str) -> str:
    found = re.search(r'class="more-rows" hx-get="([^"]+)"', text)
    return found[1].replace("&amp;", "&") if found else ""


@pytest.fixture
def busy(tasks: Tasks) -> dict[str, Any]:
    report = reports.busy()
    reported(tasks, 1, report)
    return report


def test_the_calls_of_one_process(client: TestClient, busy: dict[str, Any]) -> None:
    text = client.get("/analysis/1/calls?process=2").text
    wanted = next(process for process in busy["behavior"]["processes"] if process["key"] == 2)
    assert apis(text) == [call["api"] for call in wanted["calls"]]
    assert "update.bin" in text
    assert '<span class="an">pathname=</span>&#34;/etc/cron.d/.sysupdate&#34;' in text
    assert client.get("/analysis/1/calls?process=77").status_code == 404
    assert client.get("/analysis/1/calls?process=x").status_code == 400


def test_filters(client: TestClient, busy: dict[str, Any]) -> None:
    def number(query: str) -> int:
        return len(apis(client.get(f"/analysis/1/calls?{query}").text))

    assert number("process=2&q=CRON") == 1
    assert number("process=2&failed=1") == 41
    assert number("process=2&api=write,unlink") == number("process=2&api=write") + number("process=2&api=unlink") > 0
    assert number("q=cron") >= 1
    assert number("q=nowhere") == 0
    assert "No call fits" in client.get("/analysis/1/calls?q=nowhere").text


def test_a_jump_shows_the_call_among_its_neighbours(client: TestClient, tasks: Tasks) -> None:
    reported(tasks, 1, reports.large(3000, 1))
    text = client.get("/analysis/1/calls?process=1&at=1500").text
    assert len(re.findall(r'class="cl[^"]* wanted"', text)) == 1
    numbers = [int(number) for number in re.findall(r'class="t i">(\d+)<', text)]
    assert (numbers[0], len(numbers)) == (1500 - BEFORE, ROWS)
    assert more(text) == f"/analysis/1/calls/more?process=1&offset={1500 - BEFORE + ROWS}"


@pytest.mark.parametrize("query", ["process=1", "", "q=file", "process=1&failed=1"])
def test_pages_go_on_to_the_end(client: TestClient, tasks: Tasks, query: str) -> None:
    report = reports.large(1000, 1)
    reported(tasks, 1, report)
    text = client.get(f"/analysis/1/calls?{query}").text
    seen = re.findall(r'data-row="c(\d+)"', text)
    while place := more(text):
        answer = client.get(place)
        assert answer.status_code == 200
        text = answer.text
        seen += re.findall(r'data-row="c(\d+)"', text)
    calls = report["behavior"]["processes"][0]["calls"]
    wanted = {
        "process=1&failed=1": [call["status"] for call in calls],
        "q=file": ["file" in str(call["arguments"]) for call in calls],
    }
    assert len(seen) == len(set(seen)) == sum(map(bool, wanted.get(query, calls)))
    assert seen == sorted(seen, key=int)


def test_one_call_in_full(client: TestClient, tasks: Tasks, busy: dict[str, Any]) -> None:
    text = client.get("/analysis/1/calls?process=2&q=cron").text
    (seq,) = re.findall(r'data-row="c(\d+)"', text)
    whole = client.get(f"/analysis/1/call/{seq}").text
    assert "/etc/cron.d/.sysupdate" in whole
    assert "12 µs" in whole
    for wrong in ("999999", "-1", "x", str(1 << 70)):
        assert client.get(f"/analysis/1/call/{wrong}").status_code == 404


def test_many_processes_are_not_all_listed(client: TestClient, tasks: Tasks) -> None:
    reported(tasks, 1, reports.large(900, 450))
    text = client.get("/analysis/1/calls?process=449").text
    assert text.count("<option") == 402
    assert 'value="449" selected' in text
    assert "50 more processes" in text
