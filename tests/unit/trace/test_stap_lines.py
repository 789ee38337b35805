"""What is written in Cuckoo's grammar is read back, and cannot be forged."""

from __future__ import annotations

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from malkoha.model.event import Event
from malkoha.trace import stap

texts = st.text(st.characters(codec="utf-8"), max_size=20)
names = st.from_regex(r"[a-z_][a-z0-9_]{0,9}", fullmatch=True)
values = st.recursive(
    texts,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(names, inner, min_size=1, max_size=4),
    max_leaves=8,
)
returns = st.one_of(
    st.just((None, "", "")),
    st.integers(-(1 << 63), (1 << 63) - 1).map(lambda number: (number, str(number), "")),
    st.sampled_from([(-2, "-2", "ENOENT"), (0x7F0000000000, "0x7f0000000000", "")]),
)
events = st.builds(
    lambda arguments, result, **rest: Event(
        kind="syscall",
        args={f"p{number}": value for number, value in enumerate(arguments)},
        ret=result[0],
        ret_text=result[1],
        errno=result[2],
        **rest,
    ),
    st.lists(values, max_size=6),
    returns,
    seq=st.just(0),
    time_ns=st.integers(0, 4_000_000_000).map(lambda number: number * 1_000_000_000 + 1000),
    pid=st.integers(1, 4_000_000),
    tid=st.integers(1, 4_000_000),
    comm=st.text(max_size=16),
    ip=st.integers(0, (1 << 64) - 1),
    api=st.sampled_from(["openat", "write", "ioctl", "syscall_999", "clone3"]),
)


@given(events)
def test_what_is_written_is_read_back(event: Event) -> None:
    written = stap.write_line(event)
    assert written.count("\n") == 1
    read = stap.parse_line(written.encode("ascii"))
    assert (read.api, read.args, read.ret, read.errno) == (event.api, event.args, event.ret, event.errno)
    assert (read.tid, read.time_ns, read.ip) == (event.tid, event.time_ns, event.ip)


@pytest.mark.parametrize("comm", ["a@1[2] open(", "x\ny", "kworker/0:0", "(sd-pam)", "a b", "é\0", ""])
def test_no_comm_forges_or_splits_a_line(comm: str) -> None:
    written = stap.write_line(
        Event(
            seq=0,
            kind="syscall",
            time_ns=0,
            pid=1,
            tid=1,
            comm=comm,
            api="close",
            args={"fd": "3"},
            ret=0,
            ret_text="0",
        )
    )
    assert written.count("@") == 1
    assert written.count("\n") == 1
    assert stap.parse_line(written.encode()).api == "close"


def test_strings_are_quoted_by_the_kind_of_their_argument() -> None:
    event = Event(
        seq=0, kind="syscall", time_ns=0, pid=1, tid=1, comm="sh", ip=255, api="write", ret=1, ret_text="1",
        args={"fd": "1", "buf": "7", "count": "1"},
    )  # fmt: skip
    assert stap.write_line(event) == 'Thu Jan  1 00:00:00 1970.000000 sh@ff[1] write(1, "7", 1) = 1\n'


def test_a_successful_execve_has_no_return_value() -> None:
    event = Event(seq=0, kind="syscall", time_ns=0, pid=1, tid=1, api="execve", args={"p0": "/x"}, ret=0, ret_text="0")
    assert stap.write_line(event).endswith('execve("/x")\n')


def test_write_counts_what_has_no_line() -> None:
    call = Event(seq=0, kind="syscall", time_ns=0, pid=1, tid=1, api="getpid", ret=1, ret_text="1")
    fork = Event(seq=1, kind="fork", time_ns=0, pid=1, tid=1)
    file = io.StringIO()
    assert stap.write([call, fork], file) == 1
    assert file.getvalue().count("\n") == 1
