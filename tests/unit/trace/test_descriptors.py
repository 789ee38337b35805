"""Descriptor tables: what a number means after all that happened to it."""

from __future__ import annotations

from typing import Any

import pytest

from malkoha.model.event import Event
from malkoha.model.process import Process
from malkoha.trace import stap
from malkoha.trace.descriptors import Behind, Endpoint, Tables, endpoint, number
from malkoha.trace.world import MAX_DESCRIPTORS


def feed(tables: Tables, key: int, *calls: str) -> None:
    for call in calls:
        event = stap.parse_line(f"Mon Nov 23 21:00:00 2026.000000 x@1[5] {call}\n".encode())
        assert event.kind == "syscall", call
        tables.feed(key, event)


@pytest.fixture
def tables() -> Tables:
    parent = Process(key=0, pid=5, children=[1])
    return Tables([parent, Process(key=1, pid=6, parent=0)])


def path(tables: Tables, fd: int, key: int = 0) -> str | None:
    item = tables.descriptor(key, fd)
    return item.path if item else None


def test_paths_follow_the_working_directory(tables: Tables) -> None:
    assert tables.resolve(0, "a") == "a"
    feed(tables, 0, 'chdir("/srv/x") = 0', 'chdir("../y") = 0', 'chdir("/none") = -2 (ENOENT)')
    assert (tables.cwd(0), tables.resolve(0, "./a//b")) == ("/srv/y", "/srv/y/a/b")
    assert tables.resolve(0, "//etc/../a") == "/a"
    feed(tables, 0, 'openat(AT_FDCWD, "/opt", O_RDONLY|O_DIRECTORY) = 3', "fchdir(3) = 0")
    assert (tables.cwd(0), tables.resolve(0, "b", "3"), tables.resolve(0, "b", "9")) == ("/opt", "/opt/b", "b")


@pytest.mark.parametrize(
    ("call", "fd", "target"),
    [
        ('open("/a", O_RDONLY) = 3', 3, "/a"),
        ('creat("/a", 0644) = 3', 3, "/a"),
        ('openat2(AT_FDCWD, "/a", {flags=O_RDONLY|O_CLOEXEC, mode=0, resolve=0x0}, 24) = 3', 3, "/a"),
        ('open("/a", O_RDONLY) = -2 (ENOENT)', 3, None),
        ("open(0x7f00, O_RDONLY) = 3", 3, ""),
        ('memfd_create("x", 0) = 4', 4, "/memfd:x"),
    ],
)
def test_what_opens(tables: Tables, call: str, fd: int, target: str | None) -> None:
    feed(tables, 0, call)
    assert path(tables, fd) == target


def test_duplicates_and_closing(tables: Tables) -> None:
    feed(tables, 0, 'open("/a", O_RDONLY) = 3', "dup(3) = 4", "dup2(3, 7) = 7", "fcntl(3, F_DUPFD, 0x64) = 100")
    assert [path(tables, fd) for fd in (3, 4, 7, 100)] == ["/a"] * 4
    feed(tables, 0, "close(3) = 0", "dup2(50, 7) = 7", "close(100) = -9 (EBADF)")
    assert [path(tables, fd) for fd in (3, 4, 7, 100)] == [None, "/a", None, "/a"]
    feed(tables, 0, "close_range(3, 4294967295, 0) = 0")
    assert [path(tables, fd) for fd in (4, 100)] == [None, None]


def test_execve_closes_what_is_marked(tables: Tables) -> None:
    feed(
        tables, 0, 'open("/keep", O_RDONLY) = 3', 'open("/gone", O_RDONLY|O_CLOEXEC) = 4', 'open("/set", O_RDONLY) = 5'
    )
    feed(
        tables,
        0,
        "fcntl(5, F_SETFD, 0x1) = 0",
        'open("/late", O_RDONLY) = 6',
        "close_range(6, 6, CLOSE_RANGE_CLOEXEC) = 0",
    )
    feed(tables, 0, 'execve("/bin/x", ["x"], []) = -13 (EACCES)')
    assert (tables.exe(0), path(tables, 4)) == ("", "/gone")
    feed(tables, 0, 'execve("/bin/x", ["x"], [])')
    assert (tables.exe(0), [path(tables, fd) for fd in (3, 4, 5, 6)]) == ("/bin/x", ["/keep", None, None, None])


def test_exec_events_tell_path_and_folder(tables: Tables) -> None:
    exec_event = Event(seq=1, kind="exec", time_ns=1, pid=5, tid=5, args={"exe": "/bin/y", "cwd": "/root"})
    tables.feed(0, exec_event)
    assert (tables.exe(0), tables.cwd(0)) == ("/bin/y", "/root")


