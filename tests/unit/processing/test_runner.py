"""Order, failures and isolation of processing modules."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path
from typing import Any

import pytest

import malkoha.processing
from malkoha.errors import ProcessingError
from malkoha.processing.base import Earlier, Facts, Processing
from malkoha.processing.runner import MODULES, ordered, run
from tests.unit.processing.folder import analysis


class First(Processing):
    name = "first"

    def run(self, facts: Facts, earlier: Earlier) -> str:
        return facts.task.target


class Second(Processing):
    name = "second"
    requires = (First,)

    def run(self, facts: Facts, earlier: Earlier) -> str:
        return f"after {earlier.get(First)}"


class Broken(Processing):
    name = "broken"

    def run(self, facts: Facts, earlier: Earlier) -> str:
        raise ValueError("no")


class AfterBroken(Processing):
    name = "after_broken"
    requires = (Broken,)

    def run(self, facts: Facts, earlier: Earlier) -> bool:
        return earlier.get(Broken) is None


def test_order_follows_what_is_required(tmp_path: Path) -> None:
    facts = analysis(tmp_path)
    assert ordered([Second, First, Broken]) == [First, Second, Broken]
    assert run(facts.store, facts.task, facts.run, [Second]) == ({"first": "x.sh", "second": "after x.sh"}, [])


def test_a_cycle_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(First, "requires", (Second,))
    with pytest.raises(ProcessingError, match="require each other"):
        ordered([First])


def test_a_broken_module_is_named_and_the_others_go_on(tmp_path: Path) -> None:
    facts = analysis(tmp_path)
    sections, errors = run(facts.store, facts.task, facts.run, [Broken, AfterBroken, First])
    assert sections == {"after_broken": True, "first": "x.sh"}
    assert errors == ["processing module broken failed: ValueError: no"]


class Sleeps(Processing):
    name = "sleeps"
    isolated = True
    timeout_s = 0.5

    def run(self, facts: Facts, earlier: Earlier) -> Any:
        time.sleep(60)


class Crashes(Processing):
    name = "crashes"
    isolated = True

    def run(self, facts: Facts, earlier: Earlier) -> Any:
        os.abort()


def test_an_isolated_module_that_hangs_or_crashes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    facts = analysis(tmp_path)
    child = tmp_path / "child.py"
    child.write_text(
        "import os, sys, time\n"
        "sys.stdin.buffer.read()\n"
        "time.sleep(60) if sys.argv[1].endswith('Sleeps') else os.abort()\n"
    )
    python = tmp_path / "python"
    python.write_text(f'#!/bin/sh\nexec "{sys.executable}" {child} "$3"\n')
    python.chmod(0o755)
    monkeypatch.setattr("malkoha.processing.runner.sys.executable", str(python))
    sections, errors = run(facts.store, facts.task, facts.run, [Sleeps, Crashes, First])
    assert sections == {"first": "x.sh"}
    assert "sleeps failed: ProcessingError: took too long: stopped after 0.5 s" in errors[0]
    assert "crashes failed: ProcessingError: its process ended with status -6" in errors[1]


def test_no_file_of_modules_is_forgotten() -> None:
    folder = Path(malkoha.processing.__file__).parent
    homes = {module.__module__.rsplit(".", 1)[-1] for module in MODULES}
    helpers = {"__init__", "base", "runner", "dns", "noise", "summary"}
    helpers |= {"attribution", "dialogues", "fetched", "handshakes", "packets", "traffic"}
    helpers |= {
        "confine",
        "containers",
        "elf_marks",
        "fuzzy",
        "languages",
        "members",
        "payloads",
        "shell",
        "sigma_tables",
        "unpackers",
        "vba",
    }
    assert {path.stem for path in folder.glob("*.py")} - helpers == homes
    assert len({module.name for module in MODULES}) == len(MODULES)
