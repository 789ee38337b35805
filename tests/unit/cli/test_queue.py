"""submit, run and tasks: the queue of one machine."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from malkoha.errors import GuestError
from malkoha.model.task import Status
from malkoha.store import Home
from malkoha.tasks import Tasks
from tests.unit.cli.conftest import FakeAnalysis

Call = Callable[..., Any]


def statuses(home: Home) -> dict[int, Status]:
    with Tasks(home) as tasks:
        return {task.id: task.status for task in tasks.all()}


def test_submit_several(malkoha_: Call, home: Home, sample: Path) -> None:
    result = malkoha_("submit", sample, sample)
    assert (result.status, result.out, result.err) == (0, "1\n2\n", "")
    assert statuses(home) == {1: Status.PENDING, 2: Status.PENDING}


def test_a_refused_target_does_not_keep_the_others_out(malkoha_: Call, home: Home, sample: Path) -> None:
    result = malkoha_("submit", "/no/such", sample, "/tmp")
    assert (result.status, result.out) == (2, "1\n")
    assert len(result.err.splitlines()) == 2
    assert statuses(home) == {1: Status.PENDING}


def test_submit_checks_options_first(malkoha_: Call, home: Home, sample: Path) -> None:
    assert malkoha_("submit", "--engine", "odd", sample).status == 2
    assert not home.analyses.exists()


def test_run_all_by_priority(malkoha_: Call, home: Home, analysis: FakeAnalysis, sample: Path) -> None:
    malkoha_("submit", sample)
    malkoha_("submit", "--priority", "5", sample, sample)
    result = malkoha_("run")
    assert result.status == 0
    assert [task.id for task in analysis.tasks] == [2, 3, 1]
    assert result.out.splitlines()[0] == f"2\tclean\t1.5\t{sample}"
    assert set(statuses(home).values()) == {Status.REPORTED}
    assert malkoha_("run").err == "malkoha: no task waits\n"


def test_run_named_ones(malkoha_: Call, home: Home, analysis: FakeAnalysis, sample: Path) -> None:
    malkoha_("submit", sample, sample)
    assert malkoha_("run", "2").status == 0
    assert statuses(home) == {1: Status.PENDING, 2: Status.REPORTED}
    assert malkoha_("run", "9").status == 2


def test_run_goes_on_after_a_failure(malkoha_: Call, home: Home, analysis: FakeAnalysis, sample: Path) -> None:
    malkoha_("submit", sample, sample)
    analysis.fail_run = GuestError("no answer")
    result = malkoha_("run")
    assert result.status == 4
    assert "task 1: no answer" in result.err
    assert statuses(home) == {1: Status.FAILED_ANALYSIS, 2: Status.FAILED_ANALYSIS}


def test_a_reported_task_is_not_run_again(malkoha_: Call, analysis: FakeAnalysis, sample: Path) -> None:
    malkoha_("analyze", sample)
    assert malkoha_("run", "1").status == 4
    assert len(analysis.tasks) <= 2


def test_tasks_as_table_and_as_json(malkoha_: Call, home: Home, sample: Path) -> None:
    assert malkoha_("tasks").out == "id\tstatus\tadded (UTC)\tengine\ttarget\terror\n"
    malkoha_("submit", sample, sample, sample)
    lines = malkoha_("tasks", "--limit", "2").out.splitlines()
    assert [line.split("\t")[0] for line in lines] == ["id", "3", "2"]
    listed = json.loads(malkoha_("tasks", "--json").out)
    assert [task["id"] for task in listed] == [3, 2, 1]
    assert listed[0]["status"] == "pending"
    assert malkoha_("tasks", "--status", "running").out.count("\n") == 1


@pytest.mark.parametrize("status", list(Status))
def test_every_status_can_be_asked_for(malkoha_: Call, status: Status) -> None:
    assert malkoha_("tasks", "--status", status.value).status == 0


def test_an_archive_becomes_a_task_for_each_program(malkoha_: Call, home: Home, tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as archive:
        for number in range(11):
            archive.writestr(f"{number}.sh", f"#{number}")
    result = malkoha_("submit", tmp_path / "x.zip")
    assert (result.status, len(result.out.splitlines())) == (0, 10)
    assert "1 more that can be run left out: 10.sh" in result.err
