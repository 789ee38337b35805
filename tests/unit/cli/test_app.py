"""What every command has: help with examples, clear refusals, the exit statuses."""

from __future__ import annotations

import errno
import shlex
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from malkoha import __version__
from malkoha.cli import app, main
from malkoha.errors import HostError, MalkohaError
from malkoha.store import Home

Call = Callable[..., Any]


def every_command(command: Any = None, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    command = command or app.command()
    yield path, command
    for name, below in sorted(getattr(command, "commands", {}).items()):
        yield from every_command(below, (*path, name))


LEAVES = [(path, command) for path, command in every_command() if not getattr(command, "commands", {})]


def test_the_commands_of_the_design_are_there() -> None:
    names = {path[0] for path, _ in every_command() if path}
    wanted = "analyze submit tasks report process import export image machine doctor clean init trace"
    assert set(wanted.split()) <= names
    assert {path for path, _ in LEAVES if path[0] == "image"} == {
        ("image", name) for name in ("build", "list", "remove", "inspect")
    }


@pytest.mark.parametrize("path", [path for path, _ in every_command()], ids=" ".join)
def test_help(malkoha_: Call, path: tuple[str, ...]) -> None:
    result = malkoha_(*path, "--help")
    assert result.status == 0
    assert "Usage: malkoha" in result.out
    assert result.err == ""


@pytest.mark.parametrize(("path", "command"), LEAVES, ids=[" ".join(path) for path, _ in LEAVES])
def test_help_has_examples_and_describes_every_option(path: tuple[str, ...], command: Any) -> None:
    text = command.help
    assert "Examples:" in text
    examples = text.split("Examples:")[1]
    assert f"malkoha {' '.join(path)}" in examples
    for parameter in command.params:
        assert parameter.help, f"{path} {parameter.name}"


def options_in(text: str) -> Iterator[tuple[tuple[str, ...], str]]:
    """Yield each option that stands in an example line, with its command."""
    paths = {path for path, _ in LEAVES}
    for line in text.splitlines():
        words = shlex.split(line.partition("|")[0])
        if "malkoha" not in words[:2]:
            continue
        words = words[words.index("malkoha") + 1 :]
        path = next((tuple(words[:n]) for n in (2, 1) if tuple(words[:n]) in paths), ())
        yield from ((path, word) for word in words if word.startswith("--") and word != "--")


def test_examples_use_options_that_exist() -> None:
    known = {
        path: {name for parameter in command.params for name in (*parameter.opts, *parameter.secondary_opts)}
        for path, command in every_command()
    }
    for _, command in every_command():
        for path, option in options_in(command.help or ""):
            assert option in known[path] | {"--help"}, (path, option)


def test_version(malkoha_: Call) -> None:
    assert malkoha_("--version").out == f"malkoha {__version__}\n"


def test_no_command_shows_help(malkoha_: Call) -> None:
    result = malkoha_()
    assert result.status == 0
    assert "Commands" in result.out


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["nonsense"], "no such command 'nonsense'"),
        (["analyze"], "missing argument"),
        (["analyze", "--nonsense", "x"], "--nonsense"),
        (["analyze", "a", "b"], "unexpected extra argument"),
        (["analyze", "--timeout", "soon", "x"], "--timeout"),
        (["image"], "missing command"),
        (["report", "1", "--bad\x1b[2J"], "--bad"),
        (["tasks", "--status", "odd"], "odd"),
    ],
)
def test_usage_errors_are_one_line(malkoha_: Call, arguments: list[str], words: str) -> None:
    result = malkoha_(*arguments)
    assert (result.status, result.out) == (2, "")
    assert result.err.count("\n") == 1
    assert result.err.startswith("malkoha: ")
    assert words in result.err
    assert result.err.rstrip("\n").isprintable()


@pytest.mark.parametrize(
    ("error", "status", "line"),
    [
        (HostError("no QEMU", "not found", "apt-get install it"), 3, "no QEMU: not found (apt-get install it)"),
        (MalkohaError("it failed"), 4, "it failed"),
        (KeyboardInterrupt(), 130, "interrupted"),
        (OSError(errno.ENOSPC, "No space left on device", "/x"), 3, "/x: No space left on device"),
        (RuntimeError("odd\nthing"), 4, "internal error: RuntimeError: odd\\nthing"),
    ],
)
def test_errors_are_one_line_with_their_status(
    malkoha_: Call, monkeypatch: pytest.MonkeyPatch, error: BaseException, status: int, line: str
) -> None:
    def fail() -> Home:
        raise error

    monkeypatch.setattr("malkoha.config.home_from", fail)
    result = malkoha_("init")
    assert (result.status, result.out, result.err) == (status, "", f"malkoha: {line}\n")
    with_trace = malkoha_("init", "--debug")
    assert ("Traceback" in with_trace.err) is not isinstance(error, KeyboardInterrupt)


def test_sigterm_unwinds_like_ctrl_c(malkoha_: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    before = signal.getsignal(signal.SIGTERM)

    def fail() -> Home:
        signal.raise_signal(signal.SIGTERM)
        raise AssertionError

    monkeypatch.setattr("malkoha.config.home_from", fail)
    assert malkoha_("init").status == 130
    assert signal.getsignal(signal.SIGTERM) is before


def test_a_wrong_setting_is_bad_usage(malkoha_: Call, home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MALKOHA_GUEST_CPUS", "many")
    result = malkoha_("tasks")
    assert result.status == 2
    assert "MALKOHA_GUEST_CPUS" in result.err


def test_as_a_module_and_a_closed_pipe(home: Home) -> None:
    command = f"'{sys.executable}' -m malkoha.cli --help | head -c 1"
    done = subprocess.run(["bash", "-o", "pipefail", "-c", command], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_nothing_heavy_is_imported_for_help() -> None:
    program = "import sys; from malkoha.cli import main; main(['--version'])\n"
    program += "print([name for name in ('sqlalchemy', 'pyarrow', 'duckdb', 'lief', 'jinja2') if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


def test_init(malkoha_: Call, home: Home) -> None:
    result = malkoha_("init")
    assert (result.status, result.out) == (0, f"{home.config}\n")
    assert "[guest]" in home.config.read_text()
    assert malkoha_("init").status == 2
    home.config.write_text("# mine")
    assert malkoha_("init", "--force").status == 0
    assert home.config.with_suffix(".toml.old").read_text() == "# mine"


def test_one_command_alone_is_the_same_command() -> None:
    for name, one in app.command().commands.items():
        alone = app.command(name)
        assert list(alone.commands) == [name]
        assert [each.opts for each in alone.commands[name].params] == [each.opts for each in one.params]
    assert len(app.command("--help").commands) == len(app.command("nonsense").commands) > 10
    assert main([]) == 0


def test_every_module_of_the_command_line_is_used() -> None:
    folder = Path(app.__file__).parent
    assert all((folder / f"{app.place_of(name)}.py").exists() for name in (*app.COMMANDS, *app.GROUPS))