def test_a_child_has_a_copy_from_the_moment_of_the_fork(tables: Tables) -> None:
    feed(tables, 0, 'chdir("/w") = 0', 'open("a", O_RDONLY) = 3')
    tables.feed(0, Event(seq=1, kind="fork", time_ns=1, pid=5, tid=5, args={"child_pid": 6, "child_tid": 6}))
    feed(tables, 0, "close(3) = 0")
    assert (path(tables, 3, key=1), tables.cwd(1), path(tables, 3)) == ("/w/a", "/w", None)
    feed(tables, 1, "fcntl(3, F_SETFD, FD_CLOEXEC) = 0")
    assert path(tables, 3) is None


def test_sockets_and_pipes(tables: Tables) -> None:
    feed(tables, 0, "socket(AF_INET, SOCK_STREAM|SOCK_CLOEXEC, 0) = 3", "connect(3, {AF_INET, 10.0.0.1, 80}, 16) = 0")
    item = tables.descriptor(0, 3)
    assert item is not None
    assert (item.kind, item.family, item.flags) == ("socket", "AF_INET", "SOCK_STREAM|SOCK_CLOEXEC")
    assert (item.peer, str(item.endpoint)) == (Endpoint("AF_INET", "10.0.0.1", 80), "10.0.0.1:80")
    feed(
        tables,
        0,
        "accept4(3, {sa_family=AF_INET, sin_port=9, sin_addr=10.0.0.2}, 0x1, 0) = 4",
        "pipe2({a=5, b=6}, 0) = 0",
    )
    accepted = tables.descriptor(0, 4)
    assert accepted is not None
    assert accepted.peer == Endpoint("AF_INET", "10.0.0.2", 9)
    assert [item.kind for fd in (5, 6) if (item := tables.descriptor(0, fd))] == ["pipe", "pipe"]
    feed(tables, 0, "socketpair(AF_UNIX, SOCK_STREAM, 0, [7, 8]) = 0", "pipe(0x7fff) = 0", "connect(77, [], 0) = 0")
    assert [item.kind for fd in (7, 8) if (item := tables.descriptor(0, fd))] == ["socket", "socket"]


def fork(tables: Tables, pid: int = 6, *, key: int = 0, seq: int = 1) -> None:
    tables.feed(key, Event(seq=seq, kind="fork", time_ns=1, pid=5, tid=5, args={"child_pid": pid, "child_tid": pid}))


def test_a_shell_pipe_tells_what_feeds_whom() -> None:
    shell = Process(key=0, pid=5, children=[1, 2])
    tables = Tables([shell, Process(key=1, pid=6, parent=0), Process(key=2, pid=7, parent=0)])
    feed(tables, 0, "pipe([3, 4]) = 0")
    fork(tables, 6)
    fork(tables, 7)
    feed(tables, 1, "dup2(4, 1) = 1", "close(3) = 0", "close(4) = 0")
    feed(tables, 2, "dup2(3, 0) = 0", "close(3) = 0", "close(4) = 0")
    feed(tables, 0, "close(3) = 0", "close(4) = 0")
    for key, name in ((1, "curl"), (2, "sh")):
        args = {"exe": f"/usr/bin/{name}", "argv": [name, "-s"]}
        tables.feed(key, Event(seq=9, kind="exec", time_ns=1, pid=5, tid=5, args=args))
    assert tables.behind(2, 0) == Behind("processes", processes=(1,))
    assert tables.behind(1, 1) == Behind("processes", processes=(2,))
    assert (tables.exe(1), tables.argv(1)) == ("/usr/bin/curl", ["curl", "-s"])
    first, second = tables.descriptor(1, 1), tables.descriptor(2, 0)
    assert first is not None
    assert second is not None
    assert (first.object, first.end, second.end, first.other) == (second.object, "write", "read", second)
    assert tables.behind(2, 9) == Behind("unknown")


def test_relatives_that_hold_the_other_end_stand_in_while_nobody_used_it(tables: Tables) -> None:
    feed(tables, 0, "pipe([3, 4]) = 0")
    fork(tables)
    feed(tables, 1, "close(4) = 0")
    assert tables.behind(1, 3) == Behind("processes", processes=(0,))


def test_a_connection_and_a_file_stand_behind_standard_input(tables: Tables) -> None:
    feed(
        tables,
        0,
        "socket(AF_INET, SOCK_STREAM, 0) = 3",
        "connect(3, {AF_INET, 10.0.0.1, 80}, 16) = 0",
        "dup2(3, 0) = 0",
    )
    assert tables.behind(0, 0) == Behind("connection", endpoint=Endpoint("AF_INET", "10.0.0.1", 80))
    feed(tables, 0, 'open("/a", O_RDONLY) = 5', "dup2(5, 0) = 0")
    assert tables.behind(0, "0") == Behind("file", "/a")


