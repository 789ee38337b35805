"""7z, rar and the formats of libarchive: what they hold, passwords, bombs, damage."""

from __future__ import annotations

import io
import random
import subprocess
from pathlib import Path
from typing import Any

import libarchive
import py7zr
import pytest

from malkoha.processing.containers import kind_of
from malkoha.processing.members import Limits
from tests.unit.processing.test_containers import DIGEST, SCRIPT, opened

RARS = Path(__file__).parents[2] / "data" / "archives"


def seven(members: dict[str, bytes], password: str | None = None, **more: Any) -> bytes:
    buffer = io.BytesIO()
    with py7zr.SevenZipFile(buffer, "w", password=password, **more) as archive:
        for name, content in members.items():
            archive.writestr(content, name)
    return buffer.getvalue()


def made(path: Path, form: str, filter_name: str | None, members: dict[str, bytes]) -> bytes:
    """Write an archive by libarchive."""
    with libarchive.file_writer(str(path), form, filter_name) as archive:
        for name, content in members.items():
            archive.add_file_from_memory(name, len(content), content)
    return path.read_bytes()


@pytest.mark.parametrize("password", [None, "infected", "other"])
@pytest.mark.parametrize("header", [False, True])
def test_7z(tmp_path: Path, password: str | None, header: bool) -> None:
    data = seven({"a/x.sh": SCRIPT, "empty": b""}, password, header_encryption=header and password is not None)
    contents = opened(tmp_path, data, "wrong", "other")
    assert (contents.format, contents.remarks, contents.password) == ("7z", [], password or "")
    assert [(m.name, m.sha256 == DIGEST, m.why) for m in contents.members] == [
        (b"a/x.sh", True, ""),
        (b"empty", False, ""),
    ]
    assert contents.members[0].encrypted == (password is not None)


def test_7z_with_a_password_that_nobody_knows(tmp_path: Path) -> None:
    contents = opened(tmp_path, seven({"x.sh": SCRIPT}, "secret"))
    assert contents.remarks == ["encrypted, and no password that was tried fits"]
    assert [(m.name, m.encrypted, m.sha256) for m in contents.members] == [(b"x.sh", True, "")]
    (tmp_path / "hidden").mkdir()
    contents = opened(tmp_path / "hidden", seven({"x.sh": SCRIPT}, "secret", header_encryption=True))
    assert (contents.members, contents.remarks[0]) == ([], "encrypted, and no password that was tried fits")


@pytest.mark.parametrize("password", [None, "infected"])
def test_a_bomb_in_7z_ends_at_the_limit(tmp_path: Path, password: str | None) -> None:
    data = seven({"zero": bytes(70 << 20), "x.sh": SCRIPT}, password)
    contents = opened(tmp_path, data)
    assert contents.remarks == ["not read to the end: more than 64 MiB came out of it"]


def test_many_members_end_at_the_limit(tmp_path: Path) -> None:
    data = seven({f"m{n}": SCRIPT for n in range(5)}, "infected")
    contents = opened(tmp_path, data, limits=Limits(members=3))
    assert contents.remarks == ["not read to the end: it has more than 3 members"]


@pytest.mark.parametrize("name", ["rar3-subdirs", "rar5-solid"])
def test_rar(tmp_path: Path, name: str) -> None:
    contents = opened(tmp_path, (RARS / f"{name}.rar").read_bytes())
    assert (contents.format, contents.remarks) == ("rar", [])
    files = [member for member in contents.members if member.kind == "file"]
    assert len(files) >= 2
    assert all(member.sha256 and not member.encrypted for member in files)


def test_a_name_in_a_rar_leads_nowhere(tmp_path: Path) -> None:
    contents = opened(tmp_path, (RARS / "rar5-evil-symlink-traversal.rar").read_bytes())
    assert [(member.name, member.kind) for member in contents.members] == [(b"up", "link"), (b"up/pwned.txt", "file")]


def test_an_encrypted_rar_is_told(tmp_path: Path) -> None:
    contents = opened(tmp_path, (RARS / "rar5-psw.rar").read_bytes())
    assert [(m.encrypted, m.sha256, m.why) for m in contents.members] == [
        (True, "", "encrypted, and rar is not decrypted"),
        (True, "", "encrypted, and rar is not decrypted"),
    ]
    (tmp_path / "hidden").mkdir()
    contents = opened(tmp_path / "hidden", (RARS / "rar5-hpsw.rar").read_bytes())
    assert (contents.members, contents.remarks) == ([], ["encrypted, and its names as well: rar is not decrypted"])


@pytest.mark.parametrize(
    ("form", "filter_name", "kind"),
    [("cpio_newc", None, "cpio"), ("iso9660", None, "iso"), ("pax", "zstd", "zstd"), ("ustar", "lz4", "lz4")],
)
def test_what_libarchive_reads(tmp_path: Path, form: str, filter_name: str | None, kind: str) -> None:
    data = made(tmp_path / "made", form, filter_name, {"X.SH": SCRIPT})
    contents = opened(tmp_path, data)
    assert (contents.format, contents.remarks) == (kind, [])
    assert [member.name for member in contents.members if member.sha256 == DIGEST] == [b"X.SH"]


def test_one_file_in_zstd(tmp_path: Path) -> None:
    data = made(tmp_path / "made", "raw", "zstd", {"x": SCRIPT})
    contents = opened(tmp_path, data, name=b"x.sh.zst")
    assert [(member.name, member.sha256) for member in contents.members] == [(b"x.sh", DIGEST)]
    (tmp_path / "bomb").mkdir()
    bomb = made(tmp_path / "made", "raw", "zstd", {"x": bytes(70 << 20)})
    assert opened(tmp_path / "bomb", bomb).remarks == ["not read to the end: more than 64 MiB came out of it"]


def test_a_debian_package(tmp_path: Path) -> None:
    (tmp_path / "p" / "DEBIAN").mkdir(parents=True)
    (tmp_path / "p" / "DEBIAN" / "control").write_text(
        "Package: x\nVersion: 1\nArchitecture: all\nMaintainer: A <a@example.org>\nDescription: x\n"
    )
    (tmp_path / "p" / "x.sh").write_bytes(SCRIPT)
    subprocess.run(["dpkg-deb", "--build", "p", "p.deb"], cwd=tmp_path, check=True, capture_output=True)
    contents = opened(tmp_path, (tmp_path / "p.deb").read_bytes())
    assert contents.format == "deb"
    assert DIGEST in {member.sha256 for member in contents.members}


def test_damage_never_raises(tmp_path: Path) -> None:
    chance = random.Random(5)
    whole = [seven({"x.sh": SCRIPT}), seven({"x.sh": SCRIPT}, "infected")]
    whole += [(RARS / "rar5-solid.rar").read_bytes(), (RARS / "rar3-subdirs.rar").read_bytes()]
    for number in range(80):
        data = bytearray(whole[number % len(whole)])
        for _ in range(3):
            data[chance.randrange(8, len(data))] = chance.randrange(256)
        folder = tmp_path / str(number)
        folder.mkdir()
        assert kind_of(bytes(data)) in ("7z", "rar")
        opened(folder, bytes(data))
