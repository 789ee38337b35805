from __future__ import annotations

import errno
import io
import os
import pty
from pathlib import Path

import pytest
from rich.console import Console

from malkoha.cli import terminal
from malkoha.cli.bars import Bars
from malkoha.cli.terminal import Lines


def test_lines_tell_steps_and_long_ones_now_and_then(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [0.0]
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    lines = Lines()
    lines.step("Building", 200)
    for _ in range(4):
        lines.advance(10, "a package\n\x1b[2J")
        now[0] += 10
    assert capsys.readouterr().err.splitlines() == [
        "malkoha: Building",
        "malkoha: Building 15 %: a package\\n\\x1b[2J",
    ]


def test_bars_keep_finished_steps_and_escape(monkeypatch: pytest.MonkeyPatch) -> None:
    text = io.StringIO()
    with Bars(Console(file=text, force_terminal=True, width=100)) as bars:
        bars.advance(1, "before any step")
        bars.step("One [red]markup[/red]", 2)
        bars.advance(1, "note \x1b[2J [bold]")
        bars.step("Two\x07")
    shown = text.getvalue()
    assert "One [red]markup[/red]" in shown
    assert "Two\\x07" in shown
    assert "\x1b[2J [bold]" not in shown
    assert "✓" in shown


def test_bars_of_a_failed_step_do_not_claim_success() -> None:
    text = io.StringIO()
    with pytest.raises(KeyboardInterrupt), Bars(Console(file=text, force_terminal=True)) as bars:
        bars.step("One")
        raise KeyboardInterrupt
    assert "✓" not in text.getvalue()


def test_progress_depends_on_the_terminal() -> None:
    with terminal.progress() as progress:
        assert isinstance(progress, Lines)


def test_tables_in_a_pipe_have_tabs(capsys: pytest.CaptureFixture[str]) -> None:
    terminal.table(("a", "b"), [(1, "x\ty\n"), ("[bold]", None)])
    assert capsys.readouterr().out == "a\tb\n1\tx\\ty\\n\n[bold]\tNone\n"


def test_tables_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    leader, follower = pty.openpty()
    with open(follower, "w") as screen:
        monkeypatch.setattr("sys.stdout", screen)
        monkeypatch.setenv("COLUMNS", "60")
        terminal.table(("name",), [("[bold]x\x1b[2J",)])
    shown = os.read(leader, 10000).decode()
    os.close(leader)
    assert "[bold]x\\x1b[2J" in shown


def test_errors_are_red_on_a_terminal_only(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    terminal.error("bad\nthing")
    assert capsys.readouterr().err == "malkoha: bad\\nthing\n"
    leader, follower = pty.openpty()
    with open(follower, "w") as screen:
        monkeypatch.setattr("sys.stderr", screen)
        monkeypatch.delenv("NO_COLOR", raising=False)
        terminal.error("bad")
        monkeypatch.setenv("NO_COLOR", "1")
        terminal.error("plain")
        # a terminal may hand the lines over one by one
        shown = b""
        while shown.count(b"\n") < 2:
            shown += os.read(leader, 1000)
    os.close(leader)
    assert shown.decode().splitlines() == ["\x1b[1;31mmalkoha:\x1b[0m bad", "malkoha: plain"]


def test_os_errors() -> None:
    assert terminal.os_error(OSError(errno.ENOENT, "No such file", "/x")) == "/x: No such file"
    assert terminal.os_error(OSError("odd")) == "odd"


@pytest.mark.parametrize(("root", "opened"), [(True, 0), (False, 1)])
def test_the_browser_is_never_started_by_root(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, root: bool, opened: int
) -> None:
    calls: list[str] = []
    (tmp_path / "report.html").write_text("")
    monkeypatch.setenv("DISPLAY", ":0")
    monkeypatch.setattr("webbrowser.open", calls.append)
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    monkeypatch.setattr("os.geteuid", lambda: 0 if root else 1000)
    terminal.show_report(tmp_path / "report.html")
    terminal.show_report(tmp_path / "nothing.html")
    assert len(calls) == opened
