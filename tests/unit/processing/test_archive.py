"""The module ``archive`` in its own process, and the process that unpacks for a submission."""

from __future__ import annotations

from pathlib import Path

import pytest

from malkoha.errors import ProcessingError
from malkoha.processing import runner
from malkoha.processing.archive import ArchiveModule, unpack
from malkoha.processing.members import Limits
from tests.unit.processing.folder import analysis
from tests.unit.processing.test_containers import DIGEST, SCRIPT, sealed, zipped


def test_the_section_and_what_is_kept_for_yara(tmp_path: Path) -> None:
    facts = analysis(tmp_path, sample=sealed({"a\n": SCRIPT}, "infected"), name=b"x.zip")
    sections, errors = runner.run(facts.store, facts.task, facts.run, [ArchiveModule])
    assert errors == []
    assert sections["archive"] == {
        "format": "zip",
        "members_total": 1,
        "members": [{"name": "a\n", "kind": "file", "size": 18, "sha256": DIGEST, "encrypted": True}],
        "password": "infected",
    }
    assert (facts.store.unpacked / DIGEST).read_bytes() == SCRIPT


def test_parts_of_an_office_file_are_listed_only(tmp_path: Path) -> None:
    facts = analysis(tmp_path, sample=zipped({"[Content_Types].xml": b"<x/>"}), name=b"x.docx")
    sections, errors = runner.run(facts.store, facts.task, facts.run, [ArchiveModule])
    assert errors == []
    assert sections["archive"]["members"][0]["name"] == "[Content_Types].xml"
    assert not facts.store.unpacked.exists()


def test_it_applies_to_archives_only(tmp_path: Path) -> None:
    assert not ArchiveModule.applies(analysis(tmp_path / "a", sample=SCRIPT))
    assert not ArchiveModule.applies(analysis(tmp_path / "b", sample=None))
    assert ArchiveModule.applies(analysis(tmp_path / "c", sample=zipped({})))


def test_a_process_of_its_own_unpacks(tmp_path: Path) -> None:
    (tmp_path / "archive").write_bytes(zipped({"a": SCRIPT}))
    (tmp_path / "out").mkdir()
    with (tmp_path / "archive").open("rb") as file:
        contents = unpack(file.fileno(), tmp_path / "out", b"\xff.zip", [], Limits())
        assert [member.sha256 for member in contents.members] == [DIGEST]
        with pytest.raises(ProcessingError, match="could not be unpacked"):
            unpack(file.fileno(), tmp_path / "missing" / "folder", b"x", [], Limits(depth="no"))  # type: ignore[arg-type]
