"""``malkoha restore``: a home out of the file that ``malkoha backup`` wrote."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from malkoha.cli import terminal


def restore(
    file: Annotated[Path, typer.Argument(help="An archive of `malkoha backup`.", metavar="FILE", show_default=False)],
    debug: terminal.Debug = False,
) -> None:
    """Bring a backup back into an empty MALKOHA_HOME.

    \b
    Examples:
      malkoha restore /mnt/backups/malkoha.tar
      zstd -dc malkoha.tar.zst | malkoha restore /dev/stdin
    """
    from malkoha import backup as backups
    from malkoha.tasks import Tasks

    home, _ = terminal.surroundings()
    with file.open("rb") as source, terminal.progress() as progress:
        content = backups.read(home, source, progress)
    with Tasks(home) as tasks:
        tasks.recover()
    terminal.say(f"{content.files} files, {content.bytes >> 20} MiB, made by malkoha {content.version}")
