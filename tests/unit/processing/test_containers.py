"""Archives of every kind, encrypted, nested, damaged and hostile ones; nothing is written but under a hash."""

from __future__ import annotations

import bz2
import gzip
import hashlib
import io
import lzma
import tarfile
import zipfile
from pathlib import Path

import pytest
import pyzipper
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from malkoha.processing.containers import is_collection, kind_of, read
from malkoha.processing.members import Contents, Limits

SCRIPT = b"#!/bin/sh\necho hi\n"
DIGEST = hashlib.sha256(SCRIPT).hexdigest()


def zipped(members: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def sealed(members: dict[str, bytes], password: str) -> bytes:
    buffer = io.BytesIO()
    with pyzipper.AESZipFile(buffer, "w", compression=pyzipper.ZIP_DEFLATED, encryption=pyzipper.WZ_AES) as archive:
        archive.setpassword(password.encode())
        for name, content in members.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def tarred(members: dict[str, bytes], mode: str = "w") -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode=mode) as archive:  # type: ignore[call-overload]
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


def opened(tmp_path: Path, data: bytes, *passwords: str, limits: Limits | None = None, name: bytes = b"x") -> Contents:
    (tmp_path / "archive").write_bytes(data)
    folder = tmp_path / "out"
    folder.mkdir(exist_ok=True)
    contents = read(tmp_path / "archive", folder, name, list(passwords), limits)
    kept = {path.name for path in folder.iterdir()}
    assert kept == {member.sha256 for member in contents.members if member.sha256}
    assert all(hashlib.sha256((folder / name).read_bytes()).hexdigest() == name for name in kept)
    return contents


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (zipped({"bin/a": SCRIPT}), "zip"),
        (zipped({"bin/a": SCRIPT}, zipfile.ZIP_LZMA), "zip"),
        (tarred({"bin/a": SCRIPT}), "tar"),
        (tarred({"bin/a": SCRIPT}, "w:gz"), "gzip"),
        (tarred({"bin/a": SCRIPT}, "w:bz2"), "bzip2"),
        (tarred({"bin/a": SCRIPT}, "w:xz"), "xz"),
    ],
)
def test_members_with_names_sizes_and_hashes(tmp_path: Path, data: bytes, kind: str) -> None:
    contents = opened(tmp_path, data)
    assert (contents.format, contents.remarks) == (kind, [])
    assert [(m.name, m.size, m.sha256, m.kind) for m in contents.members] == [(b"bin/a", 18, DIGEST, "file")]


@pytest.mark.parametrize(
    ("data", "name"),
    [(gzip.compress(SCRIPT), b"d/a.sh.gz"), (bz2.compress(SCRIPT), b"a.sh.BZ2"), (lzma.compress(SCRIPT), b"a.sh.xz")],
)
def test_one_compressed_file_is_called_as_the_archive_without_its_ending(
    tmp_path: Path, data: bytes, name: bytes
) -> None:
    contents = opened(tmp_path, data, name=name)
    assert [(m.name, m.sha256) for m in contents.members] == [(b"a.sh", DIGEST)]


