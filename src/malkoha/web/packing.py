"""Several files of an analysis as one answer: tar and zip archives, made on disk and sent in pieces."""

from __future__ import annotations

import tarfile
import tempfile
import zipfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO

from fastapi.responses import StreamingResponse

PASSWORD = b"infected"
"""What the zips of dropped files are locked with, as everywhere in this trade: so that no scanner takes them away."""


def tar(files: Iterable[tuple[str, Path]], name: str) -> StreamingResponse:
    """Answer with a tar.bz2; no member can be executed."""
    made = tempfile.TemporaryFile()  # noqa: SIM115 - closed when it has been sent
    with tarfile.open(fileobj=made, mode="w:bz2", compresslevel=1) as archive:
        for called, path in files:
            member = tarfile.TarInfo(called)
            member.mode, member.size, member.mtime = 0o600, path.stat().st_size, int(path.stat().st_mtime)
            with path.open("rb") as file:
                archive.addfile(member, file)
    return _sent(made, name, "application/x-tar")


def zipped(files: Iterable[tuple[str, Path]], name: str, *, locked: bool = False) -> StreamingResponse:
    """Answer with a zip; a locked one is encrypted with AES and ``PASSWORD``."""
    made = tempfile.TemporaryFile()  # noqa: SIM115 - closed when it has been sent
    with _zip(made, locked=locked) as archive:
        for called, path in files:
            archive.write(path, called)
    return _sent(made, name, "application/zip")


def _zip(target: IO[bytes], *, locked: bool) -> zipfile.ZipFile:
    if not locked:
        return zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED)
    import pyzipper

    archive: zipfile.ZipFile = pyzipper.AESZipFile(
        target, "w", compression=zipfile.ZIP_DEFLATED, encryption=pyzipper.WZ_AES
    )
    archive.setpassword(PASSWORD)
    return archive


def _sent(made: IO[bytes], name: str, kind: str) -> StreamingResponse:
    made.seek(0)
    headers = {"content-disposition": f'attachment; filename="{name}"'}
    return StreamingResponse(pieces(made), media_type=kind, headers=headers)


def pieces(made: IO[bytes]) -> Iterator[bytes]:
    """Read a file to its end and close it."""
    with made:
        while block := made.read(1 << 20):
            yield block
