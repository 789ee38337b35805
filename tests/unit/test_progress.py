from __future__ import annotations

import pytest

from malkoha.progress import SILENT, Progress


def test_silence(capsys: pytest.CaptureFixture[str]) -> None:
    progress: Progress = SILENT
    progress.step("One", 3)
    progress.advance()
    progress.advance(2, "note")
    assert capsys.readouterr() == ("", "")
