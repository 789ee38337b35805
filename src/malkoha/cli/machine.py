"""``malkoha machine``: virtual machines that run now."""

from __future__ import annotations

from typing import Annotated

import typer

from malkoha.cli import terminal

app = typer.Typer(name="machine", no_args_is_help=False, help="Look at running virtual machines.")


@app.command("list")
def list_(
    as_json: Annotated[bool, typer.Option("--json", help="Print a JSON list.")] = False, debug: terminal.Debug = False
) -> None:
    """List the virtual machines of this home that run now; machines live only as long as their analysis.

    \b
    Examples:
      malkoha machine list
      malkoha machine list --json
    """
    from malkoha.machinery import cleanup

    home, _ = terminal.surroundings()
    found = cleanup.machines(home)
    if as_json:
        terminal.write_json(found)
        return
    rows = [(each.pid, each.owner, f"{each.running_s:.0f} s", f"{each.memory_mb} MiB") for each in found]
    terminal.table(("pid", "run by", "running", "memory"), rows)
