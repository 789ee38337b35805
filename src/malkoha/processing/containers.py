"""Reads archives with bounds: zip, tar, 7z, rar and others in; members, contents by hash, and what was cut out.

Names are bytes of the archive and never become paths. A bomb ends at one of the limits: bytes of a member, bytes in
all, bytes for each byte of the archive, members, depth.
"""

from __future__ import annotations

import bz2
import gzip
import hashlib
import io
import lzma
import os
import stat
import struct
import tarfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any, Protocol

import pyzipper

from malkoha.processing import unpackers
from malkoha.processing.members import Contents, Full, Limits, Member

CUSTOMARY = "infected"
"""The password that those who share samples agree on."""
HEAD = 33 << 10
"""Bytes that tell the format: an ISO image begins with 32 KiB of nothing."""
NAME = 4096
_CHUNK = 1 << 18
_STEP = 10_240
"""What is read of a stream at once: little, since what was read before a damage is to be kept."""
_GROWTH = 64 << 20
_BROKEN = (
    OSError, EOFError, ValueError, RuntimeError, NotImplementedError, KeyError, IndexError, OverflowError, MemoryError,
    zlib.error,
    lzma.LZMAError, pyzipper.BadZipFile, tarfile.TarError,
)  # fmt: skip
"""What the readers of the standard library raise on corrupt input."""


_TRADES = frozenset(
    (b"[Content_Types].xml", b"META-INF/MANIFEST.MF", b"AndroidManifest.xml", b"mimetype", b"__main__.py")
)
"""Members of zip files that are something else: office files, Java and Android programs, Python programs."""


class _Reader(Protocol):
    def __call__(self, file: IO[bytes], name: bytes, walk: Walk) -> Iterator[tuple[Member, IO[bytes] | None]]: ...


def kind_of(head: bytes) -> str:
    """Tell the format of an archive by its first bytes; empty for none."""
    marks = (
        (b"PK\x03\x04", "zip"), (b"PK\x05\x06", "zip"), (b"\x1f\x8b\x08", "gzip"), (b"BZh", "bzip2"),
        (b"\xfd7zXZ\0", "xz"), (b"7z\xbc\xaf'\x1c", "7z"), (b"Rar!\x1a\x07", "rar"), (b"\x28\xb5\x2f\xfd", "zstd"),
        (b"\x04\x22\x4d\x18", "lz4"), (b"LZIP", "lzip"), (b"\x1f\x9d", "compress"), (b"MSCF\0\0\0\0", "cab"),
        (b"07070", "cpio"), (b"!<arch>\ndebian-binary", "deb"), (b"\xed\xab\xee\xdb", "rpm"),
    )  # fmt: skip
    if found := next((name for mark, name in marks if head.startswith(mark)), ""):
        return found
    return "tar" if _is_tar(head) else "iso" if head[32_769:32_774] == b"CD001" else ""


def _is_tar(head: bytes) -> bool:
    if len(head) < 512 or not head[:512].strip(b"\0"):
        return False
    try:
        tarfile.TarInfo.frombuf(head[:512], "utf-8", "surrogateescape")
    except (tarfile.TarError, ValueError):
        return False
    return True


def read(path: Path, folder: Path, name: bytes, passwords: list[str], limits: Limits | None = None) -> Contents:
    """Read an archive; keep what its members hold in ``folder``, each content once, named by its SHA-256.

    Nothing is raised for what is damaged: members before the damage are given, and a remark.
    """
    with path.open("rb") as file:
        contents = Contents(kind_of(file.read(HEAD)))
        walk = Walk(folder, contents, [*passwords, CUSTOMARY], limits or Limits(), path.stat().st_size)
        try:
            walk.enter(file, name, b"", 0)
        except Full as full:
            contents.remarks.append(f"not read to the end: {full}")
    return contents


