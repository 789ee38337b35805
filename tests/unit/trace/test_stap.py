"""The text form: what real and hostile logs mean, and that what is written is read back."""

from __future__ import annotations

import json
import tracemalloc
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from malkoha.errors import TraceError
from malkoha.trace import processes, stap
from tests.evaluation import STAP, needs_stap

DATA = Path(__file__).parents[2] / "data" / "traces"
FUZZ = DATA.parent / "fuzz" / "log"


def line(call: str, comm: str = "sh", tid: int = 820) -> bytes:
    return f"Mon Aug 28 14:29:32 2017.619054 {comm}@b77a2cf9[{tid}] {call}\n".encode()


def args(call: str) -> list[Any]:
    return list(stap.parse_line(line(call)).args.values())


def test_a_whole_line() -> None:
    event = stap.parse_line(line('access("/etc/x", F_OK) = -2 (ENOENT)'), seq=7)
    assert (event.seq, event.kind, event.tid, event.pid, event.comm, event.ip) == (
        7,
        "syscall",
        820,
        820,
        "sh",
        0xB77A2CF9,
    )
    assert (event.api, event.args) == ("access", {"p0": "/etc/x", "p1": "F_OK"})
    assert (event.ret, event.ret_text, event.errno) == (-2, "-2", "ENOENT")
    assert event.time_ns == 1503930572_619054000
    assert event.raw == line('access("/etc/x", F_OK) = -2 (ENOENT)').decode()


@pytest.mark.parametrize(
    ("call", "expected"),
    [
        ("getpid() = 5", []),
        ('write(1, "a\\tb\\n\\x28\\x29", 5) = 5', ["1", "a\tb\n()", "5"]),
        ('execve("/x", ["a\\x2cb", "c\\x5d"], []) = -2 (ENOENT)', ["/x", ["a,b", "c]"], []]),
        ('open("/tmp/\\xc4", O_RDONLY) = 3', ["/tmp/Ä", "O_RDONLY"]),
        ('open("/tmp/\\xc3\\xa4", O_RDONLY) = 3', ["/tmp/ä", "O_RDONLY"]),
        ('open("/a"..., O_RDONLY) = 3', ["/a...", "O_RDONLY"]),
        ('open("/a, b", O_RDONLY) = 3', ["/a, b", "O_RDONLY"]),
        ('open("a\\\\b\\"c", 0) = 3', ['a\\b"c', "0"]),
        ("f({a=1, b=[2, 3], c={d=4}}) = 0", [{"a": "1", "b": ["2", "3"], "c": {"d": "4"}}]),
        ("f({0x1, SA_RESTORER, 0x2, [SIGHUP|SIGINT]}, 8) = 0", [["0x1", "SA_RESTORER", "0x2", ["SIGHUP|SIGINT"]], "8"]),
        ("f({NULL}, {}, []) = 0", [["NULL"], {}, []]),
        ('f({"a=b"}, ["x=y"]) = 0', [["a=b"], ["x=y"]]),
        ("f({a=1, 2}) = 0", [["a=1", "2"]]),
        ('execve("/x", ["PWD=/tm)', ["/x", ["PWD=/tm"]]),
        ("f({1, [SIGHUP|SI) = 0", [["1", ["SIGHUP|SI"]]]),
        ("f([" * 40 + "])" + " = 0", None),
    ],
)
def test_arguments(call: str, expected: list[Any] | None) -> None:
    found = args(call)
    if expected is not None:
        assert found == expected


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("0xb7764000", 0xB7764000),
        ("-2118402048", -2118402048),
        ("0xffffffffffffffff", -1),
        ("?", None),
        ("9" * 30, None),
    ],
)
def test_return_values_keep_their_text(text: str, number: int | None) -> None:
    event = stap.parse_line(line(f"brk(0x0) = {text}"))
    assert (event.ret, event.ret_text, event.errno) == (number, text, "")


def test_a_call_without_a_return() -> None:
    event = stap.parse_line(line("exit_group(0)"))
    assert (event.args, event.ret, event.ret_text) == ({"p0": "0"}, None, "")


def test_hostile_lines() -> None:
    counts = stap.Counts()
    events = list(stap.parse(DATA / "hostile.stap", counts))
    assert (counts.lines, counts.unknown, counts.cut) == (9, 4, 0)
    assert [event.kind for event in events].count("unknown") == 4
    forged, pam = events[:2]
    assert (forged.comm, forged.tid, forged.api) == ("a@1[2] open(", 900, "close")
    assert (pam.comm, pam.api, pam.args["p1"], pam.ret) == ("(sd-pam)", "write", "x) = 5 (EPERM", 3)
    assert events[2].raw == "WARNING: Number of errors: 0, skipped probes: 12\n"
    assert events[5].comm == "café"
    assert events[5].args["p0"] == "/tmp/éÄ\0A"
    assert events[6].args == {"p0": "/bin/x", "p1": ["a", "b, c", "PWD=/tm"]}
    assert events[8].raw == 'Mon Nov 23 21:00:01 2026.000007 sh@7f12ab34cd56[906] openat(AT_FDCWD, "/etc/pass'


