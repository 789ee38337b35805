"""events.parquet: what is written is read back, and a user's query reaches nothing else."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from malkoha.errors import TraceError, UsageError
from malkoha.model.event import Event
from malkoha.trace import columns, processes, stap, store, writer
from malkoha.trace.store import Trace

DATA = Path(__file__).parents[2] / "data" / "traces"
DOCUMENT = Path(__file__).parents[3] / "docs" / "trace.md"


@pytest.fixture(scope="module")
def trace(tmp_path_factory: pytest.TempPathFactory) -> Trace:
    path = tmp_path_factory.mktemp("trace") / "events.parquet"
    store.write(stap.parse(DATA / "helloworld.stap"), path)
    return Trace(path)


def call(seq: int, pid: int = 1, **rest: object) -> Event:
    fields: dict[str, Any] = {"seq": seq, "kind": "syscall", "time_ns": seq, "pid": pid, "tid": pid, "api": "read"}
    return Event(**fields | rest)


def test_events_come_back_as_they_were(trace: Trace) -> None:
    wanted = list(stap.parse(DATA / "helloworld.stap"))
    assert [row.event for row in trace.rows(text=True)] == wanted
    assert trace.count() == trace.stats.events == trace.stats.calls == len(wanted)


def test_the_processes_are_in_the_footer(trace: Trace) -> None:
    assert processes.build(trace) == processes.build(stap.parse(DATA / "helloworld.stap"))


def test_pages_of_one_process(trace: Trace) -> None:
    bash = trace.processes[1]
    assert [row.index for row in trace.calls(bash.key, 2, 3)] == [2, 3, 4]
    assert trace.calls(bash.key, bash.calls, 5) == []
    assert {row.event.pid for row in trace.calls(bash.key, 0, 100)} == {701}


def test_pages_of_a_process_with_a_thread_seen_early(tmp_path: Path) -> None:
    path = tmp_path / "e.parquet"
    clone = call(3, api="clone", ret=2, args={"p0": "CLONE_THREAD"})
    store.write([call(1), call(2, pid=2), clone, call(4, pid=2)], path)
    trace = Trace(path)
    assert [row.event.seq for row in trace.calls(trace.processes[0].key, 1, 2)] == [2, 3]


def test_head_takes_the_first_calls_of_several(trace: Trace) -> None:
    rows = list(trace.head({1: (2, 3), 2: (0, 1)}))
    assert [(row.process, row.index) for row in rows] == [(1, 2), (1, 3), (1, 4), (2, 0)]


def test_filters(trace: Trace) -> None:
    assert {row.event.api for row in trace.filter(pid=702, syscall="openat")} == {"openat"}
    assert [row.event.errno for row in trace.filter(failed=True)] == ["ENOEXEC", "ENOENT"]
    assert len(trace.filter(text="PASSWD")) == 2
    assert len(trace.filter(limit=5, offset=2)) == 5
    assert trace.filter(kind="fork") == []


def test_filters_of_several_values_and_times(trace: Trace) -> None:
    assert {row.event.api for row in trace.filter(syscall=["openat", "read"])} == {"openat", "read"}
    assert trace.filter(syscall=[]) == []
    assert trace.filter(kind=("fork", "exec")) == []
    first = trace.stats.first_ns or 0
    later = trace.filter(after_ns=first + 1)
    assert 0 < len(later) < trace.count()
    assert len(trace.filter(before_ns=first + 1)) + len(later) == trace.count()
    assert {row.process for row in trace.filter(process=2)} == {2}


def test_scans_by_name(trace: Trace) -> None:
    assert {row.event.api for row in trace.rows({"vfork", "clone"})} == {"vfork", "clone"}


def test_apistats(trace: Trace) -> None:
    assert trace.apistats()[2] == {"close": 1, "execve": 1, "exit_group": 1, "openat": 1, "read": 1, "write": 1}


def test_a_query(trace: Trace) -> None:
    table = trace.sql("select api, count(*) as n from events group by api order by n desc, api", limit=2)
    assert (table.columns, table.rows, table.cut) == (["api", "n"], [("close", 5), ("execve", 5)], True)


@pytest.mark.parametrize(
    "query",
    [
        "copy events to '{folder}/out.csv'",
        "create table t as select 1",
        "drop view events",
        "select 1; select 2",
        "set memory_limit = '100GB'",
        "attach '{folder}/x.db'",
        "install httpfs",
        "select * from read_csv('/etc/passwd')",
        "select * from read_text('/etc/hostname')",
        "select * from '/etc/passwd'",
        "select * from glob('/etc/*')",
        "copy (select 1) to '{folder}/events.parquet'",
        "select * from read_csv('/etc/passwd', header = false)",
        "select * from read_json('/etc/passwd')",
        "select * from read_parquet('/tmp/other.parquet')",
        "select * from read_blob('/etc/passwd')",
        "select * from sniff_csv('/etc/passwd')",
        "select * from parquet_metadata('/tmp/other.parquet')",
        "select getenv('HOME')",
        "select * from which_secret('x', 's3')",
        "select * from duckdb_secrets()",
        "create secret (type s3, key_id 'x', secret 'y')",
        "load httpfs",
        "install httpfs from 'http://127.0.0.1:1'",
        "pragma memory_limit = '100GB'",
        "pragma enable_external_access",
        "set enable_external_access = true",
        "set lock_configuration = false",
        "reset allowed_paths",
        "set variable x = (select content from read_text('/etc/hostname'))",
        "export database '{folder}/out'",
        "import database '{folder}'",
        "insert into events select * from events",
        "update events set pid = 1",
        "delete from events",
        "with x as (insert into events select 1 returning 1) select * from x",
        "explain analyze copy events to '{folder}/out.csv'",
        "copy (select 1) to '/dev/stdout'",
        "call pragma_version()",
        "use memory",
        "checkpoint",
        "prepare p as select 1",
        "attach ':memory:' as other",
        "select * from 'http://127.0.0.1:1/x.parquet'",
        "select * from query('copy events to ''{folder}/q.csv''')",
        "selec nonsense",
        "",
    ],
)
def test_a_query_reaches_nothing_but_the_trace(trace: Trace, query: str) -> None:
    before = trace.path.read_bytes()
    try:
        table = trace.sql(query.format(folder=trace.path.parent))
    except UsageError:
        table = None
    assert table is None or table.rows == []
    assert trace.path.read_bytes() == before
    assert [path.name for path in trace.path.parent.iterdir()] == ["events.parquet"]


def test_a_query_has_a_time_limit(trace: Trace) -> None:
    with pytest.raises(UsageError, match="took too long"):
        trace.sql("select sum(hash(range)) from range(100000000000000)", timeout_s=0.3)


def test_a_query_has_a_memory_limit(trace: Trace) -> None:
    with pytest.raises(UsageError, match="failed"):
        trace.sql("select list(range) from range(1000000000)", timeout_s=60)


def test_a_damaged_file_is_one_error(tmp_path: Path) -> None:
    path = tmp_path / "e.parquet"
    path.write_bytes(b"PAR1 nonsense")
    with pytest.raises(TraceError, match=r"cannot read the events in e\.parquet"):
        Trace(path)


def test_a_page_reads_the_row_groups_that_hold_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(columns, "BATCH", 10)
    monkeypatch.setattr(writer, "ROW_GROUP", 30)
    path = tmp_path / "e.parquet"
    store.write((call(number, pid=99 if number % 40 == 3 else 1 + number // 50) for number in range(400)), path)
    trace = Trace(path)
    rare = next(process for process in trace.processes if process.pid == 99)
    assert [row.event.seq for row in trace.calls(rare.key)] == list(range(3, 400, 40))
    assert [row.index for row in trace.calls(rare.key, 4, 3)] == [4, 5, 6]
    assert trace.calls(rare.key, 10) == trace.calls(99) == trace.calls(-1) == []
    for process in trace.processes:
        assert [row.index for row in trace.calls(process.key, 0, 1000)] == list(range(process.calls))


def test_a_damaged_footer_is_one_error(trace: Trace, tmp_path: Path) -> None:
    import pyarrow.parquet as pq

    table = pq.read_table(trace.path)
    for packed in (b"", b"?", b"AAAAAAAAAAAAAAAA", b"//////////8="):
        path = tmp_path / "e.parquet"
        metadata = {**(table.schema.metadata or {}), writer.STATS: b'{"events":1}', writer.PROCESSES: packed}
        pq.write_table(table.replace_schema_metadata(metadata), path)
        with pytest.raises(TraceError, match=r"cannot read the events"):
            print(Trace(path).processes)


def test_the_next_events_from_a_place_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writer, "ROW_GROUP", 20)
    monkeypatch.setattr(columns, "BATCH", 10)
    path = tmp_path / "e.parquet"
    store.write((call(n, pid=1 + n % 2, errno="ENOENT" if n % 10 == 0 else "") for n in range(200)), path)
    trace = Trace(path)
    seen: list[int] = []
    place: int | None = 0
    while place is not None:
        rows, place = trace.find(from_seq=place, limit=7, failed=True)
        seen += [row.event.seq for row in rows]
    assert seen == list(range(0, 200, 10))
    rows, place = trace.find(process=trace.processes[1].key, from_seq=100, limit=3)
    assert ([row.event.seq for row in rows], place) == ([101, 103, 105], 107)
    assert trace.find(process=99) == ([], None)
    rows, place = trace.find(text="nowhere", limit=3, time_s=0.0)
    assert (rows, place) == ([], 20)
