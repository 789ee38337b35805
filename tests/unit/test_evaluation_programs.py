"""The checker of dual-use programs: lines as strace prints them, and counting what was found."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from evaluation import programs, strace
from evaluation.programs import Expectation, Finding
from malkoha.model.event import Event
from malkoha.trace.writer import write


@pytest.mark.parametrize(
    ("api", "arguments", "result", "error", "line"),
    [
        ("openat", ["AT_FDCWD", "/a b", "O_RDONLY", "0"], "3", "", 'openat(AT_FDCWD, "/a b", O_RDONLY) = 3'),
        ("unlink", ['/a"\n\u00e9\\'], "-2", "ENOENT", 'unlink("/a\\"\\n\\303\\251\\\\") = -1 ENOENT (ENOENT)'),
        ("open", ["/a", "O_WRONLY|O_CREAT", "0644"], "3", "", 'open("/a", O_WRONLY|O_CREAT, 0644) = 3'),
        ("writev", ["1", "hi", "1"], "2", "", 'writev(1, [{iov_base="hi"}], 1) = 2'),
        ("unlink", ["0x7f00"], "0", "", "unlink(0x7f00) = 0"),
        ("exit_group", ["1"], "", "", "exit_group(1) = ?"),
        (
            "connect",
            ["3", {"sa_family": "AF_INET", "sin_port": "80", "sin_addr": "10.0.0.1"}, "16"],
            "0",
            "",
            'connect(3, {sa_family=AF_INET, sin_port=htons(80), sin_addr=inet_addr("10.0.0.1")}, 16) = 0',
        ),
        (
            "bind",
            ["3", {"sa_family": "AF_UNIX", "sun_path": "@x"}, "5"],
            "0",
            "",
            'bind(3, {sa_family=AF_UNIX, sun_path=@"x"}, 5) = 0',
        ),
        (
            "execve",
            ["/bin/sh", ["sh", "-c", "id"], ["A=1", "B=2"]],
            "0",
            "",
            'execve("/bin/sh", ["sh", "-c", "id"], 0x7ffc /* 2 vars */) = 0',
        ),
        ("sendmsg", ["3", {"data": "x", "length": "1"}, "0"], "1", "",
         'sendmsg(3, {msg_iov=[{iov_base="x", iov_len=1}]}, 0) = 1'),
        ("clone3", [{"flags": "CLONE_VM|CLONE_THREAD"}, "88"], "9", "",
         "clone3({flags=CLONE_VM|CLONE_THREAD}, 88) = 9"),
        ("setsockopt", ["3", "SOL_SOCKET", "SO_ATTACH_FILTER", "0x1", "16"], "0", "",
         "setsockopt(3, SOL_SOCKET, SO_ATTACH_FILTER, 0x1, 16) = 0"),
    ],
)  # fmt: skip
def test_lines(api: str, arguments: list[Any], result: str, error: str, line: str) -> None:
    assert strace.line(api, arguments, result, error) == line


def analysis(folder: Path, shown: int) -> Path:
    """An analysis of three openat calls of which the report shows the first ones."""
    calls = [
        Event(
            seq=number, kind="syscall", time_ns=number, pid=5, tid=5, comm="x", api="openat", ret=3, ret_text="3",
            args={"dirfd": "AT_FDCWD", "pathname": f"/tmp/{number}", "flags": "O_RDONLY", "mode": "0"},
        )
        for number in range(3)
    ]  # fmt: skip
    write(calls, folder / "events.parquet")
    listed = [
        {"api": call.api, "arguments": call.args, "return_value": call.ret_text, "status": ""} for call in calls[:shown]
    ]
    process = {"calls": listed, "images": [{"path": "/bin/x", "command_line": "x -y"}], "exit_signal": 9}
    (folder / "report.json").write_text(json.dumps({"behavior": {"processes": [process]}}))
    return folder


def test_what_the_report_shows_is_told_from_what_the_trace_holds(tmp_path: Path) -> None:
    wanted = [
        Expectation(r'openat\(.*"/tmp/\d"', 3),
        Expectation(r'execve\("/bin/x"', 1),
        Expectation("nothing", 1),
        Expectation("killed by SIGKILL", 1),
    ]
    found = programs.check(analysis(tmp_path, 2), wanted)
    assert [(one.in_report, one.in_trace) for one in found] == [(2, 3), (1, 0), (0, 0), (1, 0)]
    assert [(one.reported, one.traced) for one in found] == [
        (False, True),
        (True, False),
        (False, False),
        (True, False),
    ]
    assert Finding(wanted[0], 3, 3).reported


def test_programs_and_their_outcome(tmp_path: Path) -> None:
    rows = [
        {
            "id": name, "package": "p", "binary": f"/bin/{name}", "command": "x", "expect": "",
            "strace_checks": [{"regex": "openat", "min": 3, "ok": True}, {"regex": "never", "ok": False}],
        }
        for name in ("one", "two")
    ]  # fmt: skip
    material = tmp_path / "public.jsonl"
    material.write_text("\n".join(map(json.dumps, rows)))
    listed = programs.programs(material)
    assert [(program.name, len(program.expectations)) for program in listed] == [("one", 1), ("two", 1)]
    (tmp_path / "7").mkdir()
    assert programs.outcome([(listed[0], analysis(tmp_path / "7", 3)), (listed[1], None)]) == {
        "found": {"found": 1, "of": 1, "percent": 100.0}, "in_traces": 1, "missing": [], "not_run": ["two"],
        "absent": ["one (package p)"],
    }  # fmt: skip


def test_a_program_that_never_started(tmp_path: Path) -> None:
    folder = analysis(tmp_path, 1)
    assert [programs.started(folder, binary) for binary in ("/usr/bin/x", "/bin/y", "/bin/-y")] == [True, False, False]


def test_without_the_material_there_are_no_programs(tmp_path: Path) -> None:
    assert programs.programs(tmp_path / "none.jsonl") == []