class Walk:
    """The state of one reading: what is left of the limits."""

    def __init__(self, folder: Path, contents: Contents, passwords: list[str], limits: Limits, size: int) -> None:
        self.contents, self.passwords, self.limits = contents, passwords, limits
        self._folder = folder
        self._left = min(limits.total, max(_GROWTH, size * limits.ratio))
        self.allowed = self._left

    def enter(self, file: IO[bytes], name: bytes, prefix: bytes, depth: int) -> None:
        """Read one archive, and those in it."""
        file.seek(0)
        kind = kind_of(file.read(HEAD))
        file.seek(0)
        reader = _READERS.get(kind)
        if reader is None:
            self._remark(prefix, f"{kind or 'this format'} is not read")
            return
        try:
            for member, source in reader(file, name, self):
                self._take(member, source, prefix, depth)
        except _BROKEN as error:
            self._remark(prefix, f"damaged: {_line(error)}")

    def _take(self, member: Member, source: IO[bytes] | None, prefix: bytes, depth: int) -> None:
        if len(self.contents.members) >= self.limits.members:
            raise Full(f"it has more than {self.limits.members} members")
        own = member.name
        member.name = (prefix + own)[:NAME]
        self.contents.members.append(member)
        if source is None:
            return
        try:
            self.keep(member, source)
        except _BROKEN as error:
            member.why = member.why or _line(error)
        if not member.sha256:
            return
        with (self._folder / member.sha256).open("rb") as inner:
            if not is_collection(inner):
                return
            if depth + 1 >= self.limits.depth:
                member.why = f"it lies {depth + 1} archives deep and is not opened"
            else:
                self.enter(inner, own, member.name + b"/", depth + 1)

    def keep(self, member: Member, source: IO[bytes]) -> None:
        """Write what a member holds under its hash; a member that is too large is not kept."""
        digest, size = hashlib.sha256(), 0
        part = self._folder / "part"
        try:
            with part.open("wb") as copy:
                part.chmod(0o600)
                while chunk := source.read(_CHUNK):
                    size += len(chunk)
                    self._left -= len(chunk)
                    if self._left < 0:
                        member.why = "too much came out of the archive"
                        raise Full(f"more than {self.allowed >> 20} MiB came out of it")
                    if size > self.limits.member:
                        member.why = f"it has more than {self.limits.member >> 20} MiB"
                        return
                    digest.update(chunk)
                    copy.write(chunk)
            member.size, member.sha256 = size, digest.hexdigest()
            part.replace(self._folder / member.sha256)
        finally:
            part.unlink(missing_ok=True)

    def _remark(self, prefix: bytes, text: str) -> None:
        where = f"{prefix.rstrip(b'/').decode('utf-8', 'backslashreplace')[:200]}: " if prefix else ""
        self.contents.remarks.append(where + text)


def is_collection(file: IO[bytes]) -> bool:
    """Tell an archive that is opened from a file that is a zip in another trade: Java, Android and office files."""
    file.seek(0)
    kind = kind_of(file.read(HEAD))
    if kind != "zip":
        return kind in _READERS
    return not _first_names(file) & _TRADES


def _first_names(file: IO[bytes]) -> set[bytes]:
    """Give the first names of a zip's directory (APPNOTE.TXT 4.3.12, 4.3.16) without reading more of it than 64 KiB."""
    size = file.seek(0, os.SEEK_END)
    file.seek(max(0, size - (65_535 + 22)))
    tail = file.read()
    end = tail.rfind(b"PK\5\6")
    names: set[bytes] = set()
    if end < 0 or len(tail) < end + 20:
        return names
    file.seek(struct.unpack_from("<I", tail, end + 16)[0])
    directory, at = file.read(65_536), 0
    while len(names) < 50 and directory.startswith(b"PK\1\2", at) and at + 46 <= len(directory):
        name, extra, comment = struct.unpack_from("<HHH", directory, at + 28)
        names.add(directory[at + 46 : at + 46 + name])
        at += 46 + name + extra + comment
    return names


def _line(error: BaseException) -> str:
    return (str(error) or type(error).__name__).splitlines()[0][:200]


def _zip(file: IO[bytes], name: bytes, walk: Walk) -> Iterator[tuple[Member, IO[bytes] | None]]:
    del name
    with pyzipper.AESZipFile(file) as archive:
        for info in archive.infolist():
            called = info.orig_filename.encode("utf-8" if info.flag_bits & 0x800 else "cp437", "backslashreplace")
            member = Member(called, int(info.file_size), encrypted=bool(info.flag_bits & 1))
            mode = info.external_attr >> 16 if info.create_system == 3 else 0
            if info.is_dir():
                member.kind = "folder"
            elif stat.S_IFMT(mode) not in (0, stat.S_IFREG):
                member.kind = "link" if stat.S_ISLNK(mode) else "other"
            source = None if member.kind != "file" else _opened(archive, info, member, walk)
            yield member, source


