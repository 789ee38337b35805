"""docs/reference/cli.md, made from the commands themselves."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from malkoha.cli import app

_BEFORE = """# Commands

Made from the commands by `make docs`; `malkoha COMMAND --help` shows the same. Exit status: 0 done (whatever the
verdict), 2 bad usage, 3 this machine cannot do it, 4 the analysis failed.
"""


def markdown() -> str:
    """Return the page: each command with its options and examples."""
    return _BEFORE + "".join(_section(path, command) for path, command in _leaves(app.command(), ()))


def _leaves(command: Any, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], Any]]:
    below = getattr(command, "commands", {})
    if not below:
        yield path, command
    for name, each in sorted(below.items()):
        yield from _leaves(each, (*path, name))


def _section(path: tuple[str, ...], command: Any) -> str:
    text, _, examples = command.help.replace("\b", "").partition("Examples:")
    arguments = " ".join(
        parameter.metavar or parameter.name.upper()
        for parameter in command.params
        if parameter.param_type_name == "argument"
    )
    parts = [
        f"\n## malkoha {' '.join(path)}\n\n```\nmalkoha {' '.join(path)} [OPTIONS] {arguments}".rstrip() + "\n```\n"
    ]
    parts.append("\n" + "\n\n".join(" ".join(each.split()) for each in re.split(r"\n\s*\n", text.strip())) + "\n")
    rows = [
        f"| `{', '.join(parameter.opts)}` | {_cell(parameter.help)} |\n"
        for parameter in command.params
        if parameter.param_type_name == "option"
    ]
    parts.append("\n| option | meaning |\n|---|---|\n" + "".join(rows))
    lines = [line.strip() for line in examples.splitlines() if line.strip()]
    parts.append("\n```\n" + "".join(f"{line}\n" for line in lines) + "```\n")
    return "".join(parts)


def _cell(text: str | None) -> str:
    return " ".join((text or "").split()).replace("|", "\\|")
