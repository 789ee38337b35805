"""What lies in the folder beside the trace."""

from __future__ import annotations

from pathlib import Path

from malkoha.processing import artefacts
from malkoha.processing.artefacts import DebugModule, OutputModule, ScreenshotsModule
from malkoha.processing.base import Earlier
from tests.unit.processing.folder import analysis


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
