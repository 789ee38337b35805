"""Marks and oddities of ELF files that are made for it."""

from __future__ import annotations

import struct
import sys
from pathlib import Path

import pytest

from malkoha.processing import elf, elf_marks


def image(*, flags: int = 5, entry: int = 0x400080, tail: bytes = b"") -> bytes:
    """Give a small x86-64 program of one segment and no sections."""
    code = b"\x90" * 64
    head = b"\x7fELF\x02\x01\x01" + bytes(9)
    head += struct.pack("<HHIQQQIHHHHHH", 2, 62, 1, entry, 64, 0, 0, 64, 56, 1, 64, 0, 0)
    size = 120 + len(code)
    return head + struct.pack("<IIQQQQQQ", 1, flags, 0, 0x400000, 0x400000, size, size, 4096) + code + tail


def described(tmp_path: Path, data: bytes) -> list[str]:
    path = tmp_path / "sample"
    path.write_bytes(data)
    found: list[str] = elf.describe(path)["oddities"]
    return found


def test_oddities(tmp_path: Path) -> None:
    assert described(tmp_path, image()) == ["no section headers"]
    assert "the segment at 0x400000 can be written and run" in described(tmp_path, image(flags=7))
    assert "the entry point lies outside of every segment" in described(tmp_path, image(entry=0x900000))
    assert "the entry point lies in a segment that cannot be run" in described(tmp_path, image(flags=6))
    assert "5000 bytes follow the last part of the file" in described(tmp_path, image(tail=b"x" * 5000))


def test_an_ordinary_program_has_none() -> None:
    assert elf.describe(Path("/bin/ls").resolve())["oddities"] == []


@pytest.mark.parametrize(
    ("data", "name"),
    [
        (b"....UPX!\x0d", "UPX"),
        (b'\xff Go buildinf:\x08\x02 Go build ID: "x/y"', "Go"),
        (b"/rustc/" + b"0" * 40 + b"/library/core", "Rust"),
        (b"E: neither argv[0] nor $_ works.", "shc"),
        (b"Cannot open _MEIPASS2 archive", "PyInstaller"),
        (b"# This script was generated using Makeself 2.4", "makeself"),
        (b"GCC: (Debian 12.2.0-14) 12.2.0", "GCC 12.2.0"),
    ],
)
def test_marks(data: bytes, name: str) -> None:
    assert name in elf_marks.made_by(data)
    assert elf_marks.made_by(b"nothing of note") == []


def test_telfhash() -> None:
    assert (elf.telfhash(Path(sys.executable).resolve().read_bytes()) or "").startswith("T1")
    assert elf.telfhash(image()) is None
