"""Events as rows: what auditd would have shown, who is root, and what is bounded to the sample."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from malkoha.model.event import Event
from malkoha.processing.sigma_tables import COLUMNS, Reading, line
from malkoha.trace.store import Trace
from malkoha.trace.writer import write


def rows(path: Path, *events: Event) -> list[tuple[str, dict[str, Any]]]:
    write(iter(events), path)
    trace = Trace(path)
    return [(table, columns) for table, _, columns in Reading(trace.processes).rows(trace)]


def event(seq: int, api: str = "", *, kind: Any = "syscall", ret: int = 0, **args: Any) -> Event:
    return Event(seq=seq, kind=kind, time_ns=10**18, pid=7, tid=7, ppid=6, comm="x", api=api, args=args, ret=ret)


START = event(1, kind="exec", filename="/bin/x", exe="/usr/bin/x", argv=["x", "-v"], cwd="/tmp", uid=0)


def test_every_column_is_declared(tmp_path: Path) -> None:
    found = rows(
        tmp_path / "events.parquet",
        START,
        event(2, "openat", dirfd="AT_FDCWD", pathname="made", flags="O_CREAT|O_WRONLY", mode="0600"),
        event(3, "unlink", pathname="/etc/gone"),
        event(4, "connect", sockfd="3", addr={"sa_family": "AF_INET", "sin_addr": "203.0.113.7", "sin_port": "80"}),
    )
    assert {table for table, _ in found} == set(COLUMNS)
    for table, columns in found:
        assert set(columns) <= set(COLUMNS[table])
    paths = [columns for _, columns in found if columns.get("type") == "PATH"]
    assert [(each["name"], each["nametype"]) for each in paths] == [("/tmp/made", "CREATE"), ("/etc/gone", "DELETE")]


def test_what_failed_makes_no_file(tmp_path: Path) -> None:
    failed = event(2, "openat", ret=-13, dirfd="AT_FDCWD", pathname="/etc/x", flags="O_CREAT", mode="0600")
    assert not [table for table, _ in rows(tmp_path / "events.parquet", START, failed) if table == "file_event"]


def test_a_line_reads_like_a_log() -> None:
    text = line("auditd", {"type": "EXECVE", "a0": "curl", "a1": "-s"}, START)
    assert text.startswith("type=EXECVE msg=audit(1000000000.000:1): ")
    assert text.endswith('a0="curl" a1="-s" proctitle=curl -s')
    assert line("process_creation", {"Image": "/bin/x", "User": ""}, START) == 'Image="/bin/x"'
