from __future__ import annotations

import logging

import msgspec
import pytest

from malkoha.config import Notify, Settings
from malkoha.model.task import Status
from malkoha.notifying import finished
from malkoha.notifying.base import Finished
from malkoha.store import Home, Store
from tests.unit.notifying.conftest import Listener


@pytest.fixture
def store(home: Home, done: Finished) -> Store:
    made = home.analysis(7).create()
    made.report_json.write_bytes(msgspec.json.encode(done.report))
    return made


def test_every_way_that_is_set_up(store: Store, done: Finished, listener: Listener) -> None:
    finished(done.task, store, Settings())
    assert listener.got == []
    finished(done.task, store, Settings(notify=Notify(webhook=listener.address + "/hook", misp=listener.address)))
    assert [path for path, _, _ in listener.got] == ["/hook", "/events/add"]


def test_only_what_is_bad_enough(store: Store, done: Finished, listener: Listener) -> None:
    report = {**done.report, "malkoha": {"verdict": {"level": "suspicious", "score": 4}}}
    store.report_json.write_bytes(msgspec.json.encode(report))
    finished(done.task, store, Settings(notify=Notify(webhook=listener.address, verdict="malicious")))
    assert listener.got == []
    finished(done.task, store, Settings(notify=Notify(webhook=listener.address, verdict="suspicious")))
    assert len(listener.got) == 1


def test_a_failed_task_is_told_but_not_to_a_misp(store: Store, done: Finished, listener: Listener) -> None:
    task = msgspec.structs.replace(done.task, status=Status.FAILED_ANALYSIS, error="why")
    settings = Notify(webhook=listener.address, misp=listener.address, verdict="malicious")
    finished(task, store, Settings(notify=settings))
    ((_, _, body),) = listener.got
    assert msgspec.json.decode(body)["task"]["error"] == "why"


def test_what_cannot_be_told_is_logged(
    store: Store, done: Finished, listener: Listener, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logging.getLogger("malkoha"), "propagate", True)
    listener.answers = [404]
    finished(done.task, store, Settings(notify=Notify(webhook=listener.address, mail_to="a@b", smtp="127.0.0.1:1")))
    assert "webhook was not told" in caplog.text
    assert "mail was not told" in caplog.text
