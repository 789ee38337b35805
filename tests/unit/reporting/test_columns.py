"""Processes and calls as the page gets them."""

from __future__ import annotations

import base64
import gzip
import json
import re
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from malkoha.reporting import columns
from tests import reports


def unpack(text: str) -> Any:
    return json.loads(gzip.decompress(base64.b64decode(text)))


@given(
    st.recursive(
        st.none() | st.text() | st.integers(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)
    )
)
def test_a_block_gives_back_what_was_packed_and_cannot_end_its_element(value: Any) -> None:
    packed = columns.pack(value)
    assert re.fullmatch(r"[A-Za-z0-9+/]+=*", packed)
    assert unpack(packed) == value


def test_lone_surrogates_survive() -> None:
    assert unpack(columns.pack({"\ud800": "\x00\udfff"})) == {"\ud800": "\x00\udfff"}


def test_processes_stand_in_the_order_of_the_tree() -> None:
    index = columns.Processes(reports.helloworld()).index()
    assert index["name"] == ["bash", "cat", "ping"]
    assert index["depth"] == [0, 1, 1]
    assert index["exit"] == ["2", "0", "2"]
    assert index["bad"] == [1, 0, 1]
    assert index["exe"] == ["/bin/bash", "/usr/bin/cat", "/usr/bin/ping"]
    assert index["first"][0] == 0 < index["first"][1] < index["first"][2]
    assert index["span"] == index["ended"][0] > index["ended"][1]
    assert index["total"] == index["shown"] == [len(p["calls"]) for p in reports.helloworld()["behavior"]["processes"]]


def test_marks_tell_programs_network_and_changed_files() -> None:
    report = reports.busy()
    index = columns.Processes(report).index()
    by_name = dict(zip(index["name"], index["marks"], strict=True))
    assert [len(kind) for kind in by_name["update.bin"]] == [2, 0, 2]
    assert [len(kind) for kind in by_name["wget"]] == [1, 1, 0]
    assert [len(kind) for kind in by_name["[kworker/0:2]"]] == [1, 60, 0]
    assert [len(kind) for kind in by_name["exploit"]] == [1, 0, 1]
    assert index["evidence"] == [0, 36, 0, 1, 1]


def test_reading_and_failed_or_device_writing_are_no_changes() -> None:
    maker = reports.Maker()
    process = maker.process(["/bin/x"], None)
    maker.call(process, "openat", "AT_FDCWD", "/dev/null", "O_WRONLY", ret="3")
    maker.call(process, "openat", "AT_FDCWD", "/etc/x", "O_RDWR", ret="-13", status="EACCES")
    maker.call(process, "openat", "AT_FDCWD", "/etc/x", "O_RDONLY", ret="3")
    maker.call(process, "socket", "AF_UNIX", "SOCK_STREAM", "0", ret="4")
    maker.call(process, "sendto", "4", "x", "1", "0", "NULL", "0", ret="1")
    marks = columns.Processes(reports.assemble(maker, "x", {})).index()["marks"][0]
    assert [len(kind) for kind in marks] == [1, 0, 0]


def test_many_marks_are_thinned_but_keep_the_first_and_the_last() -> None:
    report = reports.large(4000, 1, lambda number: f"/tmp/{number}")
    for call in report["behavior"]["processes"][0]["calls"]:
        if call["api"] == "openat" and call["arguments"]["p1"].startswith("/tmp"):
            call |= {"status": "", "arguments": {"p0": "AT_FDCWD", "p1": "/tmp/x", "p2": "O_WRONLY|O_CREAT"}}
    times = columns.Processes(report).index()["marks"][0][columns.CHANGE]
    assert len(times) == columns.MARKS
    assert times == sorted(set(times))
    assert times[-1] > 1_000_000


def test_a_block_holds_the_calls_as_columns_with_the_kinds_of_their_arguments() -> None:
    blocks = list(columns.Processes(reports.helloworld()).blocks())
    calls = blocks[1]["calls"]
    length = len(calls["seq"])
    assert all(len(calls[name]) == length for name in columns._COLUMNS)
    at = next(i for i in range(length) if "/etc/passwd" in calls["values"][i])
    assert calls["apis"][calls["api"][at]] == ["openat", "ctcc"]
    assert calls["labels"][calls["names"][at]] == ("dirfd", "pathname", "flags")
    assert calls["values"][at] == ["AT_FDCWD", "/etc/passwd", "O_RDONLY"]
    assert blocks[1]["touched"] == {"file_read": ["/etc/passwd"]}


def test_evidence_is_told_by_the_position_of_the_signature() -> None:
    evidence = [block["evidence"] for block in columns.Processes(reports.busy()).blocks()]
    assert evidence[1]["46"] == [0]
    assert evidence[1]["6"] == [3]
    assert evidence[4] == {"6": [1]}


def test_long_texts_and_lists_are_cut_and_say_so() -> None:
    assert columns.cut("x" * 5000) == "x" * 4096 + "… (904 more characters)"
    assert columns.cut(["y"] * 300)[-1] == "… (44 more)"
    nested: Any = "deep"
    for _ in range(50):
        nested = [nested]
    assert "deep" not in json.dumps(columns.cut(nested))


def test_foreign_reports_do_not_break_it() -> None:
    for report in (
        {},
        {"behavior": None},
        {"behavior": {"processes": [{}], "processtree": [{}, None], "generic": [3]}},
        {
            "behavior": {"processes": [{"pid": 7, "calls": [{}, None, {"arguments": []}], "images": [None]}]},
            "signatures": [None],
        },
    ):
        processes = columns.Processes(report)
        index = processes.index()
        assert len(index["key"]) == len(list(processes.blocks()))


def test_a_deep_tree_needs_no_recursion() -> None:
    maker = reports.Maker()
    parent = None
    for number in range(3000):
        parent = maker.process([f"/bin/p{number}"], parent)
    index = columns.Processes(reports.assemble(maker, "deep", {})).index()
    assert index["depth"] == list(range(3000))
