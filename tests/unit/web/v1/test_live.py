from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from fastapi.testclient import TestClient

from malkoha.config import Settings
from malkoha.model.task import Status
from malkoha.store import Home, Store
from malkoha.tasks import Tasks
from malkoha.web.access import Access
from malkoha.web.service import Service
from malkoha.web.v1 import live
from tests.records import Recording
from tests.unit.web.conftest import message
from tests.unit.web.v1.conftest import recording


def parsed(text: str) -> list[tuple[str, Any]]:
    found = []
    for part in text.split("\n\n"):
        fields = dict(line.split(": ", 1) for line in part.splitlines() if not line.startswith(":"))
        if fields:
            found.append((fields["event"], json.loads(fields["data"])))
    return found


def test_a_finished_run_is_streamed_from_its_beginning(client: TestClient, reported: Store) -> None:
    answer = client.get("/api/v1/tasks/1/live")
    assert answer.headers["content-type"].startswith("text/event-stream")
    said = parsed(answer.text)
    assert [kind for kind, _ in said] == ["state", "events", "console", "end"]
    events = said[1][1]["events"]
    assert [event["api"] or event["kind"] for event in events] == ["fork", "exec", "openat", "openat", "exit"]
    assert events[2]["args"]["pathname"] == "/etc/passwd"
    assert said[2][1] == {"stream": "stdout", "text": "grüße\n"}
    assert said[3][1] == {"id": 1, "status": "reported", "error": ""}
    offset = len(recording().data)
    again = parsed(client.get("/api/v1/tasks/1/live", headers={"last-event-id": str(offset)}).text)
    assert [kind for kind, _ in again] == ["state", "console", "end"]
    quiet = parsed(client.get("/api/v1/tasks/1/live?calls=no").text)
    assert [event["kind"] for event in quiet[1][1]["events"]] == ["fork", "exec", "exit"]


def test_no_task_and_too_many_watchers(client: TestClient, reported: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    message(client.get("/api/v1/tasks/9/live"), 404)
    monkeypatch.setattr(live, "MOST_STREAMS", 0)
    assert "being watched" in message(client.get("/api/v1/tasks/1/live"), 429)


@pytest.fixture
def watch(home: Home, tasks: Tasks, submitted: Callable[..., int]) -> live.Watch:
    submitted()
    given = Service(home, Settings(), tasks, Access(home, Settings()))
    return live.Watch(given, 1, 0, True)


def news(watch: live.Watch) -> list[tuple[str, Any]]:
    return parsed(b"".join(watch.news()).decode())


def test_a_run_from_the_queue_to_its_report(watch: live.Watch, tasks: Tasks) -> None:
    store = tasks.home.analysis(1)
    assert news(watch) == [("state", {"id": 1, "status": "pending", "error": ""})]
    assert news(watch) == []
    tasks.move(1, Status.RUNNING)
    trace = Recording().fork(101).enter("read", (0,))
    trace.write(store.records)
    assert [kind for kind, _ in news(watch)] == ["state", "events"]
    store.stderr.write_bytes("ü".encode()[:1])
    assert news(watch) == []
    store.stderr.write_bytes("ü".encode())
    trace.exit("read", 3).write(store.records)
    (events, told), console = news(watch)
    assert (events, [event["api"] for event in told["events"]]) == ("events", ["read"])
    assert console == ("console", {"stream": "stderr", "text": "ü"})
    tasks.move(1, Status.COMPLETED)
    assert [kind for kind, _ in news(watch)] == ["state"]
    tasks.move(1, Status.REPORTED)
    assert [kind for kind, _ in news(watch)] == ["state", "end"]
    assert watch.over


def test_another_attempt_begins_anew(watch: live.Watch, tasks: Tasks) -> None:
    store = tasks.home.analysis(1)
    Recording().fork(101).fork(102).write(store.records)
    assert [kind for kind, _ in news(watch)] == ["state", "events"]
    Recording().fork(103).write(store.records)
    restart, (_, told) = news(watch)
    assert restart == ("restart", {"id": 1})
    assert told["events"][0]["args"]["child_pid"] == 103
    third = tasks.home.attempt(1, 3).create()
    Recording().fork(104).write(third.records)
    restart, (_, told) = news(watch)
    assert restart == ("restart", {"id": 1})
    assert told["events"][0]["args"]["child_pid"] == 104


def test_a_flood_is_cut_and_counted(watch: live.Watch, tasks: Tasks) -> None:
    trace = Recording()
    for _ in range(live.MOST_CALLS + 7):
        trace.call("getpid")
    trace.fork(101).write(tasks.home.analysis(1).records)
    told = dict(news(watch))["events"]
    assert (len(told["events"]), told["skipped"]) == (live.MOST_CALLS + 1, 7)


def test_a_task_that_is_deleted(watch: live.Watch, tasks: Tasks) -> None:
    tasks.delete(1)
    assert news(watch) == [("end", {"id": 1, "status": None, "error": "the task is gone"})]
