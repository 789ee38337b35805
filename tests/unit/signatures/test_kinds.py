"""Kinds of rules: what packages bring is not counted, what the system does is not, and what must come often."""

from __future__ import annotations

import json

from malkoha.model.event import Event
from malkoha.model.matches import Match
from malkoha.signatures.base import Evidence, Scene
from malkoha.signatures.judging import judge
from malkoha.signatures.kinds import Installed, OfSample, Often, Wanted
from malkoha.signatures.paths import table
from malkoha.trace import stap
from malkoha.trace.processes import Builder
from malkoha.trace.store import Row


class _Brought(Installed):
    name = "brought"
    description = "test"
    severity = 1
    attack = ("T1082",)
    paths = table("/etc/x")
    programs = frozenset({"id"})


class _Own(OfSample):
    name = "own"
    description = "test"
    severity = 1
    attack = ("T1082",)
    paths = table("/etc/x")


class _Secret(Wanted):
    name = "secret"
    description = "test"
    severity = 1
    attack = ("T1082",)
    paths = table("/root/.secret/key")
    access = frozenset({"read"})


class _Thrice(Often):
    name = "thrice"
    description = "test"
    severity = 1
    attack = ("T1082",)
    syscalls = frozenset({"getpid"})
    times = 3

    def on_event(self, event: Event, scene: Scene) -> Evidence | None:
        return Evidence(event.api, "call") if self.reached(scene.key) else None


_WRITES = 'sh[5] openat(AT_FDCWD, "/etc/x", O_WRONLY|O_CREAT, 0644) = 3'


def _matches(*lines: str) -> list[Match]:
    builder, rows = Builder(), []
    for number, line in enumerate(lines):
        comm, _, rest = line.partition("[")
        event = stap.parse_line(f"Mon Nov 23 21:00:00 2026.000000 {comm}@1[{rest}\n".encode(), number)
        process = builder.feed(event)
        rows.append(Row(process.key, process.calls - 1, event))
    found, errors = judge(rows, builder.finish(), {}, [_Brought, _Own, _Secret, _Thrice])
    assert errors == []
    return found


def test_what_a_package_brings_is_not_counted() -> None:
    dpkg = 'dpkg[5] execve("/usr/bin/dpkg", ["dpkg", "-i", "x.deb"], []) = 0'
    runs = 'sh[7] execve("/usr/bin/id", ["id"], []) = 0'
    assert [match.name for match in _matches(_WRITES, runs)] == ["brought", "own"]
    assert _matches(dpkg, _WRITES) == []
    child = 'id[6] execve("/usr/bin/id", ["id"], []) = 0'
    assert _matches(dpkg, "dpkg[5] clone(SIGCHLD, 0, 0, 0, 0) = 6", child) == []


def test_what_a_program_of_the_system_does_is_not_counted() -> None:
    cat = 'cat[5] execve("/usr/bin/cat", ["cat"], []) = 0'
    assert [match.name for match in _matches(cat, _WRITES)] == ["brought"]


def test_often_means_by_one_process_and_once() -> None:
    assert _matches(*["x[5] getpid() = 5"] * 2, *["x[6] getpid() = 6"] * 2) == []
    assert [match.markcount for match in _matches(*["x[5] getpid() = 5"] * 9)] == [1]


def test_a_backup_does_not_want_what_lies_on_its_way() -> None:
    opens = 'x[5] openat(AT_FDCWD, "/root/.secret/key", O_RDONLY) = 3'

    def run(*words: str) -> str:
        return f'x[5] execve("/usr/bin/{words[0]}", [{", ".join(map(json.dumps, words))}], [])'

    for words, found in (
        (("tar", "cf", "a.tar", "/root"), 0),
        (("tar", "cf", "a.tar", "/root/.secret"), 1),
        (("cp", "/root/.secret/key", "/tmp"), 1),
        (("cat", "whatever"), 1),
    ):
        assert len(_matches(run(*words), opens)) == found, words
