from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from malkoha.errors import GuestError, HostError, ProcessingError, ReportError
from malkoha.model.task import Status, Task
from malkoha.store import Home, Store
from malkoha.tasks import Tasks
from tests.unit.cli.conftest import FakeAnalysis, only_line

Call = Callable[..., Any]


def task(home: Home, task_id: int = 1) -> Task:
    with Tasks(home) as tasks:
        return tasks.get(task_id)


def test_the_main_job(malkoha_: Call, home: Home, analysis: FakeAnalysis, sample: Path) -> None:
    result = malkoha_("analyze", sample, "--no-open")
    assert result.status == 0
    assert result.out.startswith("summary clean\n")
    assert str(home.analysis(1).report_html) in result.out
    assert str(home.analysis(1).report_json) in result.out
    assert "malkoha: Running\n" in result.err
    done = task(home)
    assert done.status is Status.REPORTED
    assert done.started_at is not None
    assert done.completed_at is not None


def test_json_alone_on_standard_output(malkoha_: Call, analysis: FakeAnalysis, sample: Path) -> None:
    result = malkoha_("analyze", "--json", sample)
    assert json.loads(result.out)["malkoha"]["verdict"]["level"] == "clean"


def test_options_reach_the_task(malkoha_: Call, analysis: FakeAnalysis, sample: Path) -> None:
    result = malkoha_(
        "analyze", "--timeout", "7", "--arguments", "-d 'a b'", "--user", "nobody", "--engine", "kprobe", "--memory",
        "--option", "a=b=c", "--option", "d=", sample,
    )  # fmt: skip
    assert result.status == 0, result.err
    options = analysis.tasks[0].options
    assert (options.timeout_s, options.arguments, options.user) == (7, "-d 'a b'", "nobody")
    assert options.memory
    assert (options.engine, options.extra) == ("kprobe", {"a": "b=c", "d": ""})


def test_the_default_timeout_is_a_setting(
    malkoha_: Call, analysis: FakeAnalysis, sample: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MALKOHA_ANALYSIS_TIMEOUT_S", "33")
    malkoha_("analyze", sample)
    assert analysis.tasks[0].options.timeout_s == 33


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["/no/such/file"], "no such file"),
        (["/tmp"], "directory"),
        (["--package", "nonsense", "x"], "no package"),
        (["--network", "wormhole", "x"], "no network mode"),
        (["--network", "internet", "x"], "network internet is not set up"),
        (["--engine", "magic", "x"], "no engine"),
        (["--image", "other", "x"], "no image 'other'"),
        (["--option", "novalue", "x"], "--option KEY=VALUE"),
        (["--timeout", "0", "x"], "timeout"),
        (["--network", "none", "https://example.org/x"], "URL"),
        (["gopher://example.org/x"], "cannot be fetched"),
    ],
)
def test_bad_input_is_one_line_and_no_task(
    malkoha_: Call, home: Home, analysis: FakeAnalysis, arguments: list[str], words: str
) -> None:
    result = malkoha_("analyze", *arguments)
    assert (result.status, result.out) == (2, "")
    assert words in only_line(result.err)
    assert not home.database.exists()
    assert not home.analyses.exists() or not list(home.analyses.iterdir())
    assert analysis.tasks == []


def test_names_with_leading_dashes(
    malkoha_: Call, analysis: FakeAnalysis, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "--json").write_text("#!/bin/sh\n")
    monkeypatch.chdir(tmp_path)
    assert malkoha_("analyze", "--", "--json").out.startswith("summary")
    assert malkoha_("analyze", "./--json").status == 0
    assert [each.target for each in analysis.tasks] == ["--json", "./--json"]


def test_names_that_are_not_text(analysis: FakeAnalysis, home: Home, tmp_path: Path, malkoha_: Call) -> None:
    path = os.path.join(os.fsencode(tmp_path), b"\xff\n'\"")
    with open(path, "wb") as file:
        file.write(b"#!/bin/sh\n")
    assert malkoha_("analyze", os.fsdecode(path)).status == 0
    sample = analysis.tasks[0].sample
    assert sample is not None
    assert sample.name == b"\xff\n'\""
    listed = malkoha_("tasks").out
    assert r"\xff\n" in listed
    assert listed.count("\n") == 2


@pytest.mark.parametrize(
    ("error", "exit_status", "status"),
    [
        (HostError("no QEMU"), 3, Status.FAILED_ANALYSIS),
        (GuestError("no answer"), 4, Status.FAILED_ANALYSIS),
        (KeyboardInterrupt(), 130, Status.FAILED_ANALYSIS),
        (RuntimeError("odd"), 4, Status.FAILED_ANALYSIS),
    ],
)
def test_a_run_that_fails(
    malkoha_: Call,
    home: Home,
    analysis: FakeAnalysis,
    sample: Path,
    error: BaseException,
    exit_status: int,
    status: Status,
) -> None:
    analysis.fail_run = error
    result = malkoha_("analyze", sample)
    assert (result.status, result.out) == (exit_status, "")
    failed = task(home)
    assert failed.status is status
    assert failed.error == (str(error) or "interrupted")


