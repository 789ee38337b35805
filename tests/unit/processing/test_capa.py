"""The module that asks capa: only with the program and with rules, and whatever capa says or does."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import msgspec
import pytest

from malkoha.config import home_from
from malkoha.processing import capa
from malkoha.processing.base import Facts
from malkoha.processing.capa import CapaModule, capabilities
from malkoha.rules import sets
from tests.unit.processing.folder import analysis

SAID = {
    "meta": {"version": "10.0.0"},
    "rules": {
        "create TCP socket": {
            "meta": {"namespace": "communication/socket", "attack": [{"id": "T1095"}], "lib": False},
            "matches": [[{"type": "absolute", "value": 1}, {}], [{"type": "absolute", "value": 2}, {}]],
        },
        "contain loop": {"meta": {"namespace": "", "attack": [], "lib": True}, "matches": []},
    },
}


@pytest.fixture
def facts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Facts:
    monkeypatch.setenv("MALKOHA_HOME", str(tmp_path / "home"))
    made = analysis(tmp_path / "analysis")
    made.store.sample.write_bytes(b"\x7fELF" + bytes(60))
    return made


def program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, body: str) -> None:
    folder = tmp_path / "bin"
    folder.mkdir()
    (folder / "capa").write_text(f"#!/bin/sh\n{body}\n")
    (folder / "capa").chmod(0o755)
    monkeypatch.setenv("PATH", str(folder), prepend=":")


def rules(tmp_path: Path) -> None:
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "socket.yml").write_text("rule:\n")
    sets.add(home_from(), tmp_path / "own", kinds=("capa",))


def test_it_wants_the_program_and_rules_and_an_elf_file(
    facts: Facts, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: None)
    rules(tmp_path)
    assert not CapaModule.applies(facts)
    monkeypatch.setattr(shutil, "which", lambda name: f"/usr/bin/{name}")
    assert CapaModule.applies(facts)
    facts.store.sample.write_bytes(b"#!/bin/sh\n")
    assert not CapaModule.applies(facts)
    facts.store.sample.write_bytes(b"\x7fELF")
    sets.remove(home_from(), "own")
    assert not CapaModule.applies(facts)


def test_what_capa_says(facts: Facts, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "said.json").write_bytes(msgspec.json.encode(SAID))
    program(
        tmp_path,
        monkeypatch,
        f'[ "$3" = --rules ] && [ -s "$4/0.yml" ] && [ -s "$5" ] && exec cat {tmp_path}/said.json',
    )
    rules(tmp_path)
    found = capabilities(facts.store.sample, [path for _, path in sets.files(home_from(), "capa")])
    assert found == {
        "version": "10.0.0",
        "capabilities": [
            {"name": "create TCP socket", "namespace": "communication/socket", "attack": ["T1095"], "places": 2}
        ],
    }


@pytest.mark.parametrize(
    ("body", "why"),
    [
        ("echo 'ERROR capa: unsupported format' >&2; exit 11", "ERROR capa: unsupported format"),
        ("exit 3", "capa ended with status 3"),
        ("echo nonsense", "what capa said could not be read"),
        ("sleep 60", "capa took too long"),
    ],
)
def test_capa_that_fails(facts: Facts, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, body: str, why: str) -> None:
    program(tmp_path, monkeypatch, body)
    if body.startswith("sleep"):
        monkeypatch.setattr(capa, "TIMEOUT_S", 0.5)
    found: dict[str, Any] = capabilities(facts.store.sample, [])
    assert found["capabilities"] == []
    assert why in found["why"]
