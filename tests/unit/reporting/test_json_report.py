"""report.json on disk."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from malkoha.errors import ReportError
from malkoha.reporting import json_report


def test_what_is_no_report_is_one_error(tmp_path: Path) -> None:
    with pytest.raises(ReportError, match="cannot read the report"):
        json_report.read(tmp_path / "report.json")
    (tmp_path / "report.json").write_text('{"info": 5}')
    with pytest.raises(ReportError, match="does not have the expected form"):
        json_report.read(tmp_path / "report.json")


def test_the_schema_names_every_key() -> None:
    schema = msgspec.json.decode(json_report.schema())
    assert {"info", "behavior", "malkoha"} <= set(schema["$defs"]["Report"]["required"]) | set(
        schema["$defs"]["Report"]["properties"]
    )
