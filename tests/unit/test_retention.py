from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from malkoha import retention, submit
from malkoha.config import Retention, Settings
from malkoha.model.task import Options, Status
from malkoha.store import Home
from malkoha.tasks import Tasks

MIB = 1 << 20


@pytest.fixture
def tasks(home: Home, tmp_path: Path) -> Iterator[Tasks]:
    """Four tasks of about one MiB: 1 to 3 failed, the last waits."""
    sample = tmp_path / "a.sh"
    sample.write_bytes(b"#!/bin/sh\n" + b"#" * MIB)
    with Tasks(home) as opened:
        for number in range(1, 5):
            opened.add(submit.submit(home, Settings(), str(sample), Options()))
            if number < 4:
                opened.move(number, Status.FAILED_ANALYSIS)
        yield opened


def left(tasks: Tasks) -> list[int]:
    ids = sorted(task.id for task in tasks.all())
    assert sorted(int(path.name) for path in tasks.home.analyses.iterdir()) == ids
    return ids


def test_by_age(home: Home, tasks: Tasks) -> None:
    now = datetime.now(UTC)
    assert retention.expire(home, tasks, now - timedelta(days=1)).number == 0
    dry = retention.expire(home, tasks, now, dry_run=True)
    assert (dry.number, left(tasks)) == (3, [1, 2, 3, 4])
    gone = retention.expire(home, tasks, now)
    assert (gone.number, gone.bytes) == (3, dry.bytes)
    assert gone.bytes >= 3 * MIB
    assert left(tasks) == [4]


def test_by_size_the_oldest_go(home: Home, tasks: Tasks) -> None:
    assert retention.fit(home, tasks, 100 * MIB).number == 0
    assert retention.fit(home, tasks, 2 * MIB + MIB // 2).number == 1
    assert left(tasks) == [2, 3, 4]


def test_the_service_keeps_what_is_allowed(home: Home, tasks: Tasks, monkeypatch: pytest.MonkeyPatch) -> None:
    done = threading.Event()
    applied: list[Retention] = []

    def note(home: Home, tasks: Tasks, settings: Retention) -> None:
        applied.append(settings)
        done.set()

    monkeypatch.setattr(retention, "apply", note)
    with retention.Keeper(home, tasks, Retention(days=3)):
        assert done.wait(60)
    assert applied == [Retention(days=3)]
    with retention.Keeper(home, tasks, Retention()):
        pass
    assert len(applied) == 1


def test_apply(home: Home, tasks: Tasks) -> None:
    assert retention.apply(home, tasks, Retention(days=1, max_gb=1)).number == 0
    assert retention.apply(home, tasks, Retention()).number == 0


def test_room(home: Home) -> None:
    assert retention.room(home, Retention(min_free_gb=0))
    assert not retention.room(home, Retention(min_free_gb=1 << 30))
