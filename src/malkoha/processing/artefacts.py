"""Sections of what came out of the guest beside trace and files: screenshots, the logs, the printed output."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from malkoha import urls
from malkoha.model.report import Debug, Output
from malkoha.processing.base import Earlier, Facts, Processing
from malkoha.processing.dropped import DroppedFiles, DroppedModule
from malkoha.trace.stap import text_of

FILES = 1_000
LOG_LINES = 2_000
LOG_BYTES = 1 << 20
PICTURE_BYTES = 8 << 20
OUTPUT_BYTES = 64 << 10
_SHOT = re.compile(r"[0-9]{1,6}\.(?:png|jpg)")


def _files(folder: Path) -> list[Path]:
    if not folder.is_dir():
        return []
    return sorted(path for path in folder.iterdir() if path.is_file() and not path.is_symlink())[:FILES]


class ScreenshotsModule(Processing):
    """Make the section ``screenshots``: pictures that were taken, among them that of a browser that opened a URL."""

    name = "screenshots"
    requires = (DroppedModule,)

    def run(self, facts: Facts, earlier: Earlier) -> list[dict[str, Any]]:
        dropped = earlier.get(DroppedModule)
        if facts.task.options.extra.get("client") == "browser" and dropped is not None:
            _take_picture(facts, dropped)
        names = [path.name for path in _files(facts.store.screenshots) if _SHOT.fullmatch(path.name)]
        return [{"path": f"screenshots/{name}", "ocr": ""} for name in names]


def _take_picture(facts: Facts, dropped: DroppedFiles) -> None:
    """Keep what the browser's program saw first as a screenshot."""
    for entry in dropped.entries:
        path = facts.store.dropped / entry.sha256
        ours = urls.FOLDER.fullmatch(entry.filepath) is not None and entry.filepath.endswith(f"/{urls.PICTURE}")
        if ours and path.is_file() and path.stat().st_size <= PICTURE_BYTES:
            content = path.read_bytes()
            if content.startswith(b"\x89PNG\r\n\x1a\n"):
                facts.store.screenshots.mkdir(exist_ok=True)
                (facts.store.screenshots / "0001.png").write_bytes(content)
                return


class DebugModule(Processing):
    """Make the section ``debug``: the last lines of analysis.log, and the errors of the run."""

    name = "debug"

    def run(self, facts: Facts, earlier: Earlier) -> Debug:
        del earlier
        lines: list[str] = []
        if facts.store.log.exists():
            with facts.store.log.open("rb") as file:
                file.seek(max(0, facts.store.log.stat().st_size - LOG_BYTES))
                lines = text_of(file.read(LOG_BYTES)).splitlines()[-LOG_LINES:]
        return Debug(log=lines, errors=list(facts.run.errors))


class OutputModule(Processing):
    """Make ``malkoha.output``: the beginning of standard output and error."""

    name = "output"

    def run(self, facts: Facts, earlier: Earlier) -> Output:
        del earlier
        streams = {}
        for name, path in (("stdout", facts.store.stdout), ("stderr", facts.store.stderr)):
            size = path.stat().st_size if path.exists() else 0
            with path.open("rb") if size else Path("/dev/null").open("rb") as file:
                streams[name] = (text_of(file.read(OUTPUT_BYTES)), size)
        return Output(
            stdout=streams["stdout"][0],
            stderr=streams["stderr"][0],
            stdout_bytes=streams["stdout"][1],
            stderr_bytes=streams["stderr"][1],
        )
