"""``malkoha backup``: a home in one file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from malkoha.cli import terminal


def backup(
    file: Annotated[Path, typer.Argument(help="The tar archive to write.", metavar="FILE", show_default=False)],
    debug: terminal.Debug = False,
) -> None:
    """Write settings, tokens, rules, tasks and analyses into one tar archive; the service may go on meanwhile.

    Images and snapshots are left out, they are built anew.

    \b
    Examples:
      malkoha backup /mnt/backups/malkoha.tar
      malkoha backup /dev/stdout | zstd > malkoha.tar.zst
    """
    from malkoha import backup as backups

    home, _ = terminal.surroundings()
    stream = not file.is_file() and file.exists()
    part = file if stream else file.with_name(file.name + ".part")
    try:
        with part.open("wb") as target, terminal.progress() as progress:
            part.chmod(0o600) if not stream else None
            content = backups.write(home, target, progress)
        if not stream:
            part.replace(file)
    finally:
        if not stream:
            part.unlink(missing_ok=True)
    terminal.say(f"{content.files} files, {content.bytes >> 20} MiB{_skipped(content.skipped)}")


def _skipped(number: int) -> str:
    return f", {number} vanished meanwhile" if number else ""
