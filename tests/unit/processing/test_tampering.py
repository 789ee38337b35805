"""What a sample did to its watchers: each rule with a hit and a near miss."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest

from malkoha.model.event import Event
from malkoha.model.task import Trouble
from malkoha.processing import tampering
from malkoha.processing.base import Earlier
from malkoha.processing.tampering import Finder, TamperingModule
from malkoha.trace import store
from malkoha.trace.store import Row
from tests.unit.processing.folder import analysis

AGENT = 170


def call(api: str, errno: str = "", **args: Any) -> Row:
    event = Event(seq=1, kind="syscall", time_ns=2_500_000_000, pid=9, tid=9, api=api, args=args, errno=errno)
    return Row(3, 0, event)


def lines(*rows: Row) -> list[str]:
    finder = Finder({AGENT: "the agent", 200: "the launcher"})
    for row in rows:
        assert row.event.api in finder.apis
        finder.feed(row)
    return [entry.what for entry in finder.found()]


@pytest.mark.parametrize(
    ("row", "what"),
    [
        (call("kill", pid="170", sig="SIGKILL"), "sent SIGKILL to the agent"),
        (call("tgkill", tgid="200", tid="200", sig="SIGSTOP"), "sent SIGSTOP to the launcher"),
        (call("kill", pid="-1", sig="SIGKILL"), "sent SIGKILL to every process"),
        (call("ptrace", op="PTRACE_ATTACH", pid="170"), "attached to the agent"),
        (call("delete_module", name="virtio_blk"), "removed the kernel module virtio_blk"),
        (call("finit_module", fd="3"), tampering._KERNEL),
        (call("reboot", op="LINUX_REBOOT_CMD_POWER_OFF"), "turned the machine off or started it anew"),
        (call("clock_settime", clockid="CLOCK_REALTIME"), "set the clock"),
        (call("openat", pathname="/proc/sysrq-trigger", flags="O_WRONLY"), "opened /proc/sysrq-trigger for writing"),
        (call("openat", pathname="/dev/vport1p1", flags="O_RDWR"), "opened /dev/vport1p1 for writing"),
        (call("umount2", target="/sys/kernel/tracing"), "unmounted /sys/kernel/tracing"),
        (call("mount", target="/proc/12"), "mounted over /proc/12"),
        (call("move_mount", from_pathname="", to_pathname="/proc"), "mounted over /proc"),
    ],
)
def test_a_hit(row: Row, what: str) -> None:
    assert lines(row) == [what]


@pytest.mark.parametrize(
    "row",
    [
        call("kill", pid="171", sig="SIGKILL"),
        call("kill", pid="170", sig="0"),
        call("kill", errno="EPERM", pid="170", sig="SIGKILL"),
        call("ptrace", op="PTRACE_ATTACH", pid="9"),
        call("delete_module", errno="ENOENT", name="x"),
        call("reboot", op="LINUX_REBOOT_CMD_CAD_OFF"),
        call("openat", pathname="/proc/sysrq-trigger", flags="O_RDONLY"),
        call("openat", pathname="/tmp/tracing", flags="O_WRONLY"),
        call("umount2", target="/mnt"),
        call("mount", target="/process"),
    ],
)
def test_a_miss(row: Row) -> None:
    assert lines(row) == []


def test_a_flood_is_cut_and_counted() -> None:
    found = lines(*[call("clock_settime")] * (tampering.LIMIT + 5))
    assert len(found) == tampering.LIMIT + 1
    assert found[-1] == "5 more such calls"


def test_what_the_host_saw_of_the_tracer_stands_at_its_time(tmp_path: Path) -> None:
    facts = analysis(tmp_path)
    events = [
        Event(seq=1, kind="fork", time_ns=1, pid=200, tid=200, args={"child_pid": 201, "child_tid": 201}),
        Event(seq=2, kind="exec", time_ns=2, pid=201, tid=201, args={"exe": "/tmp/x", "argv": ["x"]}),
        Event(seq=3, kind="syscall", time_ns=4_000_000_000, pid=201, tid=201, api="clock_settime", ret=0),
    ]
    store.write(iter(events), facts.store.events)
    run = msgspec.structs.replace(facts.run, troubles=[Trouble(at=3.5, what="off"), Trouble(at=5.0, what="silent")])
    found = TamperingModule().run(msgspec.structs.replace(facts, run=run), Earlier({}))
    assert [(entry.key, entry.what) for entry in found[::2]] == [(-1, "off"), (-1, "silent")]
    assert [entry.time for entry in found] == [3.5, 4.0, 5.0]


def test_the_launchers_own_calls_are_none(tmp_path: Path) -> None:
    facts = analysis(tmp_path)
    events = [
        Event(seq=1, kind="fork", time_ns=1, pid=200, tid=200, args={"child_pid": 201, "child_tid": 201}),
        Event(seq=2, kind="syscall", time_ns=2, pid=201, tid=201, api="clock_settime", ret=0),
        Event(seq=3, kind="exec", time_ns=3, pid=201, tid=201, args={"exe": "/tmp/x", "argv": ["x"]}),
        Event(
            seq=4, kind="syscall", time_ns=4, pid=201, tid=201, api="kill", args={"pid": "170", "sig": "SIGKILL"}, ret=0
        ),
        Event(
            seq=5, kind="syscall", time_ns=5, pid=201, tid=201, api="kill", args={"pid": "200", "sig": "SIGKILL"}, ret=0
        ),
    ]
    store.write(iter(events), facts.store.events)
    run = msgspec.structs.replace(facts.run, agent_pid=AGENT)
    found = TamperingModule().run(msgspec.structs.replace(facts, run=run), Earlier({}))
    assert [(entry.pid, entry.what) for entry in found] == [
        (201, "sent SIGKILL to the agent"), (201, "sent SIGKILL to the launcher"),
    ]  # fmt: skip
