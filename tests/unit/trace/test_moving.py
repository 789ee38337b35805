"""Roots, mounts and namespaces: the path that a path really has."""

from __future__ import annotations

import pytest

from malkoha.model.event import Event
from malkoha.model.process import Process
from malkoha.trace.descriptors import Tables
from tests.unit.trace.test_descriptors import feed, path


@pytest.fixture
def tables() -> Tables:
    return Tables([Process(key=0, pid=5, children=[1]), Process(key=1, pid=6, parent=0)])


def test_a_new_root(tables: Tables) -> None:
    feed(tables, 0, 'chdir("/jail") = 0', 'chroot(".") = 0', 'chdir("/") = 0', 'open("etc/passwd", O_RDONLY) = 3')
    assert (path(tables, 3), tables.root(0), tables.cwd(0)) == ("/jail/etc/passwd", "/jail", "/jail")
    assert tables.resolve(0, "/../x") == "/jail/x"
    tables.feed(0, Event(seq=1, kind="exec", time_ns=1, pid=5, tid=5, args={"exe": "/bin/y", "cwd": "/root"}))
    assert (tables.exe(0), tables.cwd(0)) == ("/jail/bin/y", "/jail/root")


def test_a_bind_mount_shows_what_lies_behind_it(tables: Tables) -> None:
    feed(tables, 0, 'mount("/etc", "/tmp/e", NULL, MS_BIND, NULL) = 0', 'open("/tmp/e/passwd", O_WRONLY) = 3')
    assert path(tables, 3) == "/etc/passwd"
    feed(tables, 0, 'mount(NULL, "/tmp/e", NULL, MS_REMOUNT|MS_BIND|MS_RDONLY, NULL) = 0')
    assert tables.resolve(0, "/tmp/e") == "/etc"
    feed(tables, 0, 'mount("/tmp/e", "/tmp/f", NULL, MS_MOVE, NULL) = 0')
    assert [tables.resolve(0, name) for name in ("/tmp/e/a", "/tmp/f/a")] == ["/tmp/e/a", "/etc/a"]
    feed(tables, 0, 'umount2("/tmp/f", MNT_DETACH) = 0')
    assert tables.resolve(0, "/tmp/f/a") == "/tmp/f/a"


def test_a_file_system_of_its_own_hides_an_older_bind_mount(tables: Tables) -> None:
    feed(tables, 0, 'mount("/etc", "/e", NULL, MS_BIND, NULL) = 0', 'mount("none", "/e/x", "tmpfs", 0, NULL) = 0')
    assert [tables.resolve(0, name) for name in ("/e/a", "/e/x/a")] == ["/etc/a", "/e/x/a"]


def test_the_new_mount_calls(tables: Tables) -> None:
    feed(tables, 0, 'open_tree(AT_FDCWD, "/etc", 0x80001) = 3', 'move_mount(3, "", AT_FDCWD, "/m", 0x4) = 0')
    assert tables.resolve(0, "/m/passwd") == "/etc/passwd"
    feed(tables, 0, 'fsopen("tmpfs", 0) = 4', "fsmount(4, 0, 0) = 5", 'move_mount(5, "", AT_FDCWD, "/m", 0x4) = 0')
    assert tables.resolve(0, "/m/passwd") == "/m/passwd"


def test_namespaces_of_mounts(tables: Tables) -> None:
    feed(tables, 0, "fork() = 6")
    feed(tables, 1, "unshare(CLONE_NEWNS) = 0", 'mount("/etc", "/e", NULL, MS_BIND, NULL) = 0')
    assert (tables.resolve(1, "/e"), tables.resolve(0, "/e")) == ("/etc", "/e")
    feed(tables, 0, 'open("/proc/6/ns/mnt", O_RDONLY) = 3', "setns(3, CLONE_NEWNS) = 0")
    assert tables.resolve(0, "/e") == "/etc"
    feed(tables, 0, 'open("/proc/1/ns/mnt", O_RDONLY) = 3', "setns(3, 0) = 0")
    assert (tables.resolve(0, "/e"), tables.cwd(0)) == ("/e", "/")


def test_pivot_root(tables: Tables) -> None:
    feed(tables, 0, 'pivot_root("/new", "/new/old") = 0', 'chdir("/") = 0')
    assert [tables.resolve(0, name) for name in ("/etc/passwd", "/old/etc/passwd", "x")] == [
        "/new/etc/passwd",
        "/etc/passwd",
        "/new/x",
    ]
