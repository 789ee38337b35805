"""A stand-in for machine and report, so that the commands can be tried in milliseconds."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import msgspec
import pytest

import malkoha
from malkoha.cli import main
from malkoha.config import Settings
from malkoha.model.task import Task
from malkoha.progress import Progress
from malkoha.store import Home, Store

REPORT: dict[str, Any] = {
    "info": {"id": 1},
    "malkoha": {
        "verdict": {"score": 1.5, "level": "clean", "why": []},
        "trace": {"events": 3},
        "timings": {"total_s": 1.25},
    },
}


class FakeAnalysis(ModuleType):
    """Takes the place of ``malkoha.analysis``; ``fail_run`` and ``fail_process`` are raised when set."""

    def __init__(self) -> None:
        super().__init__("malkoha.analysis")
        self.fail_run: BaseException | None = None
        self.fail_process: BaseException | None = None
        self.on_run: Callable[[Task, Store], None] = lambda task, store: None
        self.tasks: list[Task] = []

    def run(self, task: Task, home: Home, settings: Settings, progress: Progress, store: Store | None = None) -> None:
        self.tasks.append(task)
        progress.step("Running", 1)
        progress.advance(1, "done")
        store = (store or home.analysis(task.id)).create()
        self.on_run(task, store)
        if self.fail_run is not None:
            raise self.fail_run
        store.run.write_text("{}")

    def process(self, store: Store, settings: Settings, progress: Progress) -> dict[str, Any]:
        if self.fail_process is not None:
            raise self.fail_process
        store.report_json.write_bytes(msgspec.json.encode(REPORT))
        store.report_html.write_text("<html>")
        return REPORT


@pytest.fixture
def analysis(monkeypatch: pytest.MonkeyPatch) -> FakeAnalysis:
    fake = FakeAnalysis()
    monkeypatch.setitem(sys.modules, "malkoha.analysis", fake)
    monkeypatch.setattr(malkoha, "analysis", fake, raising=False)
    summary = ModuleType("malkoha.cli.summary")
    summary.__dict__["print_summary"] = lambda report, console: console.print(
        "summary", report["malkoha"]["verdict"]["level"]
    )
    monkeypatch.setitem(sys.modules, "malkoha.cli.summary", summary)
    monkeypatch.setattr(malkoha.cli, "summary", summary, raising=False)
    return fake


@pytest.fixture
def sample(tmp_path: Path) -> Path:
    path = tmp_path / "sample.sh"
    path.write_text("#!/bin/sh\necho hi\n")
    return path


class Result:
    """What one command did."""

    def __init__(self, status: int, out: str, err: str) -> None:
        self.status, self.out, self.err = status, out, err


@pytest.fixture
def malkoha_(home: Home, capsys: pytest.CaptureFixture[str]) -> Callable[..., Result]:
    """Run one command of the command line."""

    def call(*arguments: str | Path) -> Result:
        capsys.readouterr()
        status = main([str(argument) for argument in arguments])
        captured = capsys.readouterr()
        return Result(status, captured.out, captured.err)

    return call


def only_line(text: str) -> str:
    """Return the one line of ``text``."""
    assert text.endswith("\n")
    assert text.count("\n") == 1, text
    return text.strip()
