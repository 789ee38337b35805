"""Files of a report appear whole or not at all."""

from __future__ import annotations

from pathlib import Path

import pytest

from malkoha.errors import ReportError
from malkoha.reporting.base import replace


def test_a_file_is_replaced_whole(tmp_path: Path) -> None:
    path = tmp_path / "report.json"
    path.write_text("old")
    assert replace(path, b"new") == path
    assert path.read_text() == "new"
    assert list(tmp_path.iterdir()) == [path]


def test_what_cannot_be_written_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "report.json"
    path.write_text("old")
    (tmp_path / "report.json.part").mkdir()
    with pytest.raises(ReportError, match=r"cannot write report\.json"):
        replace(path, b"new")
    assert path.read_text() == "old"
