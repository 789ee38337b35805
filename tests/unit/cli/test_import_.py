"""import: a trace from elsewhere becomes an analysis with a report."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from malkoha.store import Home
from malkoha.tasks import Tasks
from tests.evaluation import STAP, needs_stap
from tests.records import Recording, blob
from tests.unit.cli.conftest import only_line

Call = Callable[..., Any]
DATA = Path(__file__).parents[2] / "data" / "traces"


def report(home: Home, number: int) -> Any:
    return json.loads(home.analysis(number).report_json.read_bytes())


def test_a_log_of_lines(malkoha_: Call, home: Home) -> None:
    result = malkoha_("import", DATA / "helloworld.stap")
    assert result.status == 0, result.err
    assert "analysis 1: " in result.out
    made = report(home, 1)
    assert [process["process_name"] for process in made["behavior"]["processes"]] == ["bash", "cat", "ping"]
    assert made["malkoha"]["trace"]["ended"] == "imported"
    assert home.analysis(1).stap.read_bytes() == (DATA / "helloworld.stap").read_bytes()
    assert home.analysis(1).report_html.exists()
    with Tasks(home) as tasks:
        assert [task.status.value for task in tasks.all()] == ["reported"]
    assert malkoha_("trace", "1", "--syscall", "vfork").out.count("\n") == 2
    assert malkoha_("process", "1").status == 0


def test_binary_records(malkoha_: Call, home: Home, tmp_path: Path) -> None:
    recording = Recording().fork(101, tid=100).exec(b"/bin/cat", b"cat", b"/etc/passwd", pid=101)
    recording.enter("openat", (0, 1, 0, 0), blob(1, b"/etc/passwd"), pid=101).exit("openat", 3, pid=101)
    assert malkoha_("import", recording.task_exit(pid=101).write(tmp_path / "any.name")).status == 0
    (process,) = report(home, 1)["behavior"]["processes"]
    assert (process["command_line"], process["calls"][0]["api"]) == ("cat /etc/passwd", "openat")


@needs_stap
@pytest.mark.parametrize(("name", "processes"), [("log_full.stap", ["sh", "bash", "ls"])])
def test_logs_of_cuckoo(malkoha_: Call, home: Home, name: str, processes: list[str]) -> None:
    assert malkoha_("import", STAP / name).status == 0
    assert [process["process_name"] for process in report(home, 1)["behavior"]["processes"]] == processes


@pytest.mark.parametrize("content", [b"", b"nothing\nof the kind\n", b"\x7fELF" + bytes(100)])
def test_what_is_no_trace_leaves_nothing(malkoha_: Call, home: Home, tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "x"
    path.write_bytes(content)
    result = malkoha_("import", path)
    assert result.status == 2
    assert "is no trace" in only_line(result.err)
    assert list(home.analyses.iterdir()) == []
    assert malkoha_("import", tmp_path / "missing").status == 2
