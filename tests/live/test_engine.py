"""The tracepoint engine in a real kernel: what a sample does to mislead it is recorded as the kernel took it."""

from __future__ import annotations

from pathlib import Path

import pytest

from malkoha.model.event import Event
from malkoha.trace.decode import Decoder, Reading
from tests.live.commandline import Malkoha, compiled

pytestmark = pytest.mark.live

Trace = tuple[list[Event], Reading]


@pytest.fixture(scope="module")
def trace(shared: Malkoha, tmp_path_factory: pytest.TempPathFactory) -> Trace:
    sample = compiled(Path(__file__).with_name("evasions.c"), tmp_path_factory.mktemp("evasions") / "evasions")
    decoder = Decoder(shared.analyze(sample).store.records)
    return list(decoder.events()), decoder.reading


def calls(trace: Trace, api: str) -> list[Event]:
    return [event for event in trace[0] if event.api == api]


def test_every_record_makes_sense(trace: Trace) -> None:
    events, reading = trace
    assert reading == Reading(records=reading.records)
    assert [event.seq for event in events] == sorted({event.seq for event in events})


def test_memory_is_read_up_to_the_first_hole(trace: Trace) -> None:
    assert calls(trace, "write")[0].args["buf"] == "page-ending..."


def test_garbage_above_a_length_hides_no_address(trace: Trace) -> None:
    (event,) = calls(trace, "connect")
    assert event.args["addr"] == {"sa_family": "AF_UNIX", "sun_path": "/run/hidden"}
    assert (event.args["addrlen"], event.errno) == ("20", "ENOENT")


def test_garbage_above_a_32_bit_pointer_hides_no_path(trace: Trace) -> None:
    (event,) = calls(trace, "open")
    assert (event.abi, event.args["pathname"], event.errno) == ("i386", "/etc/narrow", "ENOENT")


def test_a_number_without_call_is_recorded(trace: Trace) -> None:
    (event,) = calls(trace, "syscall_5000")
    assert list(event.args.values())[:3] == ["0x1", "0x2", "0x3"]
    assert event.errno == "ENOSYS"


def test_calls_that_do_not_return_get_no_return_of_a_later_task(trace: Trace) -> None:
    ended = calls(trace, "exit_group")
    assert [event.args["status"] for event in ended] == [*map(str, range(20)), "7"]
    assert {event.ret for event in ended} == {None}
    forked = [event for event in trace[0] if event.kind == "fork"]
    assert len(calls(trace, "clone")) + len(calls(trace, "clone3")) == len(forked) - 1, (
        "a new task returns from no call"
    )


def test_an_exec_by_a_thread_is_one_call_that_returns(trace: Trace) -> None:
    execs = [event for event in trace[0] if event.kind == "exec"]
    first, second = calls(trace, "execve")
    assert (first.ret, second.ret) == (0, 0)
    assert second.tid != second.pid == execs[1].tid
    assert (execs[1].args["old_tid"], execs[1].args["argv"]) == (second.tid, ["second", "image"])
    assert calls(trace, "write")[1].args["buf"] == "second image\n"
    assert calls(trace, "write")[1].tid == second.pid
