"""worker: takes what waits, whatever becomes of it; serve is tested by tests/contracts/test_sandboxapi.py."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from malkoha import notifying, submit
from malkoha.config import Settings
from malkoha.errors import GuestError, LeaseLostError
from malkoha.model.task import Status, Task
from malkoha.queue import open_queue
from malkoha.store import Home, Store
from malkoha.tasks import Tasks
from tests.unit.cli.conftest import FakeAnalysis
from tests.unit.cli.test_queue import statuses

Call = Callable[..., Any]
OFFERS = ["default/x86-64/sim"]


def test_runs_what_waits(malkoha_: Call, home: Home, analysis: FakeAnalysis, sample: Path) -> None:
    malkoha_("submit", sample)
    malkoha_("submit", "--priority", "5", sample)
    assert malkoha_("worker", "--once").status == 0
    assert [task.id for task in analysis.tasks] == [2, 1]
    assert set(statuses(home).values()) == {Status.REPORTED}


def test_one_that_fails_does_not_keep_the_others_back(
    malkoha_: Call, home: Home, analysis: FakeAnalysis, sample: Path
) -> None:
    malkoha_("submit", sample, sample, sample)

    def fail(task: Task, store: Store) -> None:
        if task.id == 1:
            raise GuestError("the guest failed")
        if task.id == 2:
            raise ZeroDivisionError

    analysis.on_run = fail
    assert malkoha_("worker", "--once").status == 0
    assert statuses(home) == {1: Status.FAILED_ANALYSIS, 2: Status.FAILED_ANALYSIS, 3: Status.REPORTED}
    with Tasks(home) as tasks:
        assert tasks.get(1).error == "the guest failed"


def test_an_interruption_gives_the_task_back_without_its_half_run(
    malkoha_: Call, home: Home, analysis: FakeAnalysis, sample: Path
) -> None:
    malkoha_("submit", sample)
    store = home.analysis(1)

    def interrupt(task: Task, store: Store) -> None:
        store.create().run.write_text("{}")
        store.records.write_bytes(b"half")
        raise KeyboardInterrupt

    analysis.on_run = interrupt
    assert malkoha_("worker").status == 130
    assert statuses(home) == {1: Status.PENDING}
    assert {path.name for path in store.root.iterdir()} <= {"task.json", "sample", "analysis.log"}
    analysis.on_run = lambda task, store: None
    assert malkoha_("worker", "--once").status == 0
    assert statuses(home) == {1: Status.REPORTED}


def test_an_interrupted_processing_is_done_later(
    malkoha_: Call, home: Home, analysis: FakeAnalysis, sample: Path
) -> None:
    malkoha_("submit", sample)
    analysis.fail_process = KeyboardInterrupt()
    assert malkoha_("worker").status == 130
    assert statuses(home) == {1: Status.COMPLETED}
    analysis.fail_process = None
    assert malkoha_("worker", "--once").status == 0
    assert statuses(home) == {1: Status.REPORTED}
    assert len(analysis.tasks) == 1


def test_another_attempt_writes_elsewhere(
    malkoha_: Call, home: Home, analysis: FakeAnalysis, sample: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    malkoha_("submit", sample)
    with Tasks(home) as tasks, open_queue(tasks) as queue:
        first = queue.take(OFFERS)
        assert first is not None
        home.attempt(1, 1).create().records.write_bytes(b"half")
        assert tasks.bury(1, 1) is Status.PENDING
        assert malkoha_("worker", "--once").status == 0
        with pytest.raises(LeaseLostError):
            queue.tell(first, Status.COMPLETED)
    assert statuses(home) == {1: Status.REPORTED}
    assert home.analysis(1).root == home.folder(1) / "attempt-2"
    assert home.attempt(1, 1).records.read_bytes() == b"half"
    assert not home.attempt(1, 1).report_json.exists()
    assert json.loads(malkoha_("report", "1", "--json").out)["info"]["id"] == 1
    assert malkoha_("clean", "--all").status == 0
    assert not home.folder(1).exists()


def test_a_run_whose_worker_died_while_it_was_processed(
    malkoha_: Call, home: Home, analysis: FakeAnalysis, sample: Path
) -> None:
    malkoha_("submit", sample)
    with Tasks(home) as tasks, open_queue(tasks) as queue:
        first = queue.take(OFFERS)
        assert first is not None
        store = home.attempt(1, 1).create()
        store.run.write_text("{}")
        store.records.write_bytes(b"whole")
        queue.tell(first, Status.COMPLETED)
        assert tasks.bury(1, 1) is Status.COMPLETED
        assert malkoha_("worker", "--once").status == 0
    assert analysis.tasks == []
    assert home.analysis(1).records.read_bytes() == b"whole"
    assert home.analysis(1).root.name == "attempt-2"
    assert statuses(home) == {1: Status.REPORTED}


def test_a_late_attempt_ends_without_a_trace(malkoha_: Call, home: Home, analysis: FakeAnalysis, sample: Path) -> None:
    malkoha_("submit", sample)

    def lose(task: Task, store: Store) -> None:
        if task.attempts == 1:
            with Tasks(home) as tasks:
                assert tasks.bury(1, 1) is Status.PENDING

    analysis.on_run = lose
    assert malkoha_("worker", "--once").status == 0
    assert [task.attempts for task in analysis.tasks] == [1, 2]
    assert statuses(home) == {1: Status.REPORTED}
    assert not home.attempt(1, 1).report_json.exists()


def test_several_slots_run_until_they_are_stopped(malkoha_: Call, home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt() -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(signal, "pause", interrupt)
    home.root.mkdir()
    done = malkoha_("worker", "--slots", "2")
    assert done.status == 130
    assert "2 slots run the queue" in done.err
    assert "leave --slots out" in malkoha_("worker", "--slots", "2", "--once").err


def test_what_is_said_of_a_task(malkoha_: Call, home: Home, sample: Path) -> None:
    assert malkoha_("submit", "--tag", "mail", "--tag", 'a "b', "--within", "30m", sample).status == 0
    malkoha_("submit", "--tag", "mailing", sample)
    with Tasks(home) as tasks:
        task = tasks.get(1)
    assert task.tags == ["mail", 'a "b']
    assert task.deadline is not None
    assert 1700 < (task.deadline - task.added_at).total_seconds() <= 1801
    assert submit.load(home.analysis(1)) == task
    for tag in ("mail", 'a "b'):
        assert [row["id"] for row in json.loads(malkoha_("tasks", "--tag", tag, "--json").out)] == [1]
    assert malkoha_("submit", "--within", "soon", sample).status == 2


def test_serve_refuses_other_addresses_without_a_token(malkoha_: Call, home: Home) -> None:
    result = malkoha_("serve", "--host", "0.0.0.0", "--port", "0")
    assert result.status == 2
    assert "there is no token" in result.err


def test_serve_names_a_port_that_is_taken(malkoha_: Call, home: Home) -> None:
    import socket

    with socket.create_server(("127.0.0.1", 0)) as taken:
        result = malkoha_("serve", "--port", str(taken.getsockname()[1]), "--slots", "0")
    assert result.status == 3
    assert "cannot be listened on" in result.err


def test_others_are_told_whatever_became_of_it(
    malkoha_: Call, home: Home, analysis: FakeAnalysis, sample: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[tuple[int, Status, str]] = []
    monkeypatch.setenv("MALKOHA_NOTIFY_WEBHOOK", "http://127.0.0.1:1/")

    def finished(task: Task, store: Store, settings: Settings) -> None:
        told.append((task.id, task.status, settings.notify.webhook))

    monkeypatch.setattr(notifying, "finished", finished)
    malkoha_("submit", sample, sample)

    def fail(task: Task, store: Store) -> None:
        if task.id == 1:
            raise GuestError("the guest failed")

    analysis.on_run = fail
    assert malkoha_("worker", "--once").status == 0
    address = "http://127.0.0.1:1/"
    assert told == [(1, Status.FAILED_ANALYSIS, address), (2, Status.REPORTED, address)]
