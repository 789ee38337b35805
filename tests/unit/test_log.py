from __future__ import annotations

import io
import json
import logging
import sys
import threading
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from malkoha.log import BoundedFileHandler, LineFormatter, TaskFilter, analysis_log, printable, set_up

log = logging.getLogger("malkoha.test")


def test_lines_go_to_their_analysis(tmp_path: Path) -> None:
    first, second = tmp_path / "1" / "analysis.log", tmp_path / "2" / "analysis.log"
    inside, go_on = threading.Event(), threading.Event()

    def other() -> None:
        with analysis_log(second, 2):
            inside.set()
            go_on.wait(10)
            log.warning("of two")

    with analysis_log(first, 1):
        thread = threading.Thread(target=other)
        thread.start()
        assert inside.wait(10)
        log.info("of one")
        go_on.set()
        thread.join()
    log.warning("of none")
    assert [line.split(": ")[1] for line in first.read_text().splitlines()] == ["of one"]
    assert [line.split(": ")[1] for line in second.read_text().splitlines()] == ["of two"]
    assert " INFO 1 malkoha.test" in first.read_text()


def test_lines_of_threads_without_a_task_are_kept(tmp_path: Path) -> None:
    path = tmp_path / "analysis.log"
    with analysis_log(path, 1):
        thread = threading.Thread(target=lambda: log.warning("from a thread"))
        thread.start()
        thread.join()
    assert "from a thread" in path.read_text()


def test_nested_blocks_write_one_line(tmp_path: Path) -> None:
    path = tmp_path / "analysis.log"
    with analysis_log(path, 1), analysis_log(path, 1):
        log.warning("once")
    assert path.read_text().count("once") == 1
    with analysis_log(path, 1):
        log.warning("again")
    assert len(path.read_text().splitlines()) == 2


def test_a_message_cannot_forge_a_line_or_steer_a_terminal() -> None:
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.addFilter(TaskFilter())
    handler.setFormatter(LineFormatter())
    try:
        raise ValueError("a\x1b[2Jb")
    except ValueError:
        record = logging.LogRecord("malkoha", 30, __file__, 1, "x\n%s\x1b[2J", ("\r2026 INFO forged",), None)
        with_trace = logging.LogRecord("malkoha", 30, __file__, 1, "y", (), logging.sys.exc_info())  # type: ignore[attr-defined]
    handler.handle(record)
    assert stream.getvalue().count("\n") == 1
    handler.handle(with_trace)
    assert "\x1b" not in stream.getvalue()
    assert "ValueError" in stream.getvalue()


def test_the_log_is_bounded(tmp_path: Path) -> None:
    path = tmp_path / "analysis.log"
    handler = BoundedFileHandler(path, limit=2000)
    handler.addFilter(TaskFilter())
    handler.setFormatter(LineFormatter())
    for number in range(1000):
        handler.handle(logging.LogRecord("malkoha", 30, "", 1, "line %d", (number,), None))
    handler.close()
    lines = path.read_text().splitlines()
    assert len(lines) < 60
    assert lines[-1].endswith("the log is full; later lines are dropped")


def test_a_full_disk_ends_the_log_and_nothing_else(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shown = io.StringIO()
    set_up(shown)
    path = tmp_path / "analysis.log"
    path.symlink_to("/dev/full")
    with analysis_log(path, 1):
        log.info("first")
        log.info("second")
    assert shown.getvalue().count("ends here: No space left on device") == 1
    assert len(shown.getvalue().splitlines()) == 1
    assert capsys.readouterr().err == ""


def test_set_up_replaces_its_own_handler() -> None:
    first, second = io.StringIO(), io.StringIO()
    set_up(first)
    set_up(second)
    log.warning("shown")
    log.info("not shown")
    assert first.getvalue() == ""
    assert second.getvalue().count("shown") == 1


@given(st.text())
def test_printable_text_is_printable_and_readable_text_is_kept(text: str) -> None:
    assert printable(text).isprintable()
    if text.isprintable():
        assert printable(text) == text


def test_json_lines_hold_whatever_is_logged() -> None:
    stream = io.StringIO()
    set_up(stream, logging.INFO, as_json=True)
    try:
        try:
            raise ValueError("bad\nnews")
        except ValueError:
            logging.getLogger("malkoha.x").exception("a \ud800 %s", "\x1b[2J\n", extra={"facts": {"path": "/a"}})
    finally:
        set_up(sys.stderr)
    (line,) = stream.getvalue().splitlines()
    told = json.loads(line)
    assert (told["level"], told["logger"], told["path"]) == ("error", "malkoha.x", "/a")
    assert told["message"] == "a \ud800 \x1b[2J\n"
    assert "ValueError" in told["exception"]
    assert told["time"].endswith("+00:00")
