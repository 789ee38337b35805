"""Files and buffers as the page shows them."""

from __future__ import annotations

from typing import Any

from malkoha.reporting import files
from malkoha.reporting.html_report import render

ENTRY: dict[str, Any] = {
    "name": "a",
    "filepath": "/tmp/a\n<b>",
    "size": 10,
    "true_size": 2000,
    "cut": 1990,
    "missing": 3,
    "deleted": True,
    "moved_to": "/tmp/b",
    "version": 2,
    "sha256": "ab",
    "type": "data",
    "writers": [{"pid": 100, "key": 1, "process_name": "sh", "first": 1.0, "last": 2.0}],
    "writers_total": 3,
    "taken": 1_700_000_000.25,
    "why": "closed",
    "preview": "0000  <script>alert(1)</script>\u202e",
}
BUFFER: dict[str, Any] = {
    "pid": 101, "key": 2, "process_name": "dash", "first": 1.0, "size": 9000, "text": "id\n<i>", "cut": 5,
    "source": "processes", "path": "", "source_pids": [99],
}  # fmt: skip


def test_a_file() -> None:
    (row,) = files.taken({"dropped": [ENTRY]})["entries"]
    assert row["path"] == "/tmp/a\n<b>"
    assert row["size"] == "2 kB"
    assert row["remarks"] == ["deleted", "moved to /tmp/b", "cut: 10 B of 2 kB", "3 B could not be had", "version 2"]
    assert row["writers"] == [{"name": "sh", "pid": 100, "owner": 1}]
    assert (row["more"], row["when"], row["why"]) == ("and 2 more processes", "22:13:20.250", "closed")


def test_entries_of_other_makers_are_shown_as_well() -> None:
    (row,) = files.taken({"dropped": [{"name": "x", "size": 5, "sha256": "ab", "type": "data"}]})["entries"]
    assert (row["path"], row["size"], row["remarks"], row["writers"]) == ("x", "5 B", [], [])
    assert files.taken({}) == {"entries": [], "buffers": [], "dumps": [], "machine": "", "any": False}


def test_a_buffer() -> None:
    (row,) = files.taken({"buffer": [BUFFER]})["buffers"]
    assert (row["source"], row["size"], row["cut"]) == ("process 99", "9 kB", "5 B of it are not here")
    (row,) = files.taken({"buffer": [{**BUFFER, "source_pids": [], "path": "10.0.0.1:80"}]})["buffers"]
    assert row["source"] == "10.0.0.1:80"


def test_memory() -> None:
    region = {"protect": "rwxp"}
    dump = {
        "pid": 7,
        "key": 3,
        "process_name": "sh",
        "file": "memory/7.dmp",
        "size": 4096,
        "cut": 10,
        "regions": [region],
    }
    found = files.taken({"procmemory": [dump], "memory": {"file": "memory.dmp", "size": 1 << 30, "ended_before": 2}})
    assert found["dumps"] == [
        {
            "process": {"name": "sh", "pid": 7, "owner": 3},
            "file": "memory/7.dmp",
            "size": "4.1 kB",
            "cut": "10 B",
            "regions": "1",
            "odd": "1",
        }
    ]
    assert found["machine"] == "The memory of the machine is in memory.dmp (1.07 GB). 2 processes had ended before."
    assert "memory/7.dmp" in render({"procmemory": [dump]})


def test_previews_have_a_budget() -> None:
    many = [{**ENTRY, "preview": "x" * 5000}] * 300
    texts = [row["text"] for row in files.taken({"dropped": many})["entries"]]
    assert sum(map(len, texts)) <= files.PREVIEWS
    assert (texts[0], texts[-1]) == ("x" * 5000, "")


def test_nothing_of_it_becomes_markup() -> None:
    page = render({"dropped": [ENTRY], "buffer": [BUFFER]})
    assert "&lt;script&gt;alert(1)" in page
    assert "<script>alert" not in page
    assert "\u202e" not in page
    assert "id\n&lt;i&gt;" in page
    assert 'id="files"' in page
    assert 'id="files"' not in render({})
