"""Readers of formats that the standard library does not know: 7z, rar, cpio, deb, rpm, cab, ISO, zstd and others.

libarchive reads them all; py7zr reads an encrypted 7z, which it does not. Nothing here writes under a name of the
archive, and what comes out is bounded as it comes.
"""

from __future__ import annotations

import io
import os
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import IO, Any

from malkoha.processing.members import Full, Member, Reading

_CHUNK = 1 << 16


class _Blocks(io.RawIOBase):
    """What libarchive makes of one entry; its errors are those of files."""

    def __init__(self, entry: Any, limit: int) -> None:
        self._blocks = entry.get_blocks(_CHUNK)
        self._rest = b""
        self._limit, self._left = limit, limit + _CHUNK

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        if not self._rest:
            self._rest = _told(lambda: next(self._blocks, b""))
            self._left -= len(self._rest)
            if self._left < 0:
                raise Full(f"more than {self._limit >> 20} MiB came out of it")
        part, self._rest = self._rest[: len(buffer)], self._rest[len(buffer) :]
        buffer[: len(part)] = part
        return len(part)

    def drain(self) -> None:
        """Read what is left: libarchive would do it without a limit."""
        while self.read(_CHUNK):
            pass


def _told(step: Any) -> Any:
    """Do something with libarchive; raise OSError for what it raises."""
    import libarchive

    try:
        return step()
    except libarchive.ArchiveError as error:
        raise OSError(str(getattr(error, "msg", "") or error)) from error


class _Archive:
    """libarchive on an open file, from its start; a context."""

    def __init__(self, file: IO[bytes], form: str = "all") -> None:
        self._file, self._form = file, form
        self._stack = ExitStack()

    def __enter__(self) -> Any:
        import libarchive

        os.lseek(self._file.fileno(), 0, os.SEEK_SET)
        return _told(
            lambda: self._stack.enter_context(libarchive.fd_reader(self._file.fileno(), self._form, block_size=_CHUNK))
        )

    def __exit__(self, *why: object) -> None:
        self._stack.close()


def any_format(file: IO[bytes], name: bytes, walk: Reading) -> Iterator[tuple[Member, IO[bytes] | None]]:
    """Read whatever libarchive reads; encrypted members are listed, and said not to be read."""
    del name
    with _Archive(file) as archive:
        entries = iter(archive)
        while (entry := _told(lambda: next(entries, None))) is not None:
            called = (
                entry.pathname
                if isinstance(entry.pathname, bytes)
                else (entry.pathname or "").encode("utf-8", "surrogateescape")
            )
            member = Member(called, int(entry.size or 0))
            if not entry.isreg or entry.islnk:
                member.kind = "folder" if entry.isdir else "link" if entry.issym or entry.islnk else "other"
                yield member, None
                continue
            blocks = _Blocks(entry, walk.allowed)
            yield member, io.BufferedReader(blocks, _CHUNK)
            if "ncrypt" in member.why or "Crypto" in member.why:
                member.encrypted = True
            elif not member.why:
                blocks.drain()


def rar(file: IO[bytes], name: bytes, walk: Reading) -> Iterator[tuple[Member, IO[bytes] | None]]:
    """Read a rar; what is encrypted is told: libarchive takes some of it for content, and nothing free decrypts it."""
    import rarfile

    sealed: set[bytes] = set()
    file.seek(0)
    try:
        with rarfile.RarFile(file) as archive:
            sealed = {info.filename.rstrip("/").encode() for info in archive.infolist() if info.needs_password()}
            if archive.needs_password() and not sealed:
                walk.contents.remarks.append("encrypted, and its names as well: rar is not decrypted")
                return
    except Exception:  # noqa: BLE001 - it is damaged; libarchive says how
        sealed = set()
    for member, source in any_format(file, name, walk):
        if member.name in sealed:
            member.encrypted, member.why = True, "encrypted, and rar is not decrypted"
            yield member, None
        else:
            yield member, source


class Raw(io.BufferedReader):
    """One compressed stream, decompressed: zstd, lz4, lzip, compress."""

    def __init__(self, file: IO[bytes]) -> None:
        self._stack = ExitStack()
        archive = self._stack.enter_context(_Archive(file, "raw"))
        entry = _told(lambda: next(iter(archive), None))
        # the reader of containers bounds what comes out
        super().__init__(_Blocks(entry, 1 << 62) if entry is not None else io.BytesIO(), _CHUNK)

    def close(self) -> None:
        """Let go of libarchive as well."""
        super().close()
        self._stack.close()


