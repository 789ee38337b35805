"""``malkoha token``: who may use the service."""

from __future__ import annotations

from typing import Annotated

import typer

from malkoha.cli import terminal

app = typer.Typer(name="token", help="Add, list and remove tokens of the service.", no_args_is_help=True)
Name = Annotated[str, typer.Argument(help="What the token is called: who or what uses it.", show_default=False)]


@app.command("add")
def add(
    name: Name,
    role: Annotated[str, typer.Option(help="read; submit, which may read too; or admin.", metavar="ROLE")] = "submit",
    debug: terminal.Debug = False,
) -> None:
    """Make a token and print its secret, once: only a hash is kept.

    \b
    Examples:
      malkoha token add mailgate                  submits and reads
      malkoha token add alice --role admin
    """
    from malkoha.errors import UsageError
    from malkoha.web.tokens import Role, Tokens

    if role not in list(Role):
        raise UsageError(f"there is no role {role!r}", "", f"known are: {', '.join(Role)}")
    home, _ = terminal.surroundings()
    print(Tokens(home).add(name, Role(role)))


@app.command("list")
def list_(debug: terminal.Debug = False) -> None:
    """List the tokens, without their secrets.

    \b
    Examples:
      malkoha token list
    """
    from malkoha.web.tokens import Tokens

    home, settings = terminal.surroundings()
    rows = [
        (token.name, token.role.value, f"{token.added_at:%Y-%m-%d %H:%M}")
        for token in Tokens(home, settings.service.token).all()
    ]
    terminal.table(("name", "role", "added"), rows)


@app.command("remove")
def remove(name: Name, debug: terminal.Debug = False) -> None:
    """Remove a token: whoever shows it is refused from now on.

    \b
    Examples:
      malkoha token remove mailgate
    """
    from malkoha.web.tokens import Tokens

    home, _ = terminal.surroundings()
    Tokens(home).remove(name)