def test_a_run_that_was_cut_off_can_be_processed(
    malkoha_: Call, home: Home, analysis: FakeAnalysis, sample: Path
) -> None:
    analysis.fail_run = KeyboardInterrupt()

    def cut_off(task: object, store: Store) -> None:
        store.run.write_text("{}")

    analysis.on_run = cut_off
    result = malkoha_("analyze", sample)
    hint = "malkoha process 1 reports what was recorded"
    assert (result.status, result.err.splitlines()[-2:]) == (130, [f"malkoha: {hint}", "malkoha: interrupted"])
    assert (task(home).status, task(home).error) == (Status.FAILED_ANALYSIS, f"interrupted ({hint})")
    assert malkoha_("process", "1").status == 0
    assert (task(home).status, task(home).error) == (Status.REPORTED, "")


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (ProcessingError("bad module"), Status.FAILED_PROCESSING),
        (ReportError("disk"), Status.FAILED_REPORTING),
        (KeyboardInterrupt(), Status.FAILED_PROCESSING),
    ],
)
def test_a_report_that_fails_can_be_made_later(
    malkoha_: Call, home: Home, analysis: FakeAnalysis, sample: Path, error: BaseException, status: Status
) -> None:
    analysis.fail_process = error
    assert malkoha_("analyze", sample).status in (4, 130)
    assert task(home).status is status
    assert malkoha_("report", "1").status == 2
    analysis.fail_process = None
    assert malkoha_("process", "1").out == "summary clean\n"
    assert task(home).status is Status.REPORTED
    assert malkoha_("report", "1").status == 0


def test_the_task_is_running_while_it_runs(malkoha_: Call, home: Home, analysis: FakeAnalysis, sample: Path) -> None:
    seen = []

    def look(current: Task, store: Store) -> None:
        for _ in range(200):
            if home.database.exists():
                with Tasks(home) as tasks:
                    known = tasks.all()
                if known:
                    seen.append(known[0].status)
                    return
            signal.sigtimedwait([], 0.02)

    analysis.on_run = look
    assert malkoha_("analyze", sample).status == 0
    assert seen == [Status.RUNNING]


def test_a_broken_database_is_said_after_the_analysis(
    malkoha_: Call, home: Home, analysis: FakeAnalysis, sample: Path
) -> None:
    home.root.mkdir()
    home.database.write_bytes(b"not a database" * 100)
    result = malkoha_("analyze", sample)
    assert result.status == 3
    assert "cannot be used" in result.err.splitlines()[-1]
    assert home.analysis(1).report_json.exists()


def test_full_disk(malkoha_: Call, sample: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, os.strerror(28))

    monkeypatch.setattr("malkoha.submit.save", full)
    result = malkoha_("analyze", sample)
    assert result.status == 3
    assert "no space is left" in only_line(result.err)


def test_debug_shows_the_traceback(malkoha_: Call, analysis: FakeAnalysis, sample: Path) -> None:
    analysis.fail_run = GuestError("no answer")
    assert "Traceback" not in malkoha_("analyze", sample).err
    assert "Traceback" in malkoha_("analyze", "--debug", sample).err


def test_no_browser_is_opened_without_a_terminal(
    malkoha_: Call, analysis: FakeAnalysis, sample: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[str] = []
    monkeypatch.setenv("DISPLAY", ":0")
    monkeypatch.setattr("webbrowser.open", opened.append)
    malkoha_("analyze", sample)
    assert opened == []


def test_ctrl_c_in_a_real_process(home: Home, sample: Path) -> None:
    program = (
        "import sys, types, malkoha, time\n"
        "fake = types.ModuleType('malkoha.analysis')\n"
        "def run(*a):\n    print('here', flush=True)\n    time.sleep(60)\n"
        "fake.run = run\nsys.modules['malkoha.analysis'] = malkoha.analysis = fake\n"
        "from malkoha.cli import main\nsys.exit(main(['analyze', sys.argv[1]]))\n"
    )
    started = subprocess.Popen(
        [sys.executable, "-c", program, sample], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert started.stdout is not None
    assert started.stdout.readline() == "here\n"
    started.send_signal(signal.SIGINT)
    _, err = started.communicate(timeout=30)
    assert started.returncode == 130
    assert err.splitlines()[-1] == "malkoha: interrupted"
    assert (task(home).status, task(home).error) == (Status.FAILED_ANALYSIS, "interrupted")


def packed(tmp_path: Path, *names: str) -> Path:
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as archive:
        for name in names:
            archive.writestr(name, f"#!/bin/sh\n# {name}\n")
    return tmp_path / "x.zip"


def test_members_of_an_archive_one_after_the_other(
    malkoha_: Call, home: Home, analysis: FakeAnalysis, tmp_path: Path
) -> None:
    result = malkoha_("analyze", packed(tmp_path, "a", "b"), "--no-open")
    assert (result.status, result.out.count("summary clean\n")) == (0, 2)
    assert [task.sample.name for task in analysis.tasks if task.sample] == [b"a", b"b"]
    assert f"malkoha: analysis 2: {tmp_path}/x.zip: b\n" in result.err
    assert [task(home, number).status for number in (1, 2)] == [Status.REPORTED] * 2


def test_one_member_that_fails_does_not_keep_the_others_back(
    malkoha_: Call, home: Home, analysis: FakeAnalysis, tmp_path: Path
) -> None:
    def first_fails(task: Task, store: Store) -> None:
        analysis.fail_run = GuestError("no answer") if task.id == 1 else None

    analysis.on_run = first_fails
    result = malkoha_("analyze", packed(tmp_path, "a", "b"))
    assert (result.status, result.out.count("summary clean\n")) == (4, 1)
    assert [task(home, number).status for number in (1, 2)] == [Status.FAILED_ANALYSIS, Status.REPORTED]


def test_a_chosen_member_alone(malkoha_: Call, analysis: FakeAnalysis, tmp_path: Path) -> None:
    assert malkoha_("analyze", "--option", "member=b", packed(tmp_path, "a", "b"), "--json").status == 0
    assert [task.sample.name for task in analysis.tasks if task.sample] == [b"b"]