def test_what_clone_shares(tables: Tables) -> None:
    feed(tables, 0, 'chdir("/w") = 0', "clone(CLONE_FILES|CLONE_FS|SIGCHLD, 0, 0, 0, 0) = 6")
    feed(tables, 1, 'open("/a", O_RDONLY) = 3', 'chdir("/x") = 0')
    assert (path(tables, 3), tables.cwd(0)) == ("/a", "/x")
    feed(tables, 1, "unshare(CLONE_FILES|CLONE_FS) = 0", "close(3) = 0", 'chdir("/y") = 0')
    assert (path(tables, 3), path(tables, 3, key=1), tables.cwd(0)) == ("/a", None, "/x")


def test_the_flags_of_a_clone_are_kept_for_its_fork_event(tables: Tables) -> None:
    tables.feed(0, Event(seq=1, kind="exec", time_ns=1, pid=5, tid=5, args={"exe": "/x", "argv": ["x"]}))
    feed(tables, 0, "clone3({flags=CLONE_FILES|CLONE_VM, exit_signal=SIGCHLD}, 88) = 6")
    fork(tables)
    feed(tables, 1, 'open("/a", O_RDONLY) = 3')
    assert path(tables, 3) == "/a"
    feed(tables, 1, "clone(CLONE_FILES, 0, 0, 0, 0) = -11 (EAGAIN)")
    tables.feed(1, Event(seq=4, kind="exec", time_ns=1, pid=6, tid=6, args={"exe": "/y", "argv": ["y"]}))
    feed(tables, 1, "close(3) = 0")
    assert path(tables, 3) == "/a"


def test_an_adopted_process_keeps_its_descriptors(tables: Tables) -> None:
    feed(tables, 0, 'open("/a", O_RDONLY|O_CLOEXEC) = 3')
    args = {"exe": "/usr/sbin/cron", "argv": ["cron", "-f"], "cwd": "/"}
    tables.feed(0, Event(seq=4, kind="adopt", time_ns=1, pid=5, tid=5, args=args))
    assert (tables.exe(0), tables.argv(0), tables.cwd(0), path(tables, 3)) == (
        "/usr/sbin/cron",
        ["cron", "-f"],
        "/",
        "/a",
    )


def test_the_end_of_a_process_closes_its_descriptors(tables: Tables) -> None:
    feed(tables, 0, 'open("/a", O_RDONLY) = 3')
    tables.feed(0, Event(seq=4, kind="exit", time_ns=1, pid=5, tid=5, args={"code": "0", "group": False}))
    assert path(tables, 3) == "/a"
    tables.feed(0, Event(seq=5, kind="exit", time_ns=1, pid=5, tid=5, args={"code": "0", "group": True}))
    assert path(tables, 3) is None


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ({"sa_family": "AF_INET", "sin_addr": "1.2.3.4", "sin_port": "53"}, Endpoint("AF_INET", "1.2.3.4", 53)),
        ({"sa_family": "AF_INET6", "sin6_addr": "::1", "sin6_port": "53"}, Endpoint("AF_INET6", "::1", 53)),
        ({"sa_family": "AF_UNIX", "sun_path": "/run/x"}, Endpoint("AF_UNIX", "/run/x")),
        (["AF_INET", "1.2.3.4", "53"], Endpoint("AF_INET", "1.2.3.4", 53)),
        (["AF_UNIX", "/run/x"], Endpoint("AF_UNIX", "/run/x")),
        ("{AF_INET6 ::1 53}", Endpoint("AF_INET6", "::1", 53)),
        ("0x7fff1234", None),
        ([], None),
        ("NULL", None),
    ],
)
def test_endpoints_of_either_engine(value: Any, expected: Endpoint | None) -> None:
    assert endpoint(value) == expected


def test_tables_are_bounded(tables: Tables) -> None:
    for fd in range(MAX_DESCRIPTORS + 100):
        feed(tables, 0, f'open("/a", O_RDONLY) = {fd}')
    assert path(tables, MAX_DESCRIPTORS - 1) == "/a"
    assert path(tables, MAX_DESCRIPTORS + 1) is None


def test_numbers() -> None:
    assert [number(value) for value in ("3", "-100", "AT_FDCWD", "", 4, "99999999999999")] == [
        3,
        -100,
        None,
        None,
        4,
        9999999999,
    ]
