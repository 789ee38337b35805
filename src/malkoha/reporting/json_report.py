"""report.json: the report as it is, in UTF-8 JSON."""

from __future__ import annotations

from pathlib import Path

import msgspec

from malkoha.errors import ReportError
from malkoha.model.report import Report
from malkoha.reporting.base import Reporter, replace
from malkoha.store import Store


class JsonReporter(Reporter):
    """Write report.json."""

    name = "json"

    def write(self, report: Report, store: Store) -> Path:
        return replace(store.report_json, msgspec.json.encode(report) + b"\n")


def read(path: Path) -> Report:
    """Read a report.json. Raises ReportError when it is missing or is none of this version."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=Report)
    except OSError as error:
        raise ReportError("cannot read the report", error.strerror or str(error), "run `malkoha process ID`") from error
    except msgspec.MsgspecError as error:
        raise ReportError(
            "the report does not have the expected form", str(error), "run `malkoha process ID`"
        ) from error


def schema() -> bytes:
    """Give the JSON Schema of report.json, which stands in docs/report.schema.json."""
    made = msgspec.json.schema(Report)
    return msgspec.json.format(msgspec.json.encode(made, order="deterministic"), indent=2) + b"\n"


if __name__ == "__main__":
    import sys

    Path(sys.argv[1]).write_bytes(schema())
