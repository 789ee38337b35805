"""UPX: unpacked by a stand-in for the host's program, and what is said when that is missing or fails."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from malkoha.errors import ProcessingError
from malkoha.processing import confine, runner
from malkoha.processing.packer import PackerModule, unpack
from tests.unit.processing.folder import analysis
from tests.unit.processing.test_elf_marks import image


@pytest.fixture
def bounded(tmp_path: Path) -> None:
    try:
        confine.run(["true"], tmp_path, timeout_s=30)
    except ProcessingError as error:
        pytest.skip(f"this host confines no helper: {error}")


def program(folder: Path, script: str) -> None:
    folder.mkdir()
    (folder / "upx").write_text(f"#!/bin/sh\n{script}\n")
    (folder / "upx").chmod(0o755)


@pytest.mark.usefixtures("bounded")
def test_it_is_unpacked_and_described_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plain = tmp_path / "plain"
    plain.write_bytes(image(flags=7))
    program(tmp_path / "bin", f'while [ "$1" != -o ]; do shift; done; cat {plain} > "$2"')
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:/usr/bin:/bin")
    facts = analysis(tmp_path, sample=image(tail=b"UPX!"))
    sections, errors = runner.run(facts.store, facts.task, facts.run, [PackerModule])
    assert errors == []
    digest = hashlib.sha256(plain.read_bytes()).hexdigest()
    assert (sections["packer"]["unpacked"], sections["packer"]["sha256"]) == (True, digest)
    assert "the segment at 0x400000 can be written and run" in sections["packer"]["elf"]["oddities"]
    assert (facts.store.unpacked / digest).read_bytes() == plain.read_bytes()


@pytest.mark.usefixtures("bounded")
def test_a_program_that_fails_is_quoted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program(tmp_path / "bin", "echo 'upx: /tmp/x/packed: CantUnpackException: bad' >&2; exit 2")
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:/usr/bin:/bin")
    (tmp_path / "sample").write_bytes(b"UPX!")
    found = unpack(tmp_path / "sample", tmp_path / "unpacked")
    assert found == {"name": "UPX", "unpacked": False, "why": "packed: CantUnpackException: bad"}


def test_without_the_program_the_report_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    found = unpack(tmp_path / "sample", tmp_path / "unpacked")
    assert "not installed" in found["why"]


def test_it_applies_to_packed_files_only(tmp_path: Path) -> None:
    assert PackerModule.applies(analysis(tmp_path / "a", sample=image(tail=b"UPX!")))
    assert not PackerModule.applies(analysis(tmp_path / "b", sample=image()))
    assert not PackerModule.applies(analysis(tmp_path / "c", sample=b"#!/bin/sh\n# UPX!"))
