"""Facts in words, with values that are absent, wrong or extreme."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from malkoha.reporting import wording
from tests import reports

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (None, ""),
        (0, "0 s"),
        (0.000012, "12 µs"),
        (0.0343, "34.3 ms"),
        (2.1, "2.1 s"),
        (59.96, "60 s"),
        (61, "1 min 1 s"),
        (3725, "1 h 2 min"),
    ],
)
def test_durations_bear_the_unit_that_suits(seconds: float | None, said: str) -> None:
    assert wording.duration(seconds) == said


@pytest.mark.parametrize(
    ("amount", "said"),
    [(0, "0 B"), (999, "999 B"), (1234, "1.23 kB"), (999_999, "1 MB"), (71_302, "71.3 kB"), (5e12, "5,000 GB")],
)
def test_sizes(amount: float, said: str) -> None:
    assert wording.size(amount) == said


def test_how_a_process_ended() -> None:
    assert wording.exit_text(0, None, 1.0) == "0"
    assert wording.exit_text(None, 9, 1.0) == "SIGKILL"
    assert wording.exit_text(None, 63, 1.0) == "signal 63"
    assert wording.exit_text(None, None, None) == "running"
    assert wording.exit_text(None, None, 1.0) == ""


def test_wait_statuses() -> None:
    assert [wording.wait_status(status) for status in (None, 0, 512, 139)] == [
        "",
        "exit status 0",
        "exit status 2",
        "killed by SIGSEGV",
    ]


def test_a_call_in_one_line_quotes_texts_and_nothing_else() -> None:
    call = {
        "api": "openat",
        "arguments": {"p0": "AT_FDCWD", "p1": "O_RDONLY", "p2": "O_RDONLY|O_CLOEXEC", "p3": "0644"},
        "argument_names": ["dirfd", "pathname", "flags", "mode"],
        "return_value": "-2",
        "status": "ENOENT",
    }
    assert wording.call_text(call) == (
        'openat(dirfd=AT_FDCWD, pathname="O_RDONLY", flags=O_RDONLY|O_CLOEXEC, mode=0644) = -2 ENOENT'
    )


def test_a_call_that_no_table_knows_is_quoted_by_its_looks() -> None:
    call = {
        "api": "newcall",
        "arguments": {"p0": 'a"b\\', "p1": ["3", {"fd": "0x7f", "mask": "[]", "name": "x y"}], "p2": None},
    }
    assert wording.call_text(call) == 'newcall("a\\"b\\\\", [3, {fd=0x7f, mask=[], name="x y"}], ?)'


def test_a_call_is_cut() -> None:
    line = wording.call_text({"api": "write", "arguments": {"p0": "1", "p1": "x" * 100_000}}, 80)
    assert len(line) <= 80
    assert "…" in line


def test_nothing_is_missing_of_a_whole_run() -> None:
    assert wording.gaps(reports.helloworld()) == []


def test_what_is_missing_is_told_once_each() -> None:
    report = reports.helloworld()
    own = report["malkoha"]
    own["trace"] |= {"lost": 1, "not_understood": 3, "ended": "machine off"}
    own["omitted"] = {"calls": 1300, "processes": 1, "launcher_calls": 40, "summary_entries": 0, "new": 2}
    own["errors"] = ["yara failed"]
    report["debug"]["errors"] = ["yara failed", "pcap is damaged"]
    own["output"]["stdout_bytes"] = 4_000_000
    assert wording.gaps(report) == [
        ("loss", "1 event could not be delivered and is lost"),
        ("loss", "3 records could not be understood; events.parquet keeps them raw"),
        ("loss", "the run ended when the machine went off"),
        ("loss", "yara failed"),
        ("loss", "pcap is damaged"),
        ("note", "1,300 calls are not in the report, only in events.parquet"),
        ("note", "1 process is not in the report"),
        ("note", "2 of new left out"),
        ("note", "of 4 MB of standard output the report holds the first 93 B"),
    ]


@given(JSON)
def test_any_report_gets_words(value: Any) -> None:
    own = dict.fromkeys(("trace", "omitted", "errors", "output"), value)
    found = wording.gaps({"malkoha": own, "debug": value}) + wording.gaps({"malkoha": value})
    assert all(weight in ("loss", "note") and text for weight, text in found)
    assert isinstance(wording.call_text({"api": "x", "arguments": value, "argument_names": value}), str)
    for say in (wording.duration, wording.size, wording.wait_status, wording.signal_name):
        assert isinstance(say(value), str)


def test_why_a_process_is_shown_that_is_no_descendant() -> None:
    assert wording.cause_text({"why": "cron"}) == "indirect: a cron job of the sample"
    assert wording.cause_text({"why": "<new>"}) == "indirect: <new>"
    assert wording.cause_text(None) == ""
