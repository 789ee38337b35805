from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from fastapi.testclient import TestClient

from malkoha.store import Store
from malkoha.web.v1 import traces
from tests.unit.web.conftest import message

PLACE = "/api/v1/tasks/1"


def names(client: TestClient, query: str) -> list[str]:
    return [event["api"] or event["kind"] for event in client.get(f"{PLACE}/events?{query}").json()["events"]]


def test_filters(client: TestClient, reported: Store) -> None:
    assert names(client, "") == ["fork", "exec", "openat", "openat", "exit"]
    assert names(client, "kind=fork&kind=exit") == ["fork", "exit"]
    assert names(client, "syscall=openat&failed=true") == ["openat"]
    assert names(client, "text=PASSWD") == ["openat"]
    assert names(client, "pid=7") == []
    assert names(client, "after=0&before=0.0000015") == ["fork", "exec"]
    answer = client.get(f"{PLACE}/events?limit=2&offset=1").json()
    assert ([event["kind"] for event in answer["events"]], answer["more"]) == (["exec", "syscall"], True)
    (event,) = client.get(f"{PLACE}/events?text=nothing").json()["events"]
    assert (event["errno"], event["ret"], event["args"]["pathname"]) == ("ENOENT", -2, "/nothing")
    for query in ("kind=x", "limit=0", "limit=1001", "after=nan", "pid=-1"):
        message(client.get(f"{PLACE}/events?{query}"), 400)


def test_processes(client: TestClient, reported: Store) -> None:
    assert [process["pid"] for process in client.get(f"{PLACE}/processes").json()] == [100, 101]


def test_queries(client: TestClient, reported: Store) -> None:
    def ask(sql: str, **more: Any) -> Any:
        return client.post(f"{PLACE}/query", json={"sql": sql, **more})

    answer = ask("select api, count(*) n from events where kind = 'syscall' group by api").json()
    assert answer == {"columns": ["api", "n"], "rows": [["openat", 2]], "more": False}
    assert ask("select seq from events", limit=1).json()["more"]
    assert ask("select 170141183460469231731687303715884105727, 1.5::decimal(4,2), 'a'::blob").status_code == 200
    for sql, words in (
        ("drop view events", "only a single SELECT"),
        ("select * from read_csv('/etc/passwd')", "failed"),
        ("select 1; select 2", "only a single SELECT"),
        ("nonsense", "failed"),
    ):
        assert words in message(ask(sql), 400)
    message(ask("select 1", limit=0), 400)


def test_an_answer_without_end(client: TestClient, reported: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(traces, "ANSWER_BYTES", 1000)
    answer = client.post(f"{PLACE}/query", json={"sql": "select repeat('x', 2000)"})
    assert "ask for less" in message(answer, 400)


def test_without_events(client: TestClient, submitted: Callable[..., int]) -> None:
    submitted()
    for path in ("events", "processes"):
        assert "no events" in message(client.get(f"{PLACE}/{path}"), 404)
    message(client.get("/api/v1/tasks/2/events"), 404)
