"""What an analysis downloads is run after it: at once by ``analyze``, by way of the queue by a worker."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from malkoha import chain, pipeline
from malkoha.config import Settings
from malkoha.errors import GuestError
from malkoha.model.task import Status, Task
from malkoha.progress import Progress
from malkoha.store import Home, Store
from malkoha.tasks import Tasks
from tests.unit.cli.conftest import REPORT, FakeAnalysis

Call = Callable[..., Any]
URL = "http://c2.example.net/"
SCRIPTS = {1: [b"#!/bin/sh\necho a\n", b"#!/bin/sh\necho b\n"], 2: [b"#!/bin/sh\necho c\n"]}
"""What each analysis downloads."""


@pytest.fixture
def downloading(analysis: FakeAnalysis, monkeypatch: pytest.MonkeyPatch) -> FakeAnalysis:
    def process(store: Store, settings: Settings, progress: Progress) -> dict[str, Any]:
        downloads = []
        store.payloads.mkdir(parents=True, exist_ok=True)
        for content in SCRIPTS.get(int(store.root.name), []):
            digest = hashlib.sha256(content).hexdigest()
            (store.payloads / digest).write_bytes(content)
            downloads.append({"url": f"{URL}{digest[:4]}.sh", "sha256": digest, "executed": []})
        report = REPORT | {"network": {"downloads": downloads}}
        store.report_json.write_bytes(msgspec.json.encode(report))
        return report

    monkeypatch.setattr(analysis, "process", process)
    return analysis


def states(home: Home) -> dict[int, Status]:
    with Tasks(home) as tasks:
        return {task.id: task.status for task in tasks.all()}


def test_downloads_are_analysed_one_after_the_other(malkoha_: Call, home: Home, downloading: FakeAnalysis) -> None:
    result = malkoha_("analyze", "--no-open", URL)
    assert result.status == 0, result.err
    assert [task.id for task in downloading.tasks] == [1, 2, 3, 4]
    assert set(states(home).values()) == {Status.REPORTED}
    assert "analysis 2: " in result.err
    assert "which was downloaded, 1 more wait" in result.err
    held = pipeline.chain(home.analysis(1)).links
    assert [(link.id, link.via, link.depth, link.status, link.level) for link in held] == [
        (2, 1, 1, "reported", "clean"), (3, 1, 1, "reported", "clean"), (4, 2, 2, "reported", "clean"),
    ]  # fmt: skip
    assert result.out.count("summary") == 1


def test_a_download_whose_analysis_fails_keeps_nobody_back(
    malkoha_: Call, home: Home, downloading: FakeAnalysis, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = downloading.run

    def failing(*words: Any) -> None:
        run(*words)
        if words[0].id == 2:
            raise GuestError("the sample could not be started")

    monkeypatch.setattr(downloading, "run", failing)
    result = malkoha_("analyze", "--json", URL)
    assert result.status == 0
    assert json.loads(result.out)["info"] == {"id": 1}
    assert "analysis 2: the sample could not be started" in result.err
    assert states(home) == {1: Status.REPORTED, 2: Status.FAILED_ANALYSIS, 3: Status.REPORTED}
    assert [link.why for link in pipeline.chain(home.analysis(1)).links] == ["its analysis failed", ""]


def test_a_worker_puts_downloads_into_the_queue(malkoha_: Call, home: Home, downloading: FakeAnalysis) -> None:
    assert malkoha_("submit", URL).status == 0
    assert malkoha_("worker", "--once").status == 0
    assert [task.id for task in downloading.tasks] == [1, 2, 3, 4]
    assert {link.status for link in pipeline.chain(home.analysis(1)).links} == {"reported"}


def test_a_chain_that_cannot_go_on_fails_no_analysis(
    malkoha_: Call, home: Home, downloading: FakeAnalysis, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*arguments: Any) -> list[Task]:
        raise GuestError("no space is left")

    monkeypatch.setattr(chain, "extend", full)
    malkoha_("submit", URL)
    assert malkoha_("worker", "--once").status == 0
    assert states(home) == {1: Status.REPORTED}


def test_the_browser_needs_an_image_that_has_one(malkoha_: Call, home: Home, analysis: FakeAnalysis) -> None:
    result = malkoha_("analyze", "--option", "client=browser", URL)
    assert result.status == 2
    assert "the image 'default' has no browser" in result.err
    assert "client=curl or client=wget or client=browser" in malkoha_("analyze", "--option", "client=lynx", URL).err
