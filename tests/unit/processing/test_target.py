"""Hashes and URLs of a sample."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from malkoha.processing.base import Earlier
from malkoha.processing.target import TargetModule, file_facts, urls
from tests.unit.processing.folder import analysis


def test_known_hashes(tmp_path: Path) -> None:
    path = tmp_path / "sample"
    path.write_bytes(b"hello world\n")
    facts = file_facts(path, name="x", kind="ASCII text")
    assert (facts.size, facts.crc32, facts.md5) == (12, "AF083B2D", "6f5902ac237024bdd0c176cb93063dc4")
    assert facts.sha1 == "22596363b3de40b06f981fb85d82312e8c0ed511"
    assert facts.sha256 == hashlib.sha256(b"hello world\n").hexdigest()
    assert facts.ssdeep is not None
    assert facts.ssdeep.startswith("3:")


def test_an_empty_file_and_a_large_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "sample"
    path.write_bytes(b"")
    assert file_facts(path, name="x", kind="empty").ssdeep is None
    monkeypatch.setattr("malkoha.processing.fuzzy.SSDEEP_LIMIT", 10)
    path.write_bytes(b"x" * 11)
    assert file_facts(path, name="x", kind="data").ssdeep is None


def test_urls_once_and_in_order() -> None:
    data = b"\0http://a.example/x?y=1\0see https://b.example/p). http://a.example/x?y=1 xhttp://no ftp://c.example/"
    assert urls(data) == ["http://a.example/x?y=1", "https://b.example/p", "ftp://c.example/"]
    assert len(urls(b" ".join(b"http://h%d.example/" % number for number in range(1000)))) == 200


def test_a_name_of_any_bytes_is_shown(tmp_path: Path) -> None:
    facts = analysis(tmp_path, sample=b"#!/bin/sh\n", name=b"a\xff\n.sh")
    section = TargetModule().run(facts, Earlier({}))
    assert section.file is not None
    assert section.file.name == "a\\xff\n.sh"
    assert section.file.path == "sample"


def test_a_missing_sample_leaves_the_shape(tmp_path: Path) -> None:
    facts = analysis(tmp_path, sample=None)
    assert TargetModule().run(facts, Earlier({})).file is None
