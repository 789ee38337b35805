"""ELF facts: of a real program, and of broken ones."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from malkoha.processing import elf, runner
from malkoha.processing.base import Earlier
from malkoha.processing.elf import ElfModule, describe
from tests.unit.processing.folder import analysis

PROGRAM = Path(sys.executable).resolve()
HEADER = bytes.fromhex(
    "7f454c4602010100000000000000000002003e0001000000780040000000000040000000000000000000000000000000"
)


def test_a_real_program() -> None:
    found = describe(PROGRAM)
    assert found["errors"] == []
    assert found["file_header"]["class"] == "ELF64"
    assert found["file_header"]["machine"] in ("X86_64", "AARCH64")
    assert "libc.so.6" in found["libraries"]
    assert found["interpreter"].startswith("/lib")
    assert any(section["name"] == ".text" for section in found["section_headers"])
    assert any("X" in segment["flags"] for segment in found["program_headers"])
    assert set(found["hardening"]) == {"pie", "nx", "relro", "full_relro", "canary"}


def test_it_applies_to_elf_files_only(tmp_path: Path) -> None:
    assert ElfModule.applies(analysis(tmp_path / "a", sample=HEADER))
    for facts in (analysis(tmp_path / "b", sample=b"#!/bin/sh\n"), analysis(tmp_path / "c", sample=None)):
        assert not ElfModule.applies(facts)
        assert runner.run(facts.store, facts.task, facts.run, [ElfModule]) == ({}, [])


def test_what_is_none_after_all_has_no_facts(tmp_path: Path) -> None:
    assert ElfModule().run(analysis(tmp_path, sample=b"\x7fElf, but not quite"), Earlier({})) == {}


@pytest.mark.parametrize("size", [4, 16, 64])
def test_a_torn_header_does_not_raise(tmp_path: Path, size: int) -> None:
    path = tmp_path / "sample"
    path.write_bytes(HEADER[:size])
    assert isinstance(describe(path), dict)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.lists(st.tuples(st.integers(16, 4095), st.integers(0, 255)), max_size=40))
def test_a_corrupt_program_gives_what_it_can(tmp_path: Path, changes: list[tuple[int, int]]) -> None:
    data = bytearray(PROGRAM.read_bytes()[:65536])
    for position, value in changes:
        data[position] = value
    path = tmp_path / "corrupt"
    path.write_bytes(data)
    assert isinstance(describe(path), dict)


def test_it_runs_in_a_process_of_its_own(tmp_path: Path) -> None:
    facts = analysis(tmp_path, sample=PROGRAM.read_bytes())
    sections, errors = runner.run(facts.store, facts.task, facts.run, [ElfModule])
    assert errors == []
    assert sections["elf"]["file_header"] == elf.describe(PROGRAM)["file_header"]
