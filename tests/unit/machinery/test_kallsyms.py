"""The symbol table of a kernel made here: small, with the layout of scripts/kallsyms.c in Linux 6.4 and newer."""

import gzip
import lzma
import struct
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from malkoha.errors import ImageError
from malkoha.machinery import kallsyms

BASE = 0xFFFFFFFF81000000
COUNT = 2000


def _align(blob: bytes, to: int = 8) -> bytes:
    return blob + bytes(-len(blob) % to)


def kernel(symbols: list[tuple[int, str]], junk: bytes = b"") -> bytes:
    """Lay out the tables as the kernel's build does; every character is its own token but one."""
    tokens = [bytes([value]) if chr(value).isalnum() or chr(value) in "_.$" else b"" for value in range(256)]
    tokens[200] = b"sys_"
    names = b""
    markers = []
    for number, (_, name) in enumerate(symbols):
        if number % 256 == 0:
            markers.append(len(names))
        packed = name.encode().replace(b"sys_", b"\xc8")
        length = bytes([len(packed)]) if len(packed) < 128 else bytes([len(packed) & 0x7F | 0x80, len(packed) >> 7])
        names += length + packed
    table = b"".join(token + b"\0" for token in tokens)
    index, position = [], 0
    for token in tokens:
        index.append(position)
        position += len(token) + 1
    offsets = [address if address < 1 << 31 else -1 - (address - BASE) for address, _ in symbols]
    return (
        _align(b"\x7fELF" + junk)
        + struct.pack("<Q", len(symbols))
        + _align(names)
        + _align(struct.pack(f"<{len(markers)}I", *markers))
        + _align(table)
        + struct.pack("<256H", *index)
        + _align(struct.pack(f"<{len(symbols)}i", *offsets))
        + struct.pack("<Q", BASE)
    )


def bzimage(payload: bytes) -> bytes:
    head = bytearray(1024)
    head[0x1F1] = 1
    head[0x202:0x206] = b"HdrS"
    struct.pack_into("<II", head, 0x248, 0, len(payload))
    return bytes(head) + payload


def symbols() -> list[tuple[int, str]]:
    many = [(BASE + 16 * number, f"Tsys_number{number}") for number in range(COUNT)]
    return [(0, "Acpu_start"), *many, (BASE + 16 * COUNT, "t" + "long_name_" * 20)]


def test_names_and_addresses_come_out_sorted(tmp_path: Path) -> None:
    image = tmp_path / "vmlinuz"
    image.write_bytes(bzimage(lzma.compress(kernel(symbols()))))
    lines = kallsyms.system_map(image).splitlines()
    assert len(lines) == COUNT + 2
    assert lines[0] == "0000000000000000 A cpu_start"
    assert lines[1] == "ffffffff81000000 T sys_number0"
    assert lines[-1] == f"{BASE + 16 * COUNT:016x} t {'long_name_' * 20}"


def test_gzip_kernels_are_unpacked() -> None:
    packed = gzip.compress(b"kernel")
    assert kallsyms.unpack(bzimage(packed + b"size")) == b"kernel"


@pytest.mark.parametrize(
    "content", [b"", b"x" * 2000, bzimage(b"unknown"), bzimage(gzip.compress(b"no tables") + b"1234")]
)
def test_what_has_no_table_is_refused(tmp_path: Path, content: bytes) -> None:
    image = tmp_path / "vmlinuz"
    image.write_bytes(content)
    with pytest.raises(ImageError, match="no symbol table"):
        kallsyms.system_map(image)


@given(st.binary(max_size=300))
def test_damage_gives_one_error(junk: bytes) -> None:
    whole = kernel(symbols()[:1200])
    damaged = whole[: len(whole) // 2] + junk
    with pytest.raises((ValueError, IndexError, struct.error)):
        kallsyms._format(damaged)