def _opened(archive: Any, info: Any, member: Member, walk: Walk) -> IO[bytes] | None:
    """Open a member of a zip; of an encrypted one give what the first password that fits makes of it."""
    try:
        if not member.encrypted:
            opened: IO[bytes] = archive.open(info)
            return opened
        for password in (walk.contents.password, *walk.passwords):
            if password and _fits(archive, info, password):
                walk.contents.password = password
                decrypted: IO[bytes] = archive.open(info, pwd=password.encode())
                return decrypted
        member.why = "encrypted, and no password that was tried fits"
    except _BROKEN as error:
        member.why = _line(error)
    return None


def _fits(archive: Any, info: Any, password: str) -> bool:
    """Try a password: the old cipher takes one wrong password in 256 for right, so all is read, for its checksum."""
    try:
        with archive.open(info, pwd=password.encode()) as source:
            for _ in range((64 << 20) // _CHUNK):
                if not source.read(_CHUNK):
                    break
    except _BROKEN as error:
        if isinstance(error, NotImplementedError):
            raise
        return False
    return True


def _tar(file: IO[bytes], name: bytes, walk: Walk) -> Iterator[tuple[Member, IO[bytes] | None]]:
    del name, walk
    with tarfile.open(fileobj=file, mode="r|", errors="surrogateescape", encoding="utf-8") as archive:
        for info in archive:
            member = Member(info.name.encode("utf-8", "surrogateescape"), info.size)
            if not info.isreg():
                member.kind = "folder" if info.isdir() else "link" if info.issym() or info.islnk() else "other"
            yield member, archive.extractfile(info) if info.isreg() else None


def _compressed(kind: Any, ending: bytes) -> _Reader:
    def reader(file: IO[bytes], name: bytes, walk: Walk) -> Iterator[tuple[Member, IO[bytes] | None]]:
        with kind(file) as stream:
            head = stream.read(HEAD)
            whole = io.BufferedReader(_Joined(head, stream, walk.allowed), _STEP)
            if _is_tar(head):
                yield from _tar(whole, name, walk)
                return
            own = name.rpartition(b"/")[2]
            yield Member(own[: -len(ending)] if own.lower().endswith(ending) and own != ending else own, 0), whole

    return reader


class _Joined(io.RawIOBase):
    """What was read of a stream already, and then its rest, up to a limit: skipping in a tar decompresses as well."""

    def __init__(self, head: bytes, rest: Any, limit: int) -> None:
        self._head, self._rest, self._limit, self._left = head, rest, limit, limit + _CHUNK

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        chunk, self._head = (self._head, b"") if self._head else (self._rest.read1(len(buffer)), b"")
        if len(chunk) > len(buffer):
            chunk, self._head = chunk[: len(buffer)], chunk[len(buffer) :]
        self._left -= len(chunk)
        if self._left < 0:
            raise Full(f"more than {self._limit >> 20} MiB came out of it")
        buffer[: len(chunk)] = chunk
        return len(chunk)


_READERS: dict[str, _Reader] = {
    "zip": _zip,
    "tar": _tar,
    "gzip": _compressed(lambda file: gzip.GzipFile(fileobj=file), b".gz"),
    "bzip2": _compressed(bz2.BZ2File, b".bz2"),
    "xz": _compressed(lzma.LZMAFile, b".xz"),
    "zstd": _compressed(unpackers.Raw, b".zst"),
    "lz4": _compressed(unpackers.Raw, b".lz4"),
    "lzip": _compressed(unpackers.Raw, b".lz"),
    "compress": _compressed(unpackers.Raw, b".Z"),
    "7z": unpackers.seven_zip,
    "rar": unpackers.rar,
    **dict.fromkeys(("cpio", "deb", "rpm", "cab", "iso"), unpackers.any_format),
}
