"""From records to events: order, pairing of entries and returns, times, and hostile files."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from malkoha.model.event import Event
from malkoha.trace import records
from malkoha.trace.decode import Decoder, Reading
from malkoha.trace.store import Trace, write
from tests.records import REAL_NS, Recording, blob

RECORDED = Path(__file__).parents[2] / "data" / "records" / "start.bin"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("decode")


def decode(folder: Path, recording: Recording | bytes) -> tuple[list[Event], Reading]:
    path = folder / "records.bin"
    path.write_bytes(recording if isinstance(recording, bytes) else recording.data)
    decoder = Decoder(path)
    return list(decoder.events()), decoder.reading


def test_a_call_is_one_event(folder: Path) -> None:
    recording = Recording().enter(
        "openat", (0xFFFFFFFFFFFFFF9C, 0x1000, 0o2000000, 0), blob(1, b"/etc/passwd"), tid=103
    )
    events, reading = decode(folder, recording.exit("openat", 3, tid=103))
    assert events == [
        Event(
            seq=1,
            kind="syscall",
            time_ns=REAL_NS + 1000,
            duration_ns=1000,
            pid=100,
            tid=103,
            ppid=1,
            comm="sample",
            ip=0x401000,
            abi="x86-64",
            api="openat",
            args={"dirfd": "AT_FDCWD", "pathname": "/etc/passwd", "flags": "O_RDONLY|O_CLOEXEC", "mode": "0"},
            ret=3,
            ret_text="3",
        )
    ]
    assert reading == Reading(records=3)


def test_files_that_are_empty_or_missing_have_no_events(folder: Path) -> None:
    assert decode(folder, b"") == ([], Reading())
    assert list(Decoder(folder / "missing.bin").events()) == []


def test_a_second_reading_starts_anew(folder: Path) -> None:
    decoder = Decoder(Recording().call("getpid").exit("read", 1).write(folder / "twice.bin"))
    assert list(decoder.events()) == list(decoder.events())
    assert decoder.reading == Reading(records=4, orphans=1)


def test_results_are_shown_as_text(folder: Path) -> None:
    recording = (
        Recording().call("open", (), -2).call("brk", (), 0x7FFF0000).call("mmap", (), -12).call("read", (), -4096)
    )
    recording.call("nanosleep", (), -516).call("close", (), -4000).enter("pause")
    events, _ = decode(folder, recording)
    assert [(e.api, e.ret, e.ret_text, e.errno) for e in events] == [
        ("open", -2, "-2", "ENOENT"),
        ("brk", 0x7FFF0000, "0x7fff0000", ""),
        ("mmap", -12, "-12", "ENOMEM"),
        ("read", -4096, "-4096", ""),
        ("nanosleep", -516, "-516", "ERESTART_RESTARTBLOCK"),
        ("close", -4000, "-4000", "4000"),
        ("pause", None, "", ""),
    ]


def test_memory_of_the_return_belongs_to_the_call(folder: Path) -> None:
    recording = Recording().enter("read", (0, 0x5000, 100)).exit("read", 5, blob(1, b"hello"))
    (event,), _ = decode(folder, recording)
    assert event.args == {"fd": "0", "buf": "hello", "count": "100"}


def test_calls_of_threads_that_overlap_keep_the_order_of_their_entries(folder: Path) -> None:
    recording = Recording().enter("read", tid=1).enter("write", tid=2).exit("write", 2, tid=2).exit("read", 1, tid=1)
    events, reading = decode(folder, recording)
    assert [(e.api, e.tid, e.ret) for e in events] == [("read", 1, 1), ("write", 2, 2)]
    assert [e.duration_ns for e in events] == [3000, 1000]
    assert reading.orphans == 0


def test_returns_without_entry_are_counted(folder: Path) -> None:
    events, reading = decode(folder, Recording().exit("read", 1).call("getpid", (), 100))
    assert [e.api for e in events] == ["getpid"]
    assert reading.orphans == 1


def test_an_entry_whose_return_is_missing_takes_no_other_calls_return(folder: Path) -> None:
    recording = Recording().enter("read").enter("write").exit("write", 7).enter("pause").exit("getpid", 100)
    events, reading = decode(folder, recording)
    assert [(e.api, e.ret) for e in events] == [("read", None), ("write", 7), ("pause", None)]
    assert reading.orphans == 1


def test_sigreturn_has_no_number_any_more_when_it_returns(folder: Path) -> None:
    (event,), _ = decode(folder, Recording().enter("rt_sigreturn").exit(-1, -4))
    assert (event.api, event.errno) == ("rt_sigreturn", "EINTR")


def test_a_thread_that_execs_returns_under_its_leaders_id(folder: Path) -> None:
    recording = Recording().enter("futex", tid=100).enter("execve", (1,), blob(0, b"/bin/true"), tid=105)
    recording.task_exit(group=False, tid=100).exec(b"/bin/true", b"true", old_tid=105).exit("execve", 0, tid=100)
    events, reading = decode(folder, recording)
    calls = [(e.api, e.tid, e.ret) for e in events if e.kind == "syscall"]
    assert calls == [("futex", 100, None), ("execve", 105, 0)]
    assert reading.orphans == 0


def test_a_task_that_gets_the_id_of_one_that_is_gone_does_not_end_its_calls(folder: Path) -> None:
    recording = Recording().enter("exit_group", tid=100).task_exit(tid=100).fork(100, tid=50, pid=50)
    recording.exit("exit_group", 0, tid=100).call("getpid", (), 100)
    events, reading = decode(folder, recording)
    assert [(e.api, e.ret) for e in events if e.kind == "syscall"] == [("exit_group", None), ("getpid", 100)]
    assert reading.orphans == 1


def test_a_new_task_forgets_the_call_of_an_older_one_whose_end_was_not_seen(folder: Path) -> None:
    recording = Recording().enter("read", tid=100).fork(100, tid=50, pid=50).exit("read", 5, tid=100)
    events, reading = decode(folder, recording)
    assert events[0].ret is None
    assert reading.orphans == 1


def test_a_late_entry_is_a_call_like_others(folder: Path) -> None:
    (event,), _ = decode(folder, Recording().enter("kill", (1, 9), late=True).exit("kill", -1))
    assert (event.api, event.abi, event.args, event.errno) == (
        "kill",
        "x86-64",
        {"pid": "1", "sig": "SIGKILL"},
        "EPERM",
    )


def test_i386_and_x32_calls_have_their_own_numbers(folder: Path) -> None:
    recording = Recording().call("write", (1, 2, 3), 3, blob(1, b"abc"), abi="i386").call("getpid", (), 1, abi="x32")
    events, _ = decode(folder, recording)
    assert [(e.abi, e.api) for e in events] == [("i386", "write"), ("x32", "getpid")]


def test_numbers_without_name_keep_the_number_and_six_words(folder: Path) -> None:
    recording = Recording().call(9999, (1, 2, 3, 4, 5, (1 << 64) - 1)).call(-1).call(0x40000000 | 600, (), abi="x32")
    events, _ = decode(folder, recording.call(5000, (1 << 40, 0xFFFFFFFFFF), abi="i386"))
    assert [e.api for e in events] == [
        "syscall_9999",
        "syscall_4294967295",
        f"syscall_{0x40000000 | 600}",
        "syscall_5000",
    ]
    assert list(events[0].args.values()) == ["0x1", "0x2", "0x3", "0x4", "0x5", "0xffffffffffffffff"]
    assert list(events[3].args.values()) == ["0x0", "0xffffffff", "0x0", "0x0", "0x0", "0x0"]


def test_what_the_scheduler_did(folder: Path) -> None:
    recording = (
        Recording().fork(101).fork(102, 100).exec(b"/bin/sh", b"sh", b"", b"-c").signal(11, sender=7, handled=True)
    )
    recording.task_exit(0x8B).task_exit(3 << 8, group=False, tid=102).signal(200)
    events, _ = decode(folder, recording)
    assert [(e.kind, e.args) for e in events] == [
        ("fork", {"child_pid": 101, "child_tid": 101, "thread": False, "child_ppid": 100, "uid": 1000}),
        ("fork", {"child_pid": 100, "child_tid": 102, "thread": True, "child_ppid": 100, "uid": 1000}),
        ("exec", {"filename": "/bin/sh", "exe": "/bin/sh", "argv": ["sh", "", "-c"], "cwd": "/root", "old_tid": 100,
                  "uid": 1000, "euid": 1001, "gid": 1002, "egid": 1003, "envp": [], "identity": {}}),
        ("signal", {"signal": "SIGSEGV", "code": 0, "sender": 7, "handled": True}),
        ("exit", {"code": 0, "signal": 11, "core": True, "group": True}),
        ("exit", {"code": 3, "signal": 0, "core": False, "group": False}),
        ("signal", {"signal": "200", "code": 0, "sender": 0, "handled": False}),
    ]  # fmt: skip


def test_an_exec_without_its_memory_is_still_an_event(folder: Path) -> None:
    body = records.EXEC_BODY.pack(100, 1, 0, 0, 0, 0, b"x")
    recording = Recording().add(records.EXEC, body).add(records.EXEC, body + blob(2, b"a\0b", status=records.CUT))
    events, _ = decode(folder, recording)
    assert [(e.args["filename"], e.args["argv"]) for e in events] == [("", []), ("", ["a", "b", "..."])]


def test_who_a_task_is_and_its_environment_stand_with_it(folder: Path) -> None:
    who = struct.pack("<8I5Q8I", 1, 2, 3, 4, 5, 6, 7, 8, 3, 1 << 21, 0, 0, 0, *range(20, 28))
    exec_body = records.EXEC_BODY.pack(100, 1, 0, 0, 0, 0, b"x")
    fork_body = records.FORK_BODY.pack(101, 101, 100, 0, b"x")
    recording = Recording().add(records.EXEC, exec_body + blob(4, b"PATH=/bin\0A=\0") + blob(7, who))
    recording.add(records.FORK, fork_body + blob(7, who)).enter("setuid", (2,)).exit("setuid", 0, blob(7, who))
    started, made, changed = decode(folder, recording)[0]
    shown = started.args["identity"]
    assert started.args["envp"] == ["PATH=/bin", "A="]
    assert {name: shown[name] for name in ("euid", "fsgid", "effective", "permitted", "user_ns", "time_ns")} == {
        "euid": "2", "fsgid": "8", "effective": "CAP_CHOWN|CAP_DAC_OVERRIDE", "permitted": "CAP_SYS_ADMIN",
        "user_ns": "20", "time_ns": "27",
    }  # fmt: skip
    assert made.args["identity"] == changed.args["identity"] == shown
    assert list(changed.args) == ["uid", "identity"]


def test_lines_of_the_kprobe_engine(folder: Path) -> None:
    line = b'Mon Nov 13 10:00:00 2023.000123 sh@7f00[101] openat(AT_FDCWD, "/etc/passwd", O_RDONLY) = 3\n'
    events, reading = decode(folder, Recording().text(line).text(b"no line at all\xff\n"))
    assert (events[0].api, events[0].seq, events[0].pid, events[0].tid) == ("openat", 1, 100, 100)
    assert (events[1].kind, events[1].raw) == ("unknown", "no line at all\xff")
    assert reading.bad_lines == 1


def test_bytes_that_make_no_sense_are_counted(folder: Path) -> None:
    recording = Recording().call("getpid")
    hostile = records.BLOB.pack(0, 0, 0, 1 << 30, 0)
    recording.enter("open", (1,), hostile)
    events, reading = decode(folder, recording.data + b"\xff" * 17)
    assert [e.api for e in events] == ["getpid", "open"]
    assert (reading.unread_bytes, reading.bad_bytes) == (17, len(hostile))


def test_a_forged_clock_or_sequence_still_fits_the_columns(folder: Path) -> None:
    recording = Recording(clock=False)
    for seq, ns, real in ((0, 0, (1 << 64) - 1), ((1 << 64) - 1, (1 << 64) - 1, 0)):
        recording.seq, recording.ns = seq, ns
        recording.add(records.CLOCK, records.CLOCK_BODY.pack(real))
        recording.seq, recording.ns = seq, ns
        recording.enter("getpid")
        recording.seq, recording.ns = 5, 5
        recording.exit("getpid", 1)
    path = folder / "forged.bin"
    decoder = Decoder(recording.write(path))
    write(decoder.events(), folder / "forged.parquet")
    assert len(list(Trace(folder / "forged.parquet").rows())) == 2


records_of_any_kind = st.builds(
    lambda kind, body, tid, flags: (kind, body, tid, flags),
    st.integers(0, 9),
    st.binary(max_size=200),
    st.integers(0, 3),
    st.integers(0, 0xFFFF),
)
slow_fixture = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)


@given(st.binary(max_size=3000))
@slow_fixture
def test_no_bytes_make_decoding_fail(folder: Path, data: bytes) -> None:
    events, reading = decode(folder, data)
    assert len(events) <= reading.records
    assert 0 <= reading.unread_bytes <= len(data)


@given(st.lists(records_of_any_kind, max_size=20), st.integers(0, 40))
@slow_fixture
def test_no_records_make_decoding_fail(folder: Path, parts: list[tuple[int, bytes, int, int]], cut: int) -> None:
    recording = Recording()
    for kind, body, tid, flags in parts:
        recording.add(kind, body + bytes(80), tid=tid, flags=flags)
    data = recording.data[: len(recording.data) - cut]
    kinds = [kind for _, _, kind in records.scan(data)]
    events, reading = decode(folder, data)
    assert sum(event.kind == "syscall" for event in events) >= kinds.count(records.ENTER)
    assert len(events) == sum(kind not in (records.PAD, records.CLOCK, records.EXIT) for kind in kinds)
    assert [event.seq for event in events] == sorted(event.seq for event in events)
    assert reading.records == len(kinds) - kinds.count(records.PAD)
    walked = sum(size for _, size, _ in records.scan(data))
    assert reading.unread_bytes == len(data) - walked


@given(st.lists(st.tuples(st.sampled_from(["enter", "exit", "fork", "exec", "end"]), st.integers(1, 4)), max_size=40))
@slow_fixture
def test_each_return_is_used_once_by_a_call_of_the_same_number_before_it(
    folder: Path, steps: list[tuple[str, int]]
) -> None:
    recording = Recording()
    exits = 0
    for step, tid in steps:
        match step:
            case "enter":
                recording.enter("read", (tid,), tid=tid)
            case "exit":
                exits += 1
                recording.exit("read", recording.seq, tid=tid)
            case "fork":
                recording.fork(tid, tid=9, pid=9)
            case "exec":
                recording.exec(b"/x", old_tid=tid, pid=4)
            case _:
                recording.task_exit(tid=tid)
    events, reading = decode(folder, recording)
    returned = [event for event in events if event.ret is not None]
    assert len({event.ret for event in returned}) == len(returned)
    assert all(event.ret is not None and event.ret > event.seq for event in returned)
    assert len(returned) + reading.orphans == exits


def test_the_start_of_a_real_trace(folder: Path) -> None:
    events, reading = decode(folder, RECORDED.read_bytes())
    calls = [event for event in events if event.kind == "syscall"]
    assert reading == Reading(records=reading.records)
    assert events[0].kind == "fork"
    assert next(e.args["argv"] for e in events if e.kind == "exec") == ["sleep", "0.2"]
    assert {"openat", "mmap", "read", "execve"} <= {event.api for event in calls}
    assert all(event.args for event in calls if event.api in ("openat", "mmap", "read", "execve"))
    assert not [event for event in calls if event.api.startswith("syscall_")]
    assert [event.seq for event in events] == sorted({event.seq for event in events})


def test_an_adoption_belongs_to_the_adopted_process(folder: Path) -> None:
    recording = Recording().adopt(7, "cron", 100, b"cron", b"/usr/sbin/cron", b"-f")
    (event,), _ = decode(folder, recording)
    assert (event.kind, event.pid, event.tid, event.ppid) == ("adopt", 7, 7, 1)
    assert event.args == {
        "why": "cron", "what": "cron", "by": 100, "exe": "/bin/exe", "argv": ["/usr/sbin/cron", "-f"],
        "cwd": "/", "uid": 0,
    }  # fmt: skip
