from __future__ import annotations

import os
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest

from malkoha import submit
from malkoha.config import Settings
from malkoha.model.task import Options, Status
from malkoha.store import Home
from malkoha.tasks import Tasks

Call = Callable[..., Any]


@pytest.fixture
def three(home: Home, sample: Path) -> Home:
    """Three tasks: one of today, one 40 days old, one as old that runs."""
    with Tasks(home) as tasks:
        for days in (0, 40, 40):
            task = submit.submit(home, Settings(), str(sample), Options())
            tasks.add(msgspec.structs.replace(task, added_at=datetime.now(UTC) - timedelta(days=days)))
        tasks.move(3, Status.RUNNING)
    return home


def left(home: Home) -> list[str]:
    return sorted(path.name for path in home.analyses.iterdir())


def test_nothing_is_removed_unasked(malkoha_: Call, three: Home) -> None:
    assert malkoha_("clean").status == 0
    assert left(three) == ["1", "2", "3"]


def test_older_than(malkoha_: Call, three: Home) -> None:
    assert "1 analyses" in malkoha_("clean", "--older-than", "30d", "--dry-run").out
    assert left(three) == ["1", "2", "3"]
    assert "removed" in malkoha_("clean", "--older-than", "30d").out
    assert left(three) == ["1", "3"]
    with Tasks(three) as tasks:
        assert [task.id for task in tasks.all()] == [3, 1]


def test_all_but_what_runs(malkoha_: Call, three: Home) -> None:
    assert malkoha_("clean", "--all").status == 0
    assert left(three) == ["3"]


def test_a_number_is_not_given_twice(malkoha_: Call, three: Home, sample: Path) -> None:
    malkoha_("clean", "--all")
    assert malkoha_("submit", sample).out == "4\n"


@pytest.mark.parametrize("age", ["30", "d", "-1d", "1y", "1d2h"])
def test_what_is_no_age(malkoha_: Call, age: str) -> None:
    result = malkoha_("clean", f"--older-than={age}")
    assert result.status == 2
    assert "not an age" in result.err


def test_together_they_make_no_sense(malkoha_: Call) -> None:
    assert malkoha_("clean", "--all", "--older-than", "1d").status == 2


def test_replaced_images_are_kept_unasked_and_while_something_runs(
    malkoha_: Call, three: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    pruned: list[Home] = []

    def prune(home: Home) -> int:
        pruned.append(home)
        return 7 << 20

    monkeypatch.setattr("malkoha.machinery.image.prune", prune)
    assert malkoha_("clean", "--all").status == 0
    refused = malkoha_("clean", "--images")
    assert refused.status == 4
    assert "task 3 is running" in refused.err
    assert pruned == []
    with Tasks(three) as tasks:
        tasks.move(3, Status.COMPLETED)
    assert malkoha_("clean", "--images").out == (
        "7 MiB of replaced images removed\n0 MiB of replaced armed snapshots removed\n"
    )
    assert pruned == [three]


def test_no_home_is_made(malkoha_: Call, home: Home) -> None:
    assert malkoha_("clean", "--all").status == 0
    assert not home.root.exists()


def test_what_dead_runs_left(malkoha_: Call, home: Home) -> None:
    folder = home.run / "dead"
    folder.mkdir(parents=True)
    (folder / "owner").write_text("other-boot 1 1 1")
    assert "dead" in malkoha_("clean").out
    assert not folder.exists()
    assert os.listdir(home.run) == []
