from __future__ import annotations

from pathlib import Path

import pytest

from malkoha import submit
from malkoha.cli.ledger import Ledger
from malkoha.config import Settings
from malkoha.errors import HostError
from malkoha.model.task import Options, Status, Task
from malkoha.store import Home
from malkoha.tasks import Tasks


@pytest.fixture
def task(home: Home, sample: Path) -> Task:
    return submit.submit(home, Settings(), str(sample), Options())


def test_states_are_written_in_order(home: Home, task: Task) -> None:
    with Ledger(home, task, new=True) as ledger:
        ledger.state(Status.COMPLETED)
        ledger.state(Status.REPORTED)
    with Tasks(home) as tasks:
        assert tasks.get(task.id).status is Status.REPORTED


def test_a_waiting_task_is_taken(home: Home, task: Task) -> None:
    with Tasks(home) as tasks:
        tasks.add(task)
        with Ledger(home, task, new=False):
            pass
        assert tasks.get(task.id).status is Status.RUNNING


def test_an_error_of_the_block_wins(home: Home, task: Task) -> None:
    with pytest.raises(KeyboardInterrupt), Ledger(home, task, new=True) as ledger:
        ledger.state(Status.FAILED_ANALYSIS, "why")
        raise KeyboardInterrupt
    with Tasks(home) as tasks:
        assert tasks.get(task.id).error == "why"


def test_an_error_of_the_table_is_not_lost(home: Home, task: Task) -> None:
    home.database.write_bytes(b"nonsense" * 100)
    with pytest.raises(HostError), Ledger(home, task, new=True) as ledger:
        ledger.state(Status.COMPLETED)
