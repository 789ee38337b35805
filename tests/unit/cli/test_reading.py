"""report, process, export and trace: what is done with an analysis afterwards."""

from __future__ import annotations

import json
import tarfile
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from malkoha.model.event import Event
from malkoha.store import Home, Store
from malkoha.trace.store import write
from tests.unit.cli.conftest import REPORT, FakeAnalysis, only_line

Call = Callable[..., Any]
NOON = int(datetime(2026, 1, 2, 12, tzinfo=UTC).timestamp()) * 10**9


def events() -> list[Event]:
    def call(seq: int, pid: int, api: str, path: str, ret: int) -> Event:
        return Event(
            seq=seq, kind="syscall", time_ns=NOON + seq * 1000, pid=pid, tid=pid, comm="cat", api=api,
            args={"dfd": "AT_FDCWD", "filename": path}, ret=ret, ret_text=str(ret), errno="ENOENT" if ret < 0 else "",
        )  # fmt: skip

    return [
        call(1, 10, "openat", "/etc/passwd", 3),
        call(2, 10, "openat", "/evil\x1b[2J\n", -2),
        call(3, 11, "unlinkat", "/tmp/x", 0),
        Event(seq=4, kind="exit", time_ns=NOON + 5000, pid=11, tid=11, comm="cat", args={"code": "0", "group": True}),
    ]


@pytest.fixture
def store(home: Home) -> Store:
    made = home.analysis(3).create()
    write(events(), made.events)
    made.report_json.write_text(json.dumps(REPORT))
    made.report_html.write_text("<html>")
    return made


def test_report(malkoha_: Call, analysis: FakeAnalysis, store: Store) -> None:
    for name in ("3", "last"):
        result = malkoha_("report", name)
        assert result.status == 0
        assert result.out.startswith("summary clean\n")
        assert str(store.report_html) in result.out
    assert json.loads(malkoha_("report", "--json").out) == REPORT


def test_a_damaged_report(malkoha_: Call, analysis: FakeAnalysis, store: Store) -> None:
    store.report_json.write_text("{")
    result = malkoha_("report", "3")
    assert result.status == 4
    assert "cannot be read" in only_line(result.err)


@pytest.mark.parametrize("command", ["report", "export", "trace", "process"])
@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("7", "no analysis 7"),
        ("x/../1", "not the number"),
        ("²", "not the number"),
        ("-1", "--help"),
    ],
)
def test_what_is_no_analysis(malkoha_: Call, store: Store, command: str, name: str, words: str) -> None:
    result = malkoha_(command, name)
    assert result.status == 2
    assert words in only_line(result.err)


@pytest.mark.parametrize("command", ["report", "export", "trace", "process"])
def test_an_analysis_that_was_not_finished(malkoha_: Call, home: Home, command: str) -> None:
    assert "no analysis yet" in only_line(malkoha_(command, "last").err)
    home.analysis(1).create()
    result = malkoha_(command, "1")
    assert result.status == 2
    assert "analysis 1 has no" in only_line(result.err)


def test_export_json_and_html(malkoha_: Call, store: Store, tmp_path: Path) -> None:
    for form, path in (("json", store.report_json), ("html", store.report_html)):
        target = tmp_path / form
        assert malkoha_("export", "3", "--format", form, "-o", target).status == 0
        assert target.read_bytes() == path.read_bytes()


def test_export_stap(malkoha_: Call, store: Store, tmp_path: Path) -> None:
    target = tmp_path / "all.stap"
    result = malkoha_("export", "3", "-f", "stap", "-o", target)
    assert result.status == 0
    lines = target.read_text("ascii").splitlines()
    assert len(lines) == 3
    assert lines[0].startswith("Fri Jan  2 12:00:00 2026.000001 cat@0[10] openat(")
    assert result.err == ""


def test_export_dropped_files(malkoha_: Call, store: Store, tmp_path: Path) -> None:
    store.dropped.mkdir()
    (store.dropped / "ab").write_bytes(b"content")
    (store.dropped / "not-listed").write_bytes(b"older")
    report = json.loads(store.report_json.read_bytes())
    entry = {"filepath": "/tmp/../x", "sha256": "ab"}
    store.report_json.write_text(json.dumps({**report, "dropped": [entry, entry]}))
    target = tmp_path / "dropped.tar"
    assert malkoha_("export", "3", "-f", "dropped", "-o", target).status == 0
    with tarfile.open(target) as archive:
        assert archive.getnames() == ["dropped/dropped.json", "dropped/ab"]
        assert archive.getmember("dropped/ab").mode == 0o600
        content = archive.extractfile("dropped/ab")
        assert content is not None
        assert content.read() == b"content"


def test_export_memory(malkoha_: Call, store: Store, tmp_path: Path) -> None:
    target = tmp_path / "memory"
    assert "--memory" in malkoha_("export", "3", "-f", "memory", "-o", target).err
    with store.machine_memory.open("wb") as file:
        file.truncate(3 << 20)
        file.seek(1 << 20)
        file.write(b"page")
    assert malkoha_("export", "3", "-f", "memory", "-o", target).status == 0
    assert target.read_bytes() == store.machine_memory.read_bytes()
    assert target.stat().st_blocks * 512 < 3 << 20


