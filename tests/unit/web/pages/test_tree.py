from __future__ import annotations

from typing import Any

from malkoha.model.process import Cause, Process
from malkoha.web.pages.tree import WIDTH, tree

S = 10**9


def process(key: int, parent: int | None = None, **fields: Any) -> Process:
    facts: dict[str, Any] = {"pid": 100 + key, "name": f"p{key}", "started_ns": key * S, "last_seen_ns": 10 * S}
    return Process(key=key, parent=parent, **facts | fields)


def order(processes: list[Process], **chosen: Any) -> list[tuple[int, int]]:
    return [(row["key"], row["depth"]) for row in tree(processes, {}, **chosen)["rows"]]


def test_children_follow_their_parent() -> None:
    made = [process(0, launcher=True), process(1, 0), process(2, 1), process(3, 1), process(4, 2), process(5, 0)]
    assert order(made) == [(1, 0), (2, 1), (4, 2), (3, 1), (5, 0)]


def test_what_was_handed_over_stands_below_its_cause() -> None:
    made = [process(1), process(2, cause=Cause(why="cron", what="x", by=1))]
    assert order(made) == [(1, 0), (2, 1)]
    assert tree(made, {})["rows"][1]["cause"] == "indirect: a cron job of the sample"


def test_every_process_is_shown_once_even_in_a_circle() -> None:
    assert sorted(order([process(1, 2), process(2, 1), process(3, 3)])) == [(1, 0), (2, 1), (3, 0)]


def test_words_choose_and_pages_go_on() -> None:
    made = [process(number, command_line=f"run {number}") for number in range(1, 8)]
    assert order(made, words="RUN 3") == [(3, 0)]
    assert order(made, words="105") == [(5, 0)]
    first = tree(made, {}, rows=3)
    assert (len(first["rows"]), first["total"], first["next"]) == (3, 7, 3)
    assert tree(made, {}, start=6, rows=3)["next"] is None


def test_the_line_tells_when() -> None:
    made = [process(1, exit_code=0, ended_ns=6 * S), process(2, 1, exit_signal=9, ended_ns=11 * S)]
    told = {
        "signatures": [{"marks": [{"key": 2}, {"key": 2}, {"pid": 1}]}, {"marks": [{"key": 2}]}],
        "network": {"dns": [{"time": 6.0, "cause": {"key": 2}}, {"time": 1e300}, "x"]},
        "dropped": [{"writers": [{"key": 2, "first": 3.5}, {"key": 2, "first": None}]}],
    }
    one, two = tree(made, told)["rows"]
    assert (one["x"], one["width"], one["exit_class"], one["flags"]) == (0.0, WIDTH / 2, "good", 0)
    assert (two["x"], two["width"], two["exit"], two["exit_class"], two["flags"]) == (
        100.0,
        900.0,
        "SIGKILL",
        "bad2",
        2,
    )
    assert two["marks"] == [("net", 500.0), ("file", 250.0)]


def test_no_processes_and_no_report() -> None:
    assert tree([], {})["rows"] == []
    assert (
        tree([process(1, started_ns=0, last_seen_ns=0)], {"signatures": 5, "network": [], "dropped": {}})["total"] == 1
    )
