"""The command ``malkoha`` and its list of commands."""

from __future__ import annotations

from importlib import import_module
from keyword import iskeyword
from typing import Annotated, Any

import typer

from malkoha import __version__

COMMANDS = (
    "analyze",
    "submit",
    "run",
    "worker",
    "serve",
    "tasks",
    "report",
    "trace",
    "export",
    "process",
    "import",
    "clean",
    "backup",
    "restore",
    "doctor",
    "init",
)
"""Each is a function in the module of its name, with a _ behind it where that is a word of Python."""
GROUPS = ("image", "machine", "rules", "token")
"""Each is a module with an ``app`` of its own."""


def command(wanted: str | None = None) -> Any:
    """Return the command line, ready to be called with arguments.

    When ``wanted`` names a command, only that one is imported and put in: the sample waits for it.
    """
    app = typer.Typer(
        name="malkoha",
        add_completion=False,
        rich_markup_mode="rich",
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    app.callback(invoke_without_command=True)(root)
    names = (wanted,) if wanted in (*COMMANDS, *GROUPS) else (*COMMANDS, *GROUPS)
    for name in names:
        place = place_of(name)
        module = import_module(f"malkoha.cli.{place}")
        if name in GROUPS:
            app.add_typer(module.app)
        else:
            app.command(name)(getattr(module, place))
    return typer.main.get_command(app)


def place_of(name: str) -> str:
    """Return the name of a command's module and function."""
    return f"{name}_" if iskeyword(name) else name


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"malkoha {__version__}")
        raise typer.Exit


def root(
    context: typer.Context,
    version: Annotated[
        bool, typer.Option("--version", help="Show the version.", callback=_show_version, is_eager=True)
    ] = False,
) -> None:
    """Run Linux malware in a disposable virtual machine and report every system call that it made.

    \b
    Examples:
      malkoha analyze ./suspicious            run it, wait, show the verdict
      malkoha analyze --json ./suspicious     report.json on standard output
      malkoha doctor                          what this machine can do
      malkoha analyze --help                  all options of a command

    Exit status: 0 done (whatever the verdict), 2 bad usage, 3 this machine cannot do it, 4 the analysis failed.
    """
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())