def test_an_export_that_fails_leaves_no_file(malkoha_: Call, store: Store, tmp_path: Path) -> None:
    store.events.write_bytes(b"nonsense")
    assert malkoha_("export", "3", "-f", "stap", "-o", tmp_path / "x").status == 4
    assert malkoha_("export", "3", "-o", tmp_path / "no" / "folder").status == 3
    assert [path.name for path in tmp_path.iterdir()] == ["home"]


def test_trace_shows_events(malkoha_: Call, store: Store) -> None:
    lines = malkoha_("trace", "3").out.splitlines()
    assert len(lines) == 5
    assert lines[1].split("\t")[:4] == ["12:00:00.000001", "10", "10", "cat"]
    assert "openat(dfd=AT_FDCWD, filename=/etc/passwd)\t3" in lines[1]
    assert r"/evil\x1b[2J\n" in lines[2]
    assert lines[2].endswith("-2 ENOENT")
    assert lines[4].split("\t")[4].startswith("exit(")


def test_trace_filters(malkoha_: Call, store: Store) -> None:
    assert malkoha_("trace", "3", "--pid", "11", "--syscall", "unlinkat").out.count("\n") == 2
    assert malkoha_("trace", "3", "--syscall", "openat").out.count("\n") == 3
    limited = malkoha_("trace", "3", "--limit", "1")
    assert limited.out.count("\n") == 2
    assert "only the first 1 rows" in limited.err
    assert malkoha_("trace", "3", "--limit", "4").err == ""


def numbers(result: Any) -> list[int]:
    assert result.status == 0, result.err
    return [json.loads(line)["seq"] for line in result.out.splitlines()]


@pytest.mark.parametrize(
    ("options", "found"),
    [
        (("--process", "1"), [3, 4]),
        (("--syscall", "unlinkat", "--syscall", "openat", "--offset", "1"), [2, 3]),
        (("--kind", "exit"), [4]),
        (("--kind", "exit", "--kind", "syscall", "--pid", "11"), [3, 4]),
        (("--failed",), [2]),
        (("--succeeded", "--kind", "syscall"), [1, 3]),
        (("--text", "PASSWD"), [1]),
        (("--after", "0.000001"), [2, 3, 4]),
        (("--after", "0.000001", "--before", "0.000002"), [2]),
        (("--before", "1e300"), [1, 2, 3, 4]),
        (("--pid", "99"), []),
        (("--text", "' OR 1=1 --"), []),
    ],
)
def test_every_filter(malkoha_: Call, store: Store, options: tuple[str, ...], found: list[int]) -> None:
    assert numbers(malkoha_("trace", "3", "--json", *options)) == found


def test_trace_as_csv(malkoha_: Call, store: Store) -> None:
    import csv
    import io

    rows = list(csv.DictReader(io.StringIO(malkoha_("trace", "3", "--format", "csv").out)))
    assert [(row["seq"], row["process"], row["index"], row["api"]) for row in rows] == [
        ("1", "0", "0", "openat"), ("2", "0", "1", "openat"), ("3", "1", "0", "unlinkat"), ("4", "1", "", "")
    ]  # fmt: skip
    assert json.loads(rows[1]["args"])["filename"] == "/evil\x1b[2J\n"
    answer = malkoha_("trace", "3", "-f", "csv", "--sql", "select null, 'a\"b,c' x, [1, 2] l, {'k': 'v'} s, 1.5").out
    assert list(csv.reader(io.StringIO(answer)))[1] == ["", 'a"b,c', "[1,2]", '{"k":"v"}', "1.5"]


def test_trace_as_one_list(malkoha_: Call, store: Store) -> None:
    assert [row["seq"] for row in json.loads(malkoha_("trace", "3", "-f", "json").out)] == [1, 2, 3, 4]
    assert json.loads(malkoha_("trace", "3", "-f", "json", "--pid", "99").out) == []
    assert json.loads(malkoha_("trace", "3", "-f", "json", "--sql", "select 1 a, 2 a").out) == [{"a": 1, "a_1": 2}]


def test_trace_as_json(malkoha_: Call, store: Store) -> None:
    rows = [json.loads(line) for line in malkoha_("trace", "3", "--json").out.splitlines()]
    assert [row["seq"] for row in rows] == [1, 2, 3, 4]
    assert rows[1]["args"]["filename"] == "/evil\x1b[2J\n"


def test_trace_with_sql(malkoha_: Call, store: Store) -> None:
    query = "select api, count(*) n from events where kind = 'syscall' group by api order by n desc"
    assert malkoha_("trace", "3", "--sql", query).out == "api\tn\nopenat\t2\nunlinkat\t1\n"
    assert malkoha_("trace", "3", "--json", "--sql", "select max(seq) m from events").out == '{"m":4}\n'
    for wrong in ("drop table events", "select nonsense", "select * from '/etc/passwd'"):
        result = malkoha_("trace", "3", "--sql", wrong)
        assert result.status == 2
        assert only_line(result.err)
    assert malkoha_("trace", "3", "--sql", "select 1", "--pid", "1").status == 2
