"""``malkoha init``: make the home and its config.toml."""

from __future__ import annotations

from typing import Annotated

import typer

from malkoha.cli import terminal


def init(
    force: Annotated[
        bool, typer.Option("--force", help="Replace config.toml; the old one stays as config.toml.old.")
    ] = False,
    debug: terminal.Debug = False,
) -> None:
    """Make a config.toml that lists every setting.

    It stands in MALKOHA_HOME. Nothing needs it: all settings have defaults.

    \b
    Examples:
      malkoha init
      MALKOHA_HOME=/srv/malkoha malkoha init
    """
    from malkoha import config
    from malkoha.errors import UsageError

    home = config.home_from()
    if home.config.exists():
        if not force:
            raise UsageError(f"{home.config} exists already", "", "edit it, or replace it with --force")
        home.config.replace(home.config.with_suffix(".toml.old"))
    home.root.mkdir(parents=True, exist_ok=True)
    home.config.write_text(config.template(), encoding="utf-8")
    print(terminal.plain(str(home.config)))
