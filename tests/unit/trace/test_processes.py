"""Process trees from plain logs and from the engines' own fork, exec and exit events."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from malkoha.model.event import Event
from malkoha.model.process import Process
from malkoha.trace import processes, stap
from tests.evaluation import STAP, needs_stap

DATA = Path(__file__).parents[2] / "data" / "traces"


class Log:
    """Makes events in order, as an engine would."""

    def __init__(self) -> None:
        self.events: list[Event] = []

    def add(self, kind: Any, pid: int, *, tid: int | None = None, **rest: Any) -> Log:
        seq = rest.pop("seq", len(self.events) + 1)
        self.events.append(Event(seq=seq, kind=kind, time_ns=seq * 1000, pid=pid, tid=tid or pid, **rest))
        return self

    def call(self, pid: int, api: str, ret: int | None = 0, **rest: Any) -> Log:
        rest.setdefault("comm", "sh")
        return self.add("syscall", pid, api=api, ret=ret, **rest)

    def fork(self, pid: int, child: int, *, thread: bool = False) -> Log:
        args = {"child_pid": pid if thread else child, "child_tid": child, "thread": thread}
        return self.add("fork", pid, args=args, comm="sh")

    def exec(self, pid: int, exe: str, *argv: str) -> Log:
        comm = exe.rsplit("/", 1)[-1]
        return self.add("exec", pid, args={"filename": exe, "exe": exe, "argv": list(argv), "cwd": "/"}, comm=comm)

    def exit(self, pid: int, code: int = 0, signal: int = 0, *, tid: int | None = None, group: bool = True) -> Log:
        return self.add("exit", pid, tid=tid, args={"code": code, "signal": signal, "group": group}, comm="sh")

    def adopt(self, pid: int, why: str, by: int, exe: str = "/bin/x", *argv: str) -> Log:
        args = {"why": why, "what": "w", "by": by, "exe": exe, "argv": list(argv), "cwd": "/", "uid": 0}
        return self.add("adopt", pid, args=args, comm="x")

    def processes(self) -> list[Process]:
        return processes.build(self.events)


def test_a_process_that_was_adopted_has_a_cause_and_no_creator() -> None:
    log = Log().fork(9, 10).exec(10, "/tmp/s", "s").call(10, "write").exit(10)
    log.adopt(20, "cron", 10, "/usr/sbin/cron", "cron").call(20, "dup2").exec(20, "/bin/sh", "sh", "-c", "x").exit(20)
    log.adopt(30, "ptrace", 10, "/usr/sbin/sshd", "sshd").call(30, "read").fork(30, 31).adopt(30, "memory", 11)
    log.adopt(40, "unit", 99).exec(40, "/bin/true", "true")
    launcher, sample, job, victim, child, unit = log.processes()
    assert launcher.launcher
    assert sample.cause is None
    assert job.cause is not None
    assert (job.cause.why, job.cause.what, job.cause.by, job.parent) == ("cron", "w", sample.key, None)
    assert (job.setup_calls, job.calls, job.name, job.command_line) == (0, 1, "sh", "sh -c x")
    assert victim.cause is not None
    assert (victim.cause.why, victim.name, victim.exe, victim.command_line) == (
        "ptrace",
        "sshd",
        "/usr/sbin/sshd",
        "sshd",
    )
    assert (child.parent, child.cause) == (victim.key, None)
    assert unit.cause is not None
    assert (unit.cause.by, unit.setup_calls) == (None, 0)


def test_helloworld_of_a_plain_log() -> None:
    found = processes.build(stap.parse(DATA / "helloworld.stap"))
    launcher, bash, cat, ping = found
    assert launcher.launcher
    assert not any(process.launcher for process in found[1:])
    assert (bash.pid, bash.ppid, bash.name, bash.command_line) == (701, 700, "bash", "/bin/bash /root/helloworld.sh")
    assert (cat.pid, cat.ppid, cat.parent, cat.name) == (702, 701, bash.key, "cat")
    assert (ping.pid, ping.parent, ping.command_line) == (703, bash.key, "ping -c 4 www.360.com")
    assert bash.children == [cat.key, ping.key]
    assert (cat.exit_code, ping.exit_code) == (0, 2)
    assert (bash.exe, bash.images_total) == ("/bin/bash", 1)
    assert bash.setup_calls == 0


@needs_stap
def test_the_processes_of_cuckoos_long_log() -> None:
    wanted = json.loads((STAP / "expected_log_full.json").read_text())["processes"]
    found = [process for process in processes.build(stap.parse(STAP / "log_full.stap")) if not process.launcher]
    assert [(p.pid, p.ppid, p.name, p.command_line) for p in found] == [
        (p["pid"], p["ppid"], p["process_name"], p["command_line"]) for p in wanted
    ]
    assert [p.first_seen_ns // 1000 % 1_000_000 for p in found] == [618541, 619135, 646318]
    assert [image.path for image in found[1].images] == ["/bin/bash", "/usr/bin/python"]


def test_the_engines_launcher_is_known_by_its_fork_alone() -> None:
    log = (
        Log()
        .fork(50, 100)
        .call(100, "setsid")
        .call(100, "execve", comm="python3")
        .exec(100, "/bin/bash", "bash", "x.sh")
    )
    log.call(100, "brk", comm="bash").fork(100, 101).call(101, "close", comm="bash").exec(101, "/bin/cat", "cat", "f")
    log.exit(101, 1).exit(100, 0)
    launcher, bash, cat = log.processes()
    assert launcher.launcher
    assert (bash.ppid, bash.name, bash.command_line, bash.exe) == (50, "bash", "bash x.sh", "/bin/bash")
    assert (bash.calls, bash.setup_calls) == (3, 1)
    assert (cat.parent, cat.name, cat.setup_calls, cat.exit_code) == (bash.key, "cat", 0, 1)


def test_a_failed_execve_does_not_set_the_image() -> None:
    log = Log().call(5, "execve", -2, args={"p0": "/a/none", "p1": ["none"]}, errno="ENOENT")
    log.call(5, "execve", None, args={"p0": "/b/true", "p1": ["true", "x"]})
    (process,) = log.processes()
    assert (process.name, process.command_line, process.images_total) == ("true", "true x", 1)


def test_the_first_program_names_the_process_and_the_last_is_its_exe() -> None:
    log = Log().fork(1, 2).exec(2, "/bin/sh", "sh", "-c", "x").exec(2, "/bin/x", "x")
    process = log.processes()[1]
    assert (process.name, process.exe, [image.path for image in process.images]) == (
        "sh",
        "/bin/x",
        ["/bin/sh", "/bin/x"],
    )


@pytest.mark.parametrize("api", ["fork", "vfork", "clone", "clone3"])
def test_every_way_to_make_a_child(api: str) -> None:
    log = Log().call(10, api, 11).call(11, "getpid", 11)
    parent, child = log.processes()
    assert (child.ppid, child.parent, parent.children) == (10, parent.key, [child.key])


def test_threads_are_folded_even_when_seen_before_their_clone() -> None:
    log = (
        Log()
        .call(10, "brk")
        .call(12, "futex")
        .call(10, "clone", 12, args={"p0": "CLONE_VM|CLONE_THREAD"})
        .call(12, "read")
    )
    (process,) = log.processes()
    assert (process.tids, process.threads, process.calls) == ([10, 12], 2, 4)
    assert len(process.merged) == 1


def test_children_of_a_thread_seen_early_are_the_process_s() -> None:
    log = Log().call(10, "brk").call(12, "fork", 13).call(13, "brk")
    log.call(10, "clone", 12, args={"p0": "CLONE_THREAD"})
    parent, child = log.processes()
    assert (child.pid, child.ppid, child.parent, parent.children) == (13, 10, parent.key, [child.key])


def test_threads_of_an_engine() -> None:
    log = (
        Log()
        .fork(1, 10)
        .fork(10, 11, thread=True)
        .call(10, "futex", tid=11)
        .exit(10, tid=11, group=False)
        .call(10, "brk")
    )
    process = log.processes()[1]
    assert (process.tids, process.calls, process.ended_ns) == ([10, 11], 2, None)


def test_pid_reuse_makes_two_processes() -> None:
    plain = (
        Log().call(10, "clone", 20).call(20, "exit_group", None, args={"p0": "3"}).call(10, "clone", 20).call(20, "brk")
    )
    first, second = plain.processes()[1:]
    assert (first.pid, second.pid, first.exit_code, second.ended_ns) == (20, 20, 3, None)
    own = Log().fork(1, 10).fork(10, 20).call(20, "brk").exit(20, 3).fork(10, 20).call(20, "read").call(20, "read")
    first, second = own.processes()[2:]
    assert (first.calls, second.calls) == (1, 2)


def test_a_reused_pid_seen_before_the_clone_that_made_it() -> None:
    log = Log().call(10, "clone", 20).call(20, "exit_group", None).call(20, "brk").call(10, "clone", 20)
    first, second = log.processes()[1:]
    assert (first.calls, second.calls, second.ppid) == (1, 1, 10)


def test_a_call_that_was_entered_before_the_exit_belongs_to_the_dead() -> None:
    log = (
        Log()
        .fork(1, 10)
        .call(10, "brk")
        .add("exit", 10, args={"group": True}, seq=50)
        .call(10, "exit_group", None, seq=49)
    )
    assert [process.calls for process in log.processes()] == [0, 2]


def test_a_killed_process_has_a_signal_and_no_code() -> None:
    process = Log().fork(1, 10).exit(10, 0, 9).processes()[1]
    assert (process.exit_code, process.exit_signal) == (None, 9)


def test_a_child_that_runs_nothing_bears_its_creators_command_line() -> None:
    log = Log().fork(1, 10).exec(10, "/bin/bash", "bash", "x").fork(10, 11).call(11, "brk")
    child = log.processes()[2]
    assert (child.name, child.command_line, child.exe) == ("sh", "bash x", "/bin/bash")


def test_names_over_time() -> None:
    log = Log().fork(1, 10).exec(10, "/bin/a", "a").call(10, "prctl", comm="a").add("signal", 10)
    log.call(10, "brk", comm="[kworker]").call(10, "brk", comm="[kworker]")
    assert [comm.comm for comm in log.processes()[1].comms] == ["a", "[kworker]"]


def test_lists_are_bounded_and_counted() -> None:
    log = Log().fork(1, 10)
    for number in range(200):
        log.exec(10, f"/bin/p{number}", "p")
    process = log.processes()[1]
    assert (len(process.images), process.images_total) == (processes.LISTED, 200)


def test_a_plain_log_of_one_shell_is_the_sample() -> None:
    (process,) = Log().call(5, "execve", None, args={"p0": "/bin/sh", "p1": ["sh", "-c", "x"]}).processes()
    assert not process.launcher


def test_a_process_is_no_thread_of_its_child_whatever_a_log_says() -> None:
    log = Log().call(2, "fork", 1).call(1, "clone3", 2, args={"p0": "CLONE_THREAD"}).call(2, "getpid")
    assert [(process.pid, process.parent, process.calls) for process in log.processes()] == [(2, None, 1), (1, 0, 2)]


def test_ids_from_the_start_on_and_where_they_change() -> None:
    def who(uid: int, euid: int) -> dict[str, Any]:
        return {"uid": str(uid), "euid": str(euid), "gid": "5", "egid": "5"}

    log = Log().fork(1, 10).add("exec", 10, args={"exe": "/bin/su", "argv": ["su"], **who(1000, 0)})
    log.call(10, "setuid", args={"uid": "0", "identity": who(0, 0)}).call(10, "setuid", args={"identity": who(0, 0)})
    log.call(10, "setuid", -1, args={"uid": "5"}).fork(10, 11).call(11, "setresuid", args={"identity": who(33, 33)})
    _, su, child = log.processes()
    assert [(ids.time_ns, ids.uid, ids.euid, ids.egid) for ids in su.ids] == [(2000, 1000, 0, 5), (3000, 0, 0, 5)]
    assert [(ids.time_ns, ids.uid) for ids in child.ids] == [(6000, 0), (7000, 33)]


def test_a_daemon_stands_under_its_real_origin() -> None:
    log = Log().fork(1, 10).exec(10, "/tmp/x", "x").fork(10, 11).exit(10).fork(11, 12).exit(11).call(12, "setsid")
    launcher, first, middle, daemon = log.exit(12, signal=9).processes()
    assert launcher.launcher
    assert (middle.parent, daemon.parent, daemon.ppid) == (first.key, middle.key, 11)
    assert (first.exit_code, daemon.exit_code, daemon.exit_signal) == (0, None, 9)
    assert daemon.command_line == "x"


def test_a_pid_that_is_used_again_is_another_process() -> None:
    log = Log().fork(1, 10).exec(10, "/a", "a").fork(10, 11).call(11, "getpid").exit(11)
    found = log.fork(10, 11).exec(11, "/b", "b").call(11, "getppid").exit(11, 3).processes()
    assert [(process.key, process.pid, process.calls, process.exit_code) for process in found[2:]] == [
        (2, 11, 1, 0), (3, 11, 1, 3)
    ]  # fmt: skip


def test_threads_of_what_was_a_thread_itself_go_with_it() -> None:
    threads = {"p0": "CLONE_THREAD"}
    log = Log().call(2, "clone3", 3, args=threads).call(1, "clone3", 2, args=threads).call(3, "getpid")
    assert [(process.pid, process.calls) for process in log.processes()] == [(1, 3)]


pids = st.integers(1, 6)
steps = st.one_of(
    st.tuples(st.sampled_from(["fork", "clone3", "getpid"]), pids, pids),
    st.tuples(st.sampled_from(["exit_group", "execve", "exit"]), pids, st.none()),
    st.tuples(st.sampled_from(["FORK", "THREAD", "EXEC", "EXIT"]), pids, pids),
)


def log_of(sequence: list[tuple[str, int, int | None]]) -> Log:
    log = Log()
    for name, pid, other in sequence:
        if name in ("FORK", "THREAD"):
            log.fork(pid, other or 1, thread=name == "THREAD")
        elif name == "EXEC":
            log.exec(pid, "/bin/x", "x")
        elif name == "EXIT":
            log.exit(pid)
        else:
            args = {"p0": "CLONE_THREAD"} if name == "clone3" else {}
            log.call(pid, name, other, args=args)
    return log


def ancestors(process: Process, by_key: dict[int, Process]) -> list[int]:
    """List the keys upwards, and break off where a process stands above itself."""
    found = [process.key]
    while (parent := by_key[found[-1]].parent) is not None and found.count(found[-1]) == 1:
        found.append(parent)
    return found


def test_an_ancestor_is_no_child_its_id_was_used_again() -> None:
    first, child, again = Log().call(1, "fork", 3).call(3, "fork", 1).call(1, "getpid").processes()
    assert (first.parent, child.parent, again.parent) == (None, first.key, child.key)
    assert (again.pid, again.calls) == (1, 1)


@given(st.lists(steps, max_size=60))
def test_any_order_of_events_gives_a_tree(sequence: list[tuple[str, int, int | None]]) -> None:
    log = log_of(sequence)
    found = log.processes()
    by_key = {process.key: process for process in found}
    assert len(by_key) == len(found)
    assert sum(process.calls for process in found) == sum(event.kind == "syscall" for event in log.events)
    for process in found:
        assert process.parent is None or process.parent in by_key
        assert all(by_key[child].parent == process.key for child in process.children if child in by_key)
        assert 0 <= process.setup_calls <= process.calls
        above = ancestors(process, by_key)
        assert len(set(above)) == len(above)
