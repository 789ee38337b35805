"""Files that the sample wrote, in the report."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from malkoha.model.process import Process
from malkoha.processing import dropped
from malkoha.processing.base import Earlier
from malkoha.processing.dropped import DroppedFiles, DroppedModule
from tests.file_records import CLOCK_NS, FileRecording
from tests.unit.processing.folder import analysis

PROCESSES = [
    Process(key=1, pid=100, name="first", started_ns=CLOCK_NS - 10, first_seen_ns=CLOCK_NS - 10),
    Process(key=2, pid=100, name="second", started_ns=CLOCK_NS + 1500, first_seen_ns=CLOCK_NS + 1500),
]


@pytest.fixture(autouse=True)
def trace(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dropped, "Trace", lambda path: SimpleNamespace(processes=PROCESSES))


def section(folder: Path, recording: FileRecording, **summary: Any) -> DroppedFiles:
    facts = analysis(folder)
    facts.store.files.write_bytes(recording.data)
    assert DroppedModule.applies(facts)
    found = SimpleNamespace(section=SimpleNamespace(summary=summary))
    return DroppedModule().run(facts, Earlier({"behavior": found}))


def test_nothing_to_do(tmp_path: Path) -> None:
    facts = analysis(tmp_path)
    assert not DroppedModule.applies(facts)
    facts.store.files.write_bytes(b"")
    assert not DroppedModule.applies(facts)


def test_one_file(tmp_path: Path) -> None:
    data = b"#!/bin/sh\necho http://x.example/\n"
    (entry,) = section(tmp_path, FileRecording().file(1, b"/tmp/..evil/a", data)).entries
    assert (entry.name, entry.filepath, entry.path) == ("a", "/tmp/..evil/a", f"dropped/{entry.sha256}")
    assert (entry.size, entry.true_size, entry.cut, entry.missing, entry.urls) == (33, 33, 0, 0, ["http://x.example/"])
    assert "shell script" in entry.type
    assert (entry.pids, entry.mode, entry.uid, entry.why, entry.deleted) == ([100], "0644", 1000, "closed", False)
    (writer,) = entry.writers
    assert (writer.key, writer.process_name) == (2, "second"), "the pid was reused; it is the one of that time"
    assert writer.last == (CLOCK_NS + 2000) / 1e9


def test_what_became_of_a_file(tmp_path: Path) -> None:
    recording = FileRecording()
    for number, path in enumerate((b"/kept", b"/gone", b"/old", b"/loop", b"/memfd:x (deleted)")):
        recording.file(number, path, b"%d" % number, links=0 if b"memfd" in path else 1)
    found = section(
        tmp_path,
        recording,
        file_deleted=["/gone", "/new"],
        file_moved=[("/old", "/older"), ("/older", "/new"), ("/loop", "/pool"), ("/pool", "/loop")],
    )
    fates = {entry.filepath: (entry.deleted, entry.moved_to) for entry in found.entries}
    assert fates == {
        "/kept": (False, ""),
        "/gone": (True, ""),
        "/old": (True, "/new"),
        "/loop": (False, "/pool"),
        "/memfd:x": (True, ""),
    }


def test_the_same_content_at_the_same_path_is_one_entry(tmp_path: Path) -> None:
    recording = FileRecording().file(1, b"/a", b"same").file(2, b"/b", b"same")
    recording.begin(3, b"/a", 4, version=2, writers=((200, 0, 0),)).piece(3, 0, b"same").end(3, 4)
    first, second = section(tmp_path, recording).entries
    assert (first.filepath, first.pids, second.filepath) == ("/a", [100, 200], "/b")
    assert first.writers[1].first is None
    assert first.path == second.path


def test_what_is_not_whole_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dropped, "ENTRIES", 2)
    recording = FileRecording().begin(1, b"/cut", 9).piece(1, 0, b"1234").end(1, 4, limit=4)
    recording.begin(2, b"/gap", 8).piece(2, 0, b"1234").end(2, 4, missing=4).begin(3, b"/torn", 8)
    found = section(tmp_path, recording)
    assert [(entry.cut, entry.missing) for entry in found.entries] == [(5, 0), (0, 4)]
    assert found.omitted == {"dropped": 1}
    assert found.remarks == [
        "files: 2 were larger than the limit and are cut",
        "files: 1 have gaps, which could not be read in time",
        "files: 1 did not come out to their end",
    ]


def test_ssdeep_has_a_budget(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dropped, "FUZZY_TOTAL", 5000)
    recording = FileRecording().file(1, b"/large", b"l" * 4000).file(2, b"/small", b"s" * 2000)
    assert [entry.ssdeep is None for entry in section(tmp_path, recording).entries] == [True, False]


def test_previews_of_texts_and_of_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dropped, "PREVIEWS", 3)
    recording = FileRecording().file(1, b"/text", "grüße\n".encode() * 2000).file(2, b"/bytes", bytes(range(20)))
    recording.file(3, b"/empty", b"").file(4, b"/more", b"more")
    text, binary, empty, more = section(tmp_path, recording).entries
    assert (text.binary, len(text.preview.encode())) == (False, 4096)
    assert binary.binary
    assert binary.preview.splitlines()[1] == "0010  10 11 12 13" + " " * 39 + "...."
    assert (empty.preview, more.preview) == ("", "")
