"""Descriptors of every kind, and the paths that lead to descriptors."""

from __future__ import annotations

import pytest

from malkoha.model.process import Process
from malkoha.trace.descriptors import Tables
from tests.unit.trace.test_descriptors import feed, path


@pytest.fixture
def tables() -> Tables:
    return Tables([Process(key=0, pid=5, children=[1]), Process(key=1, pid=6, parent=0)])


@pytest.mark.parametrize(
    ("call", "kind"),
    [
        ("epoll_create1(0) = 3", "epoll"),
        ("eventfd2(0, 0) = 3", "eventfd"),
        ("timerfd_create(CLOCK_MONOTONIC, 0) = 3", "timerfd"),
        ("signalfd4(-1, [INT], 8, 0) = 3", "signalfd"),
        ("inotify_init1(0) = 3", "inotify"),
        ("io_uring_setup(8, 0x1) = 3", "io_uring"),
        ("pidfd_open(6, 0) = 3", "pidfd"),
        ("bpf(BPF_PROG_LOAD, 0x1, 128) = 3", "bpf"),
        ('mq_open("q", O_RDWR, 0, 0) = 3', "other"),
    ],
)
def test_kinds(tables: Tables, call: str, kind: str) -> None:
    feed(tables, 0, call)
    item = tables.descriptor(0, 3)
    assert item is not None
    assert item.kind == kind


def test_a_bpf_command_that_makes_nothing(tables: Tables) -> None:
    feed(tables, 0, "bpf(BPF_MAP_UPDATE_ELEM, 0x1, 32) = 0")
    assert tables.descriptor(0, 0) is None


def test_another_number_for_the_same_file_is_the_same_object(tables: Tables) -> None:
    feed(tables, 0, 'open("/a", O_RDONLY) = 3', "dup(3) = 4", 'open("/a", O_RDONLY) = 5')
    items = [tables.descriptor(0, fd) for fd in (3, 4, 5)]
    assert items[0] is items[1]
    assert items[0] is not None
    assert items[2] is not None
    assert items[0].object != items[2].object


@pytest.mark.parametrize("name", ["/proc/self/fd/3", "/dev/fd/3", "/proc/5/fd/3", "/proc/thread-self/fd/3"])
def test_paths_through_own_descriptors(tables: Tables, name: str) -> None:
    feed(tables, 0, 'memfd_create("x", 0) = 3', f'open("{name}", O_RDONLY) = 7', 'openat(7, "", O_RDONLY) = 8')
    assert (tables.resolve(0, name), path(tables, 7)) == ("/memfd:x", "/memfd:x")
    feed(tables, 0, 'open("/opt", O_RDONLY|O_DIRECTORY) = 3')
    assert tables.resolve(0, f"{name}/a") == "/opt/a"


def test_own_folders_and_what_is_not_known(tables: Tables) -> None:
    feed(tables, 0, 'chdir("/w") = 0')
    assert [tables.resolve(0, f"/proc/self/{name}") for name in ("cwd/a", "root/etc", "root", "fd/77", "exe")] == [
        "/w/a",
        "/etc",
        "/",
        "/proc/self/fd/77",
        "/proc/self/exe",
    ]
    assert tables.resolve(0, "/proc/99/cwd") == "/proc/99/cwd"


def test_a_pipe_opened_again_through_its_number_is_the_same_pipe(tables: Tables) -> None:
    feed(tables, 0, "pipe([3, 4]) = 0", 'open("/dev/fd/3", O_RDONLY) = 9')
    assert tables.descriptor(0, 9) is tables.descriptor(0, 3)


def test_close_on_exec_by_ioctl(tables: Tables) -> None:
    feed(tables, 0, 'open("/a", O_RDONLY) = 3', 'open("/b", O_RDONLY|O_CLOEXEC) = 4', "ioctl(3, FIOCLEX, 0x0) = 0")
    feed(tables, 0, "ioctl(4, FIONCLEX, 0x0) = 0", 'execve("/x", ["x"], [])')
    assert (path(tables, 3), path(tables, 4)) == (None, "/b")


def test_close_range_can_unshare(tables: Tables) -> None:
    feed(tables, 0, 'open("/a", O_RDONLY) = 3', "clone(CLONE_FILES, 0, 0, 0, 0) = 6")
    feed(tables, 1, "close_range(3, 9, CLOSE_RANGE_UNSHARE) = 0")
    assert (path(tables, 3, key=1), path(tables, 3)) == (None, "/a")


def test_a_descriptor_taken_from_another_process(tables: Tables) -> None:
    feed(tables, 1, 'open("/secret", O_RDONLY) = 9')
    feed(tables, 0, "pidfd_open(6, 0) = 3", "pidfd_getfd(3, 9, 0) = 4", "pidfd_getfd(3, 77, 0) = 5")
    assert (path(tables, 4), path(tables, 5)) == ("/secret", "")


def test_the_two_sides_of_a_terminal_know_each_other(tables: Tables) -> None:
    feed(tables, 0, 'open("/dev/ptmx", O_RDWR|O_CLOEXEC) = 3', "clone(SIGCHLD, 0, 0, 0, 0) = 6")
    feed(tables, 1, 'open("/dev/pts/0", O_RDWR) = 0', 'execve("/bin/sh", ["sh"], [])', 'open("/dev/pts/0", O_RDWR) = 5')
    feed(tables, 0, "dup2(3, 1) = 1", "ioctl(3, TIOCGPTPEER, 0x2) = 8")
    master, slave = tables.descriptor(0, 3), tables.descriptor(1, 0)
    assert master is not None
    assert master.other is slave is tables.descriptor(1, 5) is tables.descriptor(0, 8)
    assert tables.behind(0, 3).processes == (1,)
    assert (tables.behind(1, 0).processes, tables.behind(1, 0).path) == ((0,), "/dev/pts/0")
