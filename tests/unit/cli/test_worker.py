"""worker: takes what waits, whatever becomes of it; serve is tested by tests/contracts/test_sandboxapi.py."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from malkoha.errors import GuestError
from malkoha.model.task import Status, Task
from malkoha.store import Home, Store
from malkoha.tasks import Tasks
from tests.unit.cli.conftest import FakeAnalysis
from tests.unit.cli.test_queue import statuses

Call = Callable[..., Any]


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
