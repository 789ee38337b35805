"""A whole home in one tar archive, and back: settings, tokens, rules, the table of tasks, and every analysis.

Images, snapshots and caches are left out: they are made anew. The table is copied by SQLite itself, so a backup can be
made while the service runs; an analysis that runs meanwhile is kept as far as it is there, and settled by `restore`.
"""

from __future__ import annotations

import io
import os
import shutil
import sqlite3
import tarfile
import tempfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path, PurePosixPath
from typing import BinaryIO

import msgspec

import malkoha
from malkoha.errors import HostError, UsageError
from malkoha.progress import SILENT, Progress
from malkoha.store import Home

MARK = "malkoha-backup.json"
"""The first member: what made the archive."""
_BLOCK = 1 << 20


class Content(msgspec.Struct):
    """What an archive holds, or what was brought back."""

    version: str
    files: int = 0
    bytes: int = 0
    skipped: int = 0
    """Files that vanished while the backup was made."""


def write(home: Home, target: BinaryIO, progress: Progress = SILENT) -> Content:
    """Write a home as a tar archive; raise UsageError when there is none."""
    if not home.database.is_file():
        raise UsageError(f"{home.root} holds no analyses", "", "set MALKOHA_HOME to the home that you mean")
    content = Content(malkoha.__version__)
    with tarfile.open(fileobj=target, mode="w|") as archive, tempfile.TemporaryDirectory() as folder:
        _add_bytes(archive, MARK, msgspec.json.encode(content))
        table = Path(folder) / home.database.name
        _copy_table(home.database, table)
        _add(archive, table, home.database.name, content)
        found = list(_files(home))
        progress.step("Writing the backup", len(found))
        for path in found:
            _add(archive, path, str(path.relative_to(home.root)), content)
            progress.advance(1)
    return content


def read(home: Home, source: BinaryIO, progress: Progress = SILENT) -> Content:
    """Bring a backup back into an empty home; raise UsageError when it is not empty or the archive is no backup."""
    if home.database.exists() or (home.analyses.is_dir() and any(home.analyses.iterdir())):
        raise UsageError(
            f"{home.root} holds analyses already", "", "restore into another MALKOHA_HOME, or move it away"
        )
    part = home.root.with_name(home.root.name + ".restoring")
    shutil.rmtree(part, ignore_errors=True)
    progress.step("Reading the backup")
    try:
        part.mkdir(parents=True)
        content = _unpack(source, part, progress)
        _check_table(part / home.database.name)
        home.root.mkdir(parents=True, exist_ok=True)
        for path in sorted(part.iterdir()):
            place = home.root / path.name
            shutil.rmtree(place, ignore_errors=True) if place.is_dir() else place.unlink(missing_ok=True)
            path.rename(place)
    except (tarfile.TarError, EOFError) as error:
        raise UsageError("this is no backup, or a damaged one", str(error)) from error
    except OSError as error:
        raise HostError(f"{home.root} cannot be written", error.strerror or str(error)) from error
    finally:
        shutil.rmtree(part, ignore_errors=True)
    return content


def _files(home: Home) -> Iterator[Path]:
    for path in (home.config, home.tokens, home.last_id):
        if path.is_file():
            yield path
    for folder in (home.rules, home.analyses):
        for path in sorted(folder.rglob("*")) if folder.is_dir() else ():
            if path.is_file() and not path.is_symlink():
                yield path


def _copy_table(source: Path, target: Path) -> None:
    try:
        with closing(sqlite3.connect(source, timeout=60)) as old, closing(sqlite3.connect(target)) as new:
            old.backup(new)
    except sqlite3.Error as error:
        raise HostError(f"{source} cannot be copied", str(error), "malkoha doctor looks closer") from error


def _check_table(path: Path) -> None:
    try:
        with closing(sqlite3.connect(path)) as table:
            table.execute("SELECT count(*) FROM tasks").fetchone()
    except sqlite3.Error as error:
        raise UsageError("this is no backup, or a damaged one", str(error)) from error


def _add(archive: tarfile.TarFile, path: Path, name: str, content: Content) -> None:
    """Add one file as large as it is now, whatever is appended meanwhile."""
    try:
        file = path.open("rb")
    except OSError:
        content.skipped += 1
        return
    with file:
        facts = os.fstat(file.fileno())
        member = tarfile.TarInfo(name)
        member.mode, member.size, member.mtime = facts.st_mode & 0o600, facts.st_size, int(facts.st_mtime)
        archive.addfile(member, file)
    content.files += 1
    content.bytes += member.size


def _add_bytes(archive: tarfile.TarFile, name: str, data: bytes) -> None:
    member = tarfile.TarInfo(name)
    member.mode, member.size = 0o600, len(data)
    archive.addfile(member, io.BytesIO(data))


def _unpack(source: BinaryIO, part: Path, progress: Progress) -> Content:
    """Write the files of an archive below ``part``: plain files alone, under names that stay there."""
    with tarfile.open(fileobj=source, mode="r|*") as archive:
        members = iter(archive)  # a stream: each can be read once, in order
        first = next(members, None)
        mark = archive.extractfile(first) if first is not None and first.name == MARK else None
        if mark is None:
            raise UsageError("this is no backup of malkoha", "", "malkoha backup FILE makes one")
        try:
            content = Content(msgspec.json.decode(mark.read(_BLOCK), type=Content).version)
        except msgspec.MsgspecError as error:
            raise UsageError("this is no backup, or a damaged one", str(error)) from error
        for member in members:
            name = PurePosixPath(member.name)
            file = archive.extractfile(member) if member.isreg() else None
            if file is None or name.is_absolute() or ".." in name.parts:
                raise UsageError("this is no backup of malkoha", f"it holds {member.name[:100]!r}")
            place = part / name
            place.parent.mkdir(parents=True, exist_ok=True)
            with place.open("xb") as target:
                place.chmod(0o600)
                shutil.copyfileobj(file, target, _BLOCK)
            content.files += 1
            content.bytes += member.size
            progress.advance(0, member.name)
    return content
