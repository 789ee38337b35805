"""The summary: each category, relative paths, noise, bounds."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from malkoha.model.event import Event
from malkoha.model.process import Process
from malkoha.processing import summary
from malkoha.processing.summary import Summary
from malkoha.trace import stap
from malkoha.trace.processes import Builder
from malkoha.trace.store import Row

HELLO = Path(__file__).parents[2] / "data" / "traces" / "helloworld.stap"


def summarise(*calls: str) -> dict[str, list[Any]]:
    found = Summary([Process(key=0, pid=5)])
    for number, call in enumerate(calls):
        event = stap.parse_line(f"Mon Nov 23 21:00:00 2026.000000 x@1[5] {call}\n".encode(), number)
        assert event.kind == "syscall", call
        found.feed(Row(0, number, event))
    return found.total()


@pytest.mark.parametrize(
    ("calls", "expected"),
    [
        (['open("/a", O_RDONLY) = 3', "read(3, 0x1, 9) = 9"], {"file_opened": ["/a"], "file_read": ["/a"]}),
        (
            ['openat(AT_FDCWD, "/a", O_WRONLY|O_CREAT|O_TRUNC, 0644) = 3', 'write(3, "x", 1) = 1', "close(3) = 0"],
            {"file_opened": ["/a"], "file_created": ["/a"], "file_written": ["/a"]},
        ),
        (['open("/a", O_RDONLY) = -2 (ENOENT)'], {"file_failed": ["/a"]}),
        (['chdir("/w") = 0', 'unlink("a") = 0', 'unlinkat(AT_FDCWD, "b", 0) = 0'], {"file_deleted": ["/w/a", "/w/b"]}),
        (['rename("/a", "/b") = 0'], {"file_moved": [["/a", "/b"]]}),
        (['renameat2(AT_FDCWD, "/a", AT_FDCWD, "/b", 0) = 0'], {"file_moved": [["/a", "/b"]]}),
        (['mkdir("/d", 0755) = 0', 'rmdir("/e") = 0'], {"directory_created": ["/d"], "directory_removed": ["/e"]}),
        (['unlinkat(AT_FDCWD, "/d", AT_REMOVEDIR) = 0'], {"directory_removed": ["/d"]}),
        (
            ['openat(AT_FDCWD, "/d", O_RDONLY|O_DIRECTORY) = 3', "getdents64(3, 0x1, 32768) = 48"],
            {"directory_enumerated": ["/d"]},
        ),
        (['stat("/a", 0x1) = 0', 'access("/b", F_OK) = -2 (ENOENT)'], {"file_exists": ["/a"]}),
        (['symlink("/target", "/link") = 0'], {"file_created": ["/link"]}),
        (['symlinkat("/target", AT_FDCWD, "/link") = 0'], {"file_created": ["/link"]}),
        (['linkat(AT_FDCWD, "/a", AT_FDCWD, "/b", 0) = 0'], {"file_created": ["/b"]}),
        (
            ['open("/a", O_RDONLY) = 3', 'open("/b", O_WRONLY) = 4', "copy_file_range(3, NULL, 4, NULL, 9, 0) = 9"],
            {"file_opened": ["/a", "/b"], "file_read": ["/a"], "file_written": ["/b"], "file_copied": [["/a", "/b"]]},
        ),
        (['execve("/bin/x", ["x", "-a b"], [])'], {"command_line": ["x -a b"]}),
        (['execve("/bin/x", ["x"], []) = -2 (ENOENT)'], {"file_failed": ["/bin/x"]}),
        (["connect(3, {AF_INET, 10.0.0.1, 80}, 16) = 0"], {"connects_ip": ["10.0.0.1"]}),
        (['connect(3, {AF_UNIX, "/run/x"}, 9) = 0'], {}),
        (["write(1, 0x1, 9) = 9", "read(0, 0x1, 9) = 0"], {}),
        (['open("/lib/x86_64-linux-gnu/libc.so.6", O_RDONLY) = 3', "read(3, 0x1, 9) = 9"],
         {"dll_loaded": ["/lib/x86_64-linux-gnu/libc.so.6"]}),
        (['open("/etc/ld.so.preload", O_RDONLY) = 3', 'open("/dev/null", O_WRONLY|O_CREAT|O_TRUNC) = 4'], {}),
        (
            ['open("/etc/ld.so.preload", O_WRONLY|O_CREAT) = 3', 'write(3, "/x.so", 5) = 5'],
            {"file_created": ["/etc/ld.so.preload"], "file_written": ["/etc/ld.so.preload"]},
        ),
    ],
)  # fmt: skip
def test_categories(calls: list[str], expected: dict[str, list[Any]]) -> None:
    found = summarise(*calls)
    assert {category: entries for category, entries in found.items() if category in summary.CATEGORIES} == expected
    assert set(found) <= {*summary.CATEGORIES, *summary.OWN}


QUERY = "\\x12\\x34\\x01\\x00\\x00\\x01\\x00\\x00\\x00\\x00\\x00\\x00\\x03www\\x03360\\x03com\\x00\\x00\\x01\\x00\\x01"


@pytest.mark.parametrize(
    "calls",
    [
        [
            "socket(AF_INET, SOCK_DGRAM, 0) = 3",
            "connect(3, {AF_INET, 10.0.0.1, 53}, 16) = 0",
            f'write(3, "{QUERY}", 29) = 29',
        ],
        [f'sendto(3, "{QUERY}", 29, MSG_NOSIGNAL, {{AF_INET, 10.0.0.1, 53}}, 16) = 29'],
        [f'sendto(3, "{QUERY}", 29, MSG_NOSIGNAL, NULL, 0) = -111 (ECONNREFUSED)'],
        [f'sendmmsg(3, [{{data="{QUERY}", length=29}}], 1, MSG_NOSIGNAL) = 1'],
        [f'sendmsg(3, {{data="{QUERY}", length=29}}, 0) = 29'],
    ],
)
def test_names_asked_for(calls: list[str]) -> None:
    assert summarise(*calls)["resolves_host"] == ["www.360.com"]


def test_a_query_to_another_port_is_not_a_name() -> None:
    assert summarise(f'sendto(3, "{QUERY}", 29, 0, {{AF_INET, 10.0.0.1, 5353}}, 16) = 29') == {}


def test_helloworld_without_the_launcher() -> None:
    builder = Builder()
    rows = []
    for event in stap.parse(HELLO):
        process = builder.feed(event)
        rows.append(Row(process.key, process.calls - 1, event))
    processes = builder.finish()
    found = Summary(processes)
    for row in rows:
        found.feed(row)
    total = found.total()
    assert total["command_line"] == ["/bin/bash /root/helloworld.sh", "cat /etc/passwd", "ping -c 4 www.360.com"]
    assert total["file_opened"] == ["/root/helloworld.sh", "/etc/passwd", "/etc/resolv.conf"]
    assert (total["resolves_host"], total["connects_ip"]) == (["www.360.com"], ["192.0.2.53"])
    assert total["dll_loaded"] == ["/lib/x86_64-linux-gnu/libc.so.6"]
    assert found.of(2)["file_read"] == ["/etc/passwd"]
    assert found.of(0) == {}


def test_calls_before_the_first_execve_are_the_launchers() -> None:
    found = Summary([Process(key=1, pid=5, setup_calls=1)])
    for number, path in enumerate(("/agent", "/sample")):
        call = stap.parse_line(f'Mon Nov 23 21:00:00 2026.000000 x@1[5] open("{path}", O_RDONLY) = 3\n'.encode())
        found.feed(Row(1, number, call))
    assert found.total() == {"file_opened": ["/sample"]}


def test_exec_events_give_the_command_line() -> None:
    found = Summary([Process(key=0, pid=5)], recorded=True)
    call = 'Mon Nov 23 21:00:00 2026.000000 x@1[5] execve("x", ["x", "cut"], [])\n'
    found.feed(Row(0, 0, stap.parse_line(call.encode())))
    found.feed(Row(0, None, Event(seq=1, kind="exec", time_ns=1, pid=5, tid=5, args={"exe": "/x", "argv": ["x", "y"]})))
    assert found.total() == {"command_line": ["x y"]}


def test_lists_are_bounded_and_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(summary, "LIMIT", 5)
    found = Summary([Process(key=0, pid=5)])
    for number in range(20):
        call = f'Mon Nov 23 21:00:00 2026.000000 x@1[5] unlink("/{number}") = 0\n'
        found.feed(Row(0, number, stap.parse_line(call.encode())))
    assert (len(found.total()["file_deleted"]), found.omitted) == (5, {"file_deleted": 15})


def test_the_size_of_all_entries_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(summary, "TOTAL_BYTES", 1000)
    found = Summary([Process(key=0, pid=5)])
    for number in range(20):
        call = f'Mon Nov 23 21:00:00 2026.000000 x@1[5] unlink("/{number}{"x" * 200}") = 0\n'
        found.feed(Row(0, number, stap.parse_line(call.encode())))
    assert 1 <= len(found.total()["file_deleted"]) < 6
    assert len(found.total()["file_deleted"]) + found.omitted["file_deleted"] == 20


def test_noise_is_kept_apart() -> None:
    found = Summary([Process(key=0, pid=5)])
    calls = ('execve("/bin/sh", ["sh"], [])', 'stat("/usr/bin/id", 0x1) = 0', 'open("/etc/ld.so.cache", O_RDONLY) = 3')
    for number, call in enumerate(calls):
        line = f"Mon Nov 23 21:00:00 2026.000000 x@1[5] {call}\n"
        found.feed(Row(0, number, stap.parse_line(line.encode())))
    assert found.total() == {"command_line": ["sh"]}
    assert found.noise() == {"file_exists": ["/usr/bin/id"], "file_opened": ["/etc/ld.so.cache"]}


def test_cheap_calls_without_end() -> None:
    found = Summary([Process(key=0, pid=5, name="x")])
    found.hammered(0, {"getpid": summary.HAMMERING, "read": 99_999, "time": 3})
    assert found.total()["hammering"] == [{"api": "getpid", "process": "x 0", "calls": summary.HAMMERING}]