def seven_zip(file: IO[bytes], name: bytes, walk: Reading) -> Iterator[tuple[Member, IO[bytes] | None]]:
    """Read a 7z; an encrypted one with the first password that fits."""
    sealed, trouble = _encrypted(file)
    if not sealed:
        found_any = False
        for each in any_format(file, name, walk):
            found_any = True
            yield each
        if trouble and not found_any:
            walk.contents.remarks.append(f"damaged: {trouble}")
        return
    with tempfile.TemporaryDirectory(prefix="malkoha-7z-") as temporary:
        for password in dict.fromkeys((walk.contents.password, *walk.passwords)):
            found = _decrypted(file, password, Path(temporary), walk) if password else None
            if found is not None:
                walk.contents.password = password
                yield from found
                return
    walk.contents.remarks.append("encrypted, and no password that was tried fits")
    for member, _ in any_format(file, name, walk):  # its names, if they can be read
        member.encrypted, member.why = member.kind == "file", "encrypted"
        yield member, None


def _encrypted(file: IO[bytes]) -> tuple[bool, str]:
    """Tell whether a 7z needs a password, and what is wrong with its header."""
    import py7zr

    file.seek(0)
    try:
        with py7zr.SevenZipFile(file) as archive:
            return bool(archive.needs_password()), ""
    except py7zr.PasswordRequired:
        return True, ""
    except Exception as error:  # noqa: BLE001 - it is damaged, in whatever way
        return False, (str(error) or type(error).__name__).splitlines()[0][:200]


def _decrypted(
    file: IO[bytes], password: str, folder: Path, walk: Reading
) -> Iterator[tuple[Member, IO[bytes] | None]] | None:
    """Unpack with a password; None when it does not fit."""
    import py7zr

    file.seek(0)
    spool = _spool(folder, walk)
    try:
        with py7zr.SevenZipFile(file, password=password) as archive:
            members = [
                (info.filename, info.is_directory, info.is_symlink, info.uncompressed) for info in archive.list()
            ]
            archive.extractall(folder, factory=spool)
    except Full:
        raise
    except Exception:  # noqa: BLE001 - a wrong password shows as any kind of damage
        return None
    return _spooled(members, spool.paths, folder)


def _spooled(
    members: list[tuple[str, bool, bool, int]], paths: dict[str, Path], folder: Path
) -> Iterator[tuple[Member, IO[bytes] | None]]:
    for called, is_folder, is_link, size in members:
        member = Member(called.encode("utf-8", "surrogateescape"), int(size))
        member.encrypted = not is_folder
        path = paths.get((folder / called).as_posix())
        if is_folder or is_link or path is None:
            member.kind = "folder" if is_folder else "link" if is_link else "file"
            yield member, None
            continue
        with path.open("rb") as source:
            yield member, source


def _spool(folder: Path, walk: Reading) -> Any:
    """Make what py7zr writes to: numbered files, no more bytes than may come out."""
    import py7zr.io

    class Spool(py7zr.io.WriterFactory):
        def __init__(self) -> None:
            self.paths: dict[str, Path] = {}
            self.left = walk.allowed

        def create(self, filename: str) -> Any:
            if len(self.paths) >= walk.limits.members:
                raise Full(f"it has more than {walk.limits.members} members")
            path = self.paths[filename] = folder / str(len(self.paths))
            path.write_bytes(b"")
            return Written(path, self)

    class Written(py7zr.io.Py7zIO):
        def __init__(self, path: Path, spool: Spool) -> None:
            self._path, self._spool = path, spool

        def write(self, s: bytes | bytearray) -> int:
            self._spool.left -= len(s)
            if self._spool.left < 0:
                raise Full(f"more than {walk.allowed >> 20} MiB came out of it")
            with self._path.open("ab") as file:
                return file.write(s)

        def read(self, size: int | None = None) -> bytes:
            del size
            return b""

        def seek(self, offset: int, whence: int = 0) -> int:
            del offset, whence
            return 0

        def flush(self) -> None:
            pass

        def size(self) -> int:
            return self._path.stat().st_size

    return Spool()
