"""The section behavior: Cuckoo's shapes, true counts, bounds."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from malkoha.model.behavior import TreeNode
from malkoha.model.event import Event
from malkoha.processing import behavior
from malkoha.processing.behavior import call_of, category, shares
from malkoha.trace import stap, store
from malkoha.trace.store import Trace
from tests.evaluation import STAP, needs_stap

HELLO = Path(__file__).parents[2] / "data" / "traces" / "helloworld.stap"


def trace_of(tmp_path: Path, events: Iterator[Event]) -> Trace:
    path = tmp_path / "events.parquet"
    store.write(events, path)
    return Trace(path)


def test_helloworld(tmp_path: Path) -> None:
    found = behavior.behavior(trace_of(tmp_path, stap.parse(HELLO)))
    section = found.section
    (root,) = section.processtree
    assert (root.process_name, root.ppid) == ("bash", 700)
    assert [node.process_name for node in root.children] == ["cat", "ping"]
    assert [process.pid for process in section.processes] == [701, 702, 703]
    cat = section.processes[1]
    assert [call.api for call in cat.calls] == ["close", "execve", "openat", "read", "write", "exit_group"]
    opened = cat.calls[2]
    assert opened.arguments == {"p0": "AT_FDCWD", "p1": "/etc/passwd", "p2": "O_RDONLY"}
    assert opened.argument_names == ["dirfd", "pathname", "flags"]
    assert (opened.category, opened.return_value, opened.status) == ("file", "3", "")
    assert (cat.calls_total, cat.exit_code, cat.exe) == (6, 0, "/bin/cat")
    assert section.apistats["703"]["sendto"] == 1
    assert "700" not in section.apistats
    assert section.generic[1].summary["file_read"] == ["/etc/passwd"]
    assert found.omitted == {"launcher_calls": 4}


@needs_stap
def test_cuckoos_long_log(tmp_path: Path) -> None:
    wanted = json.loads((STAP / "expected_log_full.json").read_text())
    section = behavior.behavior(trace_of(tmp_path, stap.parse(STAP / "log_full.stap"))).section

    def shape(node: TreeNode) -> tuple[object, ...]:
        return (
            node.pid,
            node.ppid,
            node.process_name,
            node.command_line,
            node.track,
            [shape(child) for child in node.children],
        )

    def wanted_shape(node: dict[str, object]) -> tuple[object, ...]:
        children = node["children"]
        assert isinstance(children, list)
        fields = (node[name] for name in ("pid", "ppid", "process_name", "command_line", "track"))
        return *fields, [wanted_shape(child) for child in children]

    assert [shape(node) for node in section.processtree] == [wanted_shape(node) for node in wanted["processtree"]]
    assert [generic.pid for generic in section.generic] == [820, 821, 822]
    assert [process.calls_total for process in section.processes] == [52, 942, 108]


def test_every_call_has_a_line() -> None:
    event = Event(
        seq=3, kind="syscall", time_ns=1_500_000_000, duration_ns=2000, pid=7, tid=8, comm="x", ip=255, abi="x86-64",
        api="openat", args={"dirfd": "AT_FDCWD", "pathname": "/a(b", "flags": "O_RDONLY", "mode": "0"}, ret=3,
        ret_text="3",
    )  # fmt: skip
    call = call_of(event)
    assert call.raw == 'Thu Jan  1 00:00:01 1970.500000 x@ff[8] openat(AT_FDCWD, "/a\\x28b", O_RDONLY, 0) = 3\n'
    assert call.argument_names == ["dirfd", "pathname", "flags", "mode"]
    assert call.arguments["p1"] == "/a(b"
    assert (call.duration, call.tid, call.instruction_pointer) == (2e-6, 8, "ff")


@pytest.mark.parametrize(
    ("api", "group"),
    [("openat", "file"), ("connect", "network"), ("clone3", "process"), ("mmap2", "memory"), ("rt_sigaction", "signal"),
     ("clock_nanosleep", "time"), ("finit_module", "system"), ("syscall_999", "misc"), ("exit_group", "process")],
)  # fmt: skip
def test_categories(api: str, group: str) -> None:
    assert category(api) == group


def test_shares_leave_nothing_unused() -> None:
    assert shares({1: 5, 2: 100, 3: 100}, 50, 75) == {1: 5, 2: 35, 3: 35}
    assert shares({1: 5, 2: 100}, 50, 1000) == {1: 5, 2: 50}
    assert shares({}, 50, 100) == {}
    assert sum(shares(dict.fromkeys(range(1000), 7), 50, 100).values()) <= 100


def many(processes: int, calls: int) -> Iterator[Event]:
    seq = 0
    for pid in range(1, processes + 1):
        for _ in range(calls):
            seq += 1
            yield Event(
                seq=seq, kind="syscall", time_ns=seq, pid=pid, tid=pid, api="read", comm="x", ret=0, ret_text="0"
            )


def test_calls_are_bounded_and_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(behavior, "CALLS_PER_PROCESS", 30)
    monkeypatch.setattr(behavior, "CALLS_TOTAL", 50)
    found = behavior.behavior(trace_of(tmp_path, many(3, 100)))
    assert [(len(process.calls), process.calls_total) for process in found.section.processes] == [
        (16, 100),
        (17, 100),
        (17, 100),
    ]
    assert found.omitted == {"calls": 250}
    assert found.section.apistats == {"1": {"read": 100}, "2": {"read": 100}, "3": {"read": 100}}


def test_the_bytes_of_calls_are_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(behavior, "CALLS_BYTES", 10_000)
    section = behavior.behavior(trace_of(tmp_path, many(1, 1000))).section
    assert len(msgspec.json.encode(section)) < 12_000


def test_processes_are_bounded_and_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(behavior, "PROCESSES", 2)
    found = behavior.behavior(trace_of(tmp_path, many(5, 1)))
    assert (len(found.section.processes), found.omitted["processes"]) == (2, 3)
    assert len(found.section.apistats) == 5


def test_a_deep_tree_stays_readable(tmp_path: Path) -> None:
    def chain() -> Iterator[Event]:
        for pid in range(1, 1500):
            yield Event(
                seq=pid, kind="syscall", time_ns=pid, pid=pid, tid=pid, api="fork", comm="x", ret=pid + 1, ret_text=""
            )

    section = behavior.behavior(trace_of(tmp_path, chain())).section
    assert len(section.processtree) == 8
    assert msgspec.json.decode(msgspec.json.encode(section))["processtree"]


def test_texts_of_processes_are_cut_when_there_is_no_room_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(behavior, "TEXTS_BYTES", 3000)
    events = [
        Event(seq=n, kind="exec", time_ns=n, pid=n, tid=n, args={"exe": "/bin/x", "argv": ["x", "y" * 900]})
        for n in range(1, 30)
    ]
    found = behavior.behavior(trace_of(tmp_path, iter(events)))
    lengths = [len(process.command_line) for process in found.section.processes]
    assert lengths[0] == 902
    assert lengths[-1] == behavior.SHORT
    assert found.omitted["texts"] > 20
    assert [len(process.images) for process in found.section.processes] == [1] * 29
