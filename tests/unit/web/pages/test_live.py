from __future__ import annotations

import re

import pytest
from fastapi.testclient import TestClient

from malkoha.model.task import Status
from malkoha.tasks import Tasks
from malkoha.web.pages import live
from tests.pages import queued
from tests.records import Recording, blob
from tests.unit.web.pages.conftest import HTMX


@pytest.fixture(autouse=True)
def followers(monkeypatch: pytest.MonkeyPatch) -> live.Followers:
    made = live.Followers()
    monkeypatch.setattr(live, "FOLLOWERS", made)
    return made


@pytest.fixture
def recording(tasks: Tasks) -> Recording:
    """What the tracer of a running analysis has written so far."""
    queued(tasks, 1)
    tasks.move(1, Status.RUNNING)
    made = Recording(pid=90)
    made.fork(100)
    made.exec(b"/bin/sh", b"sh", b"/tmp/<b>a.sh", pid=100)
    made.enter("openat", (0, 1), blob(1, b"/etc/passwd"), pid=100).exit("openat", -2, pid=100)
    made.write(tasks.home.analysis(1).records)
    return made


def asked(client: TestClient, place: str) -> tuple[str, list[str], str]:
    """Ask as the page does; return the answer, the names of its new events, and where it asks next."""
    text = client.get(place, headers=HTMX).text
    (following,) = re.findall(r'hx-get="(/analysis/1/live\?since=-?\d+)"', text)
    return text, re.findall(r"<b>(\w+)</b> <span class=\"args\"", text), following


def test_a_run_is_shown_as_it_grows(client: TestClient, tasks: Tasks, recording: Recording) -> None:
    text, events, place = asked(client, "/analysis/1")
    assert events == ["fork", "exec", "openat"]
    assert "&lt;b&gt;a.sh" in text
    assert 'href="/analysis/1/calls?process=1"' in text
    assert "hx-swap-oob" not in text
    recording.fork(101, pid=100).exec(b"/bin/cat", b"cat", pid=101).task_exit(3 << 8, pid=101)
    recording.write(tasks.home.analysis(1).records)
    tasks.home.analysis(1).stdout.write_bytes(b"<i>hello</i>\n")
    text, events, place = asked(client, place)
    assert events == ["fork", "exec", "exit"]
    assert 'hx-swap-oob="beforeend:#stream"' in text
    assert "&lt;i&gt;hello&lt;/i&gt;" in text
    assert text.count('class="pr"') == 2
    assert "<dd>6</dd>" in text
    assert asked(client, place)[1] == []


def test_another_attempt_begins_anew(client: TestClient, tasks: Tasks, recording: Recording) -> None:
    _, _, place = asked(client, "/analysis/1")
    records = tasks.home.analysis(1).records
    records.rename(records.with_suffix(".old"))
    Recording(pid=90).fork(100).write(records)
    text, events, _ = asked(client, place)
    assert events == ["fork"]
    assert "<dd>1</dd>" in text


def test_what_is_torn_waits(client: TestClient, tasks: Tasks, recording: Recording) -> None:
    records = tasks.home.analysis(1).records
    whole = records.read_bytes()
    records.write_bytes(whole[:-20])
    _, events, place = asked(client, "/analysis/1")
    assert events == ["fork", "exec"]
    with records.open("ab") as file:
        file.write(whole[-20:])
    assert asked(client, place)[1] == ["openat"]


def test_states_before_and_after(client: TestClient, tasks: Tasks) -> None:
    queued(tasks, 1)
    queued(tasks, 2)
    assert "waiting for a machine, 2 tasks in the queue" in client.get("/analysis/1").text
    tasks.move(1, Status.RUNNING)
    assert "the machine is being restored" in client.get("/analysis/1").text
    tasks.home.analysis(1).run.write_text("{}")
    tasks.move(1, Status.COMPLETED)
    assert "the report is being made" in client.get("/analysis/1/live", headers=HTMX).text
    tasks.move(1, Status.REPORTED)
    assert client.get("/analysis/1/live", headers=HTMX).headers["hx-redirect"] == "/analysis/1"


def test_a_run_is_stopped(client: TestClient, tasks: Tasks) -> None:
    queued(tasks, 1)
    client.post("/analysis/1/cancel", follow_redirects=False)
    assert tasks.get(1).status is Status.FAILED_ANALYSIS
    assert "cancelled" in client.get("/analysis/1").text


def test_not_too_many_runs_are_followed(tasks: Tasks, followers: live.Followers) -> None:
    paths = []
    for number in range(live.FOLLOWED + 3):
        path = tasks.home.analysis(number).create().records
        Recording().fork(5).write(path)
        paths.append(path)
        assert followers.of(path) is not None
    assert len(followers._known) == live.FOLLOWED
    followers.forget(paths[-1])
    assert len(followers._known) == live.FOLLOWED - 1
    assert followers.of(paths[0].with_name("nothing")) is None