@given(st.binary(max_size=300))
def test_no_line_raises(data: bytes) -> None:
    event = stap.parse_line(data)
    assert event.kind == "unknown"
    assert event.raw is not None


@given(st.text(alphabet='()[]{}",= \\x2a|\n\0é', max_size=80))
def test_no_arguments_raise(text: str) -> None:
    data = line(f"call({text}) = 0").replace(b"\n", b" ") + b"\n"
    assert stap.parse_line(data).kind == "syscall"


def test_long_lines_are_cut_in_bounded_memory(tmp_path: Path) -> None:
    path = tmp_path / "long.stap"
    with path.open("wb") as file:
        file.write(line("getpid() = 1"))
        for _ in range(40):
            file.write(b"x" * (1 << 20))
        file.write(b"\n" + line("getpid() = 2"))
    counts = stap.Counts()
    tracemalloc.start()
    events = list(stap.parse(path, counts))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert [(event.kind, event.ret) for event in events] == [("syscall", 1), ("unknown", None), ("syscall", 2)]
    assert (counts.lines, counts.unknown, counts.cut) == (3, 1, 1)
    assert len(events[1].raw or "") == stap.MAX_RAW
    assert peak < 40 << 20


def test_a_missing_log_is_one_error(tmp_path: Path) -> None:
    with pytest.raises(TraceError, match=r"cannot read the trace none\.stap"):
        list(stap.parse(tmp_path / "none.stap"))


# ------------------------------------------------------------------------------------------------- Cuckoo's own logs


@needs_stap
def test_the_log_of_cuckoos_tests() -> None:
    expected = json.loads((STAP / "expected_log.json").read_text())
    found = list(stap.parse(STAP / "log.stap"))
    assert len(found) == len(expected) == 18
    for event, wanted in zip(found, expected, strict=True):
        arguments = wanted["arguments"]
        if wanted["api"] == "rt_sigaction":  # Cuckoo keeps the bracket that closes the list: not copied
            arguments["p1"][3][0] = arguments["p1"][3][0].removesuffix("]")
        assert event.args == arguments
        assert event.raw == wanted["raw"]
        assert datetime.fromtimestamp(event.time_ns / 1e9, UTC).replace(tzinfo=None).isoformat() == wanted["time"]
        assert (event.api, event.ret_text, event.errno) == (wanted["api"], wanted["return_value"], wanted["status"])
        assert (event.comm, event.tid, f"{event.ip:x}") == (
            wanted["process_name"],
            wanted["pid"],
            wanted["instruction_pointer"],
        )


@needs_stap
def test_every_line_of_the_long_log_is_understood_and_written_again() -> None:
    counts = stap.Counts()
    for event in stap.parse(STAP / "log_full.stap", counts):
        again = stap.parse_line(stap.write_line(event).encode())
        assert (again.api, again.args, again.ret, again.tid) == (event.api, event.args, event.ret, event.tid)
    assert (counts.lines, counts.unknown) == (1151, 0)


def test_a_log_with_each_peculiarity_of_the_grammar() -> None:
    counts = stap.Counts()
    events = list(stap.parse(FUZZ / "grammar.stap", counts))
    assert (counts.lines, counts.unknown) == (17, 0)
    assert events[0].args == {
        "p0": "/usr/bin/dash", "p1": ["dash", "-c", "/srv/job,one]"], "p2": ["LANG=C", "MARK=a,b"]
    }  # fmt: skip
    assert [(event.ret_text, event.errno) for event in events[:3]] == [("-2", "ENOENT"), ("", ""), ("-2140000000", "")]
    assert events[3].args == {"p0": "/etc/ld.so.preload", "p1": "R_OK"}
    assert (events[4].args["p2"], events[4].ret_text) == ("PROT_READ|PROT_WRITE", "0xf7600000")
    assert events[7].args["p1"] == "root\n"
    assert events[8].args == {"p0": "2", "p1": "version 1.2 (build 7), part", "p2": "300"}
    assert events[9].args["p0"] == "/tmp/café-Ä"
    assert events[10].args["p0"]["useable"] == "1"
    assert events[11].args["p1"] == ["0x1000", "SA_RESTORER", "0x2000", ["SIGHUP|SIGINT|SIGSYS"]]
    assert events[12].args["p0"] == {"uptime": "-5", "loads": ["0", "1", "2"], "procs": "7"}
    assert events[14].time_ns < events[13].time_ns
    assert (events[15].args, events[15].ret_text) == ({}, "511")
    made = processes.build(events)
    assert [(process.pid, process.name, process.command_line, process.exit_code) for process in made] == [
        (510, "dash", "dash -c /srv/job", 3), (511, "id", "id -un", 0)
    ]  # fmt: skip
    assert made[1].parent == made[0].key


def test_a_line_of_a_megabyte_is_read_whole(tmp_path: Path) -> None:
    path = tmp_path / "long.stap"
    path.write_bytes(line('write(1, "' + "\\x41" * 260_000 + '", 260000) = 260000') + line("close(1) = 0"))
    first, second = stap.parse(path)
    assert (first.args["p1"], first.ret, second.api) == ("A" * 260_000, 260_000, "close")
