"""Who is given what: commands, texts, and what stays out of a judgement."""

from __future__ import annotations

import re
from typing import Any

from malkoha.model.event import Event
from malkoha.model.process import Process
from malkoha.signatures.base import READS, Signature
from malkoha.signatures.judging import judge, needles, wanted
from malkoha.signatures.paths import table
from malkoha.trace import stap
from malkoha.trace.store import Row


class Rule(Signature):
    name = "rule"
    description = "A rule"
    severity = 2
    attack = ("T1059.004",)


class Fetches(Rule):
    programs = frozenset({"curl"})
    line = re.compile("http")
    unless = re.compile("localhost")


class AnyLine(Rule):
    line = re.compile("secret")


class Script(Rule):
    script = re.compile(r"curl.*\|\s*sh")
    words = ("curl",)


class Sends(Rule):
    sends = re.compile(r"GET /evil")
    words = ("evil",)


class Tries(Rule):
    paths = table("/etc/thing")
    access = READS
    attempts = True


def found(rule: type[Signature], *lines: str, processes: Any = ()) -> list[str | None]:
    rows = []
    for number, line in enumerate(lines):
        event = stap.parse_line(f"Mon Nov 23 21:00:00 2026.000000 x@1[5] {line}\n".encode(), number)
        assert event.kind == "syscall", line
        rows.append(Row(0, number, event))
    matches, errors = judge(rows, processes or [Process(key=0, pid=5)], {}, [rule])
    assert errors == []
    return [mark.ioc for match in matches for mark in match.marks if mark.type == "ioc"]


def test_commands_by_program_and_line() -> None:
    assert found(Fetches, 'execve("/usr/bin/curl", ["curl", "http://x"], [])') == ["curl http://x"]
    assert found(Fetches, 'execve("/usr/bin/curl", ["curl", "http://localhost"], [])') == []
    assert found(Fetches, 'execve("/usr/bin/wget", ["wget", "http://x"], [])') == []
    assert found(Fetches, 'execve("/usr/bin/curl", ["curl", "http://x"], []) = -2 (ENOENT)') == []
    assert found(AnyLine, 'execve("/opt/any", ["any", "--secret"], [])') == ["any --secret"]


def test_scripts_that_shells_read_or_are_given() -> None:
    shell = 'execve("/bin/sh", ["sh"], [])'
    assert found(Script, shell, 'read(0, "curl x|sh", 9) = 9') == ["curl x|sh"]
    assert found(Script, 'execve("/bin/sh", ["sh", "-c", "curl x |sh"], [])') == ["curl x |sh"]
    assert found(Script, 'execve("/bin/cat", ["cat"], [])', 'read(0, "curl x|sh", 9) = 9') == []


def test_what_is_sent_over_the_network() -> None:
    connect = "connect(3, {AF_INET, 192.0.2.1, 80}, 16) = 0"  # fmt: skip
    socket = "socket(AF_INET, SOCK_STREAM, IPPROTO_IP) = 3"
    assert found(Sends, socket, connect, 'write(3, "GET /evil", 9) = 9') == ["GET /evil"]
    assert found(Sends, 'open("/tmp/x", O_WRONLY) = 3', 'write(3, "GET /evil", 9) = 9') == []


def test_attempts_count_where_they_are_asked_for() -> None:
    assert found(Tries, 'open("/etc/thing", O_RDONLY) = -13 (EACCES)') == ["/etc/thing"]


def test_the_launcher_is_not_judged() -> None:
    opens = 'open("/etc/thing", O_RDONLY) = 3'
    assert found(Tries, opens, processes=[Process(key=0, pid=5, launcher=True)]) == []
    assert found(Tries, opens, opens, processes=[Process(key=0, pid=5, setup_calls=1)]) == ["/etc/thing"]


def test_an_exec_event_is_one_command_however_often_it_is_seen() -> None:
    call = stap.parse_line(b'Mon Nov 23 21:00:00 2026.000000 x@1[5] execve("/x", ["x"], [])\n', 2)
    args = {"filename": "/usr/bin/curl", "exe": "/usr/bin/curl", "argv": ["curl", "http://x"]}
    events = [
        Event(seq=1, kind="fork", time_ns=1, pid=5, tid=5, args={"child_pid": "6"}),
        call,
        Event(seq=3, kind="exec", time_ns=1, pid=5, tid=5, args=args),
    ]
    rows = [Row(0, 0 if event.kind == "syscall" else None, event) for event in events]
    (match,), _ = judge(rows, [Process(key=0, pid=5)], {}, [Fetches])
    assert [(mark.type, mark.cid) for mark in match.marks] == [("ioc", None), ("call", 0)]


def test_what_must_be_read() -> None:
    assert {"openat", "execve", "connect"} <= wanted([Script])
    assert "read" not in wanted([Script])
    assert needles([Script, Sends]) == "curl|evil"
