"""What lies in the folder beside the trace."""

from __future__ import annotations

import hashlib
from pathlib import Path

import msgspec

from malkoha.model.files import Dropped
from malkoha.model.task import Options
from malkoha.processing import artefacts
from malkoha.processing.artefacts import DebugModule, OutputModule, ScreenshotsModule
from malkoha.processing.base import Earlier
from malkoha.processing.dropped import DroppedFiles
from tests.unit.processing.folder import analysis

DROPPED = {
    "name": "", "path": "", "size": 1, "crc32": "", "md5": "", "sha1": "", "sha512": "", "ssdeep": None, "type": "",
    "pids": [], "writers": [], "writers_total": 0, "taken": 0.0, "why": "closed", "version": 1, "true_size": 1,
    "cut": 0, "missing": 0, "deleted": False, "moved_to": "", "mode": "0644", "uid": 0, "binary": True, "preview": "",
}  # fmt: skip


def test_nothing_there(tmp_path: Path) -> None:
    facts, earlier = analysis(tmp_path), Earlier({})
    assert ScreenshotsModule().run(facts, earlier) == []
    debug = DebugModule().run(facts, earlier)
    assert (debug.log, debug.errors) == ([], ["the agent was slow"])
    output = OutputModule().run(facts, earlier)
    assert (output.stdout, output.stdout_bytes) == ("", 0)


def test_screenshots_have_plain_names(tmp_path: Path) -> None:
    facts = analysis(tmp_path)
    facts.store.screenshots.mkdir()
    for name in ("1.png", "2.jpg", "x.png", "..png", "3.svg"):
        (facts.store.screenshots / name).write_bytes(b"x")
    found = ScreenshotsModule().run(facts, Earlier({}))
    assert [shot["path"] for shot in found] == ["screenshots/1.png", "screenshots/2.jpg"]


def test_the_picture_of_a_browser_is_a_screenshot(tmp_path: Path) -> None:
    plain = analysis(tmp_path)
    task = msgspec.structs.replace(plain.task, options=Options(extra={"client": "browser"}))
    facts = msgspec.structs.replace(plain, task=task)
    facts.store.dropped.mkdir()
    entries = []
    for where, content in (
        ("/tmp/tmpab/x.png", b"\x89PNG\r\n\x1a\nother"),
        ("/tmp/tmpab/page.png", b"no picture"),
        ("/tmp/tmpab/page.png", b"\x89PNG\r\n\x1a\nseen"),
        ("/tmp/tmpab/page.png", b"\x89PNG\r\n\x1a\nlater"),
    ):
        digest = hashlib.sha256(content).hexdigest()
        (facts.store.dropped / digest).write_bytes(content)
        entries.append(msgspec.convert(DROPPED | {"filepath": where, "sha256": digest}, Dropped))
    earlier = Earlier({"dropped": DroppedFiles(entries)})
    assert ScreenshotsModule().run(plain, earlier) == []
    assert ScreenshotsModule().run(facts, earlier) == [{"path": "screenshots/0001.png", "ocr": ""}]
    assert (facts.store.screenshots / "0001.png").read_bytes().endswith(b"seen")


def test_the_log_is_bounded(tmp_path: Path) -> None:
    facts = analysis(tmp_path)
    facts.store.log.write_text("".join(f"line {number}\n" for number in range(5000)))
    log = DebugModule().run(facts, Earlier({})).log
    assert (len(log), log[-1]) == (artefacts.LOG_LINES, "line 4999")


def test_output_of_any_bytes(tmp_path: Path) -> None:
    facts = analysis(tmp_path)
    facts.store.stdout.write_bytes(b"hello world!\n\xff" + b"x" * artefacts.OUTPUT_BYTES)
    output = OutputModule().run(facts, Earlier({}))
    assert output.stdout.startswith("hello world!\nÿxxx")
    assert (len(output.stdout), output.stdout_bytes) == (artefacts.OUTPUT_BYTES, artefacts.OUTPUT_BYTES + 14)
