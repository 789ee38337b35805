from __future__ import annotations

from typing import Any

from malkoha.reporting.comparison import LISTED, compare
from tests.reports import busy


def test_a_report_is_like_itself() -> None:
    report = busy()
    found = compare(report, report)
    assert found.alike == 1.0
    assert found.first == found.second
    assert all(each.both and not each.first and not each.second for each in found.differences)
    assert {each.aspect for each in found.differences} >= {"signatures", "commands"}


def test_what_only_one_has() -> None:
    first: dict[str, Any] = {
        "info": {"id": 1},
        "signatures": [{"name": "a"}, {"name": "b"}],
        "behavior": {
            "processes": [{"command_line": "sh x"}],
            "summary": {"connects": [{"endpoint": "192.0.2.1:80", "calls": 3}], "file_read": ["/a", "/a"]},
        },
        "network": {"hosts": ["192.0.2.1"], "domains": [{"domain": "a.example", "ip": "192.0.2.1"}]},
        "dropped": [{"sha256": "00"}],
    }
    second: dict[str, Any] = {
        "info": {"id": 2},
        "signatures": [{"name": "b"}, {"name": "c"}],
        "behavior": {"summary": {"connects": [{"endpoint": "192.0.2.1:80", "calls": 9}]}},
        "network": {"hosts": [{"ip": "192.0.2.1"}], "tcp": [{"dst": "192.0.2.1", "dport": 80}]},
    }
    found = compare(first, second)
    assert (found.first.id, found.second.id) == (1, 2)
    by_aspect = {each.aspect: (each.both, each.only_first, each.only_second) for each in found.differences}
    assert by_aspect == {
        "signatures": (1, ["a"], ["c"]),
        "commands": (0, ["sh x"], []),
        "summary.connects": (1, [], []),
        "summary.file_read": (0, ["/a"], []),
        "dropped": (0, ["00"], []),
        "network.hosts": (1, [], []),
        "network.domains": (0, ["a.example"], []),
        "network.tcp": (0, [], ["192.0.2.1:80"]),
    }
    assert found.alike == 0.3


def test_lists_are_cut_and_counted() -> None:
    (one,) = compare({"strings": [str(number) for number in range(LISTED + 5)]}, {}).differences
    assert (one.first, len(one.only_first)) == (LISTED + 5, LISTED)


def test_nonsense_is_no_error() -> None:
    found = compare({"signatures": 3, "network": [], "behavior": {"summary": {"x": [None, 3, ["a", "b"]]}}}, {})
    assert found.alike == 0.0
    assert compare({}, {}).alike == 1.0