def test_names_are_bytes_and_never_paths(tmp_path: Path) -> None:
    names = ["/etc/passwd", "../../up", "a\nb", "\udcff\udcfe", "part"]
    contents = opened(tmp_path, tarred({name: name.encode("utf-8", "surrogateescape") for name in names}))
    assert [member.name for member in contents.members] == [b"/etc/passwd", b"../../up", b"a\nb", b"\xff\xfe", b"part"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["archive", "out"]
    (tmp_path / "two").mkdir()
    assert [m.name for m in opened(tmp_path / "two", zipped({"../é": b"1"})).members] == ["../é".encode()]


def test_links_and_devices_are_listed_and_not_made(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, kind in (
            ("l", tarfile.SYMTYPE),
            ("h", tarfile.LNKTYPE),
            ("d", tarfile.DIRTYPE),
            ("c", tarfile.CHRTYPE),
        ):
            info = tarfile.TarInfo(name)
            info.type, info.linkname = kind, "/etc/passwd"
            archive.addfile(info)
    contents = opened(tmp_path, buffer.getvalue())
    assert [(m.kind, m.sha256) for m in contents.members] == [("link", ""), ("link", ""), ("folder", ""), ("other", "")]


def test_the_customary_password_and_a_given_one(tmp_path: Path) -> None:
    contents = opened(tmp_path, sealed({"a": SCRIPT}, "infected"))
    assert (contents.members[0].sha256, contents.password, contents.members[0].encrypted) == (DIGEST, "infected", True)
    closed = sealed({"a": SCRIPT}, "secret")
    assert opened(tmp_path, closed, "secret").password == "secret"
    (tmp_path / "two").mkdir()
    missed = opened(tmp_path / "two", closed)
    assert (missed.members[0].sha256, missed.members[0].why) == ("", "encrypted, and no password that was tried fits")


def test_archives_in_archives_up_to_a_depth(tmp_path: Path) -> None:
    data = SCRIPT
    for number in range(4):
        data = zipped({f"{number}": data})
    contents = opened(tmp_path, data)
    assert [member.name for member in contents.members] == [b"3", b"3/2", b"3/2/1"]
    assert contents.members[-1].why == "it lies 3 archives deep and is not opened"


def test_a_bomb_ends_at_what_may_come_out_of_its_size(tmp_path: Path) -> None:
    bomb = gzip.compress(bytes(80 << 20))
    contents = opened(tmp_path, bomb)
    assert contents.remarks == ["not read to the end: more than 64 MiB came out of it"]
    assert contents.members[0].sha256 == ""
    (tmp_path / "tar").mkdir()
    skipped = tarred({"a": bytes(70 << 20), "b": SCRIPT}, "w:gz")
    assert "more than" in opened(tmp_path / "tar", skipped, limits=Limits(member=1 << 20)).remarks[0]


def test_limits_of_members_and_of_one_member(tmp_path: Path) -> None:
    contents = opened(tmp_path, zipped({str(n): b"%d" % n for n in range(9)}), limits=Limits(members=5))
    assert (len(contents.members), contents.remarks) == (5, ["not read to the end: it has more than 5 members"])
    (tmp_path / "two").mkdir()
    limits = Limits(member=1 << 20)
    contents = opened(tmp_path / "two", zipped({"a": bytes((1 << 20) + 1), "b": SCRIPT}), limits=limits)
    assert [(m.sha256, m.why) for m in contents.members] == [("", "it has more than 1 MiB"), (DIGEST, "")]


def test_what_was_before_a_damage_is_kept(tmp_path: Path) -> None:
    data = tarred({"a": SCRIPT, "b": bytes(range(256)) * 400}, "w:gz")
    contents = opened(tmp_path, data[: len(data) - 20])
    assert contents.members[0].sha256 == DIGEST
    assert contents.remarks or contents.members[1].why
    (tmp_path / "two").mkdir()
    cut = opened(tmp_path / "two", zipped({"a": SCRIPT})[:40])
    assert cut.members == []
    assert cut.remarks[0].startswith("damaged: ")


def test_what_is_no_archive_has_no_kind() -> None:
    assert kind_of(SCRIPT) == kind_of(b"") == kind_of(bytes(512)) == kind_of(b"!<arch>\nlib.o") == ""


def test_zip_files_of_other_trades_are_no_collections() -> None:
    assert is_collection(io.BytesIO(zipped({"a": SCRIPT})))
    for name in ("[Content_Types].xml", "META-INF/MANIFEST.MF", "__main__.py", "mimetype"):
        assert not is_collection(io.BytesIO(zipped({name: b"x", "a": SCRIPT})))


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.sampled_from(["zip", "tar", "gz", "xz"]), st.lists(st.tuples(st.integers(0, 400), st.integers(0, 255))))
def test_corrupt_archives_never_raise(tmp_path: Path, kind: str, changes: list[tuple[int, int]]) -> None:
    made = {
        "zip": zipped({"a": SCRIPT, "b/c": bytes(99)}), "tar": tarred({"a": SCRIPT}),
        "gz": tarred({"a": SCRIPT}, "w:gz"), "xz": lzma.compress(SCRIPT),
    }[kind]  # fmt: skip
    data = bytearray(made)
    for at, value in changes:
        data[at % len(data)] = value
    (tmp_path / "archive").write_bytes(data)
    (tmp_path / "out").mkdir(exist_ok=True)
    contents = read(tmp_path / "archive", tmp_path / "out", b"x", [])
    assert isinstance(contents, Contents)
