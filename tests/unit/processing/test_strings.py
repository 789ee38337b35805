"""Printable strings of a sample."""

from __future__ import annotations

from pathlib import Path

from malkoha.processing.base import Earlier
from malkoha.processing.strings import LIMIT, LONGEST, StringsModule, strings
from tests.unit.processing.folder import analysis


def test_ascii_and_utf16() -> None:
    data = b"\x01short\x02/bin/bash\x00\x01" + "wide text".encode("utf-16-le") + b"\xff/bin/bash"
    assert strings(data) == ["/bin/bash", "wide text"]


def test_bounds() -> None:
    assert strings(b"a" * 5000) == ["a" * LONGEST]
    assert len(strings(b"\0".join(b"string%06d" % number for number in range(LIMIT * 2)))) == LIMIT


def test_the_module(tmp_path: Path) -> None:
    assert StringsModule().run(analysis(tmp_path, sample=b"\0hello world\0"), Earlier({})) == ["hello world"]
    assert StringsModule().run(analysis(tmp_path / "b", sample=None), Earlier({})) == []
