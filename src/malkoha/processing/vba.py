"""Source of VBA macros: decompressed as [MS-OVBA] 2.4.1 says, module by module as the stream ``dir`` lists them."""

from __future__ import annotations

import re
import struct
from collections.abc import Mapping

SOURCE = 4 << 20
"""Bytes of source that are taken of one module."""
MODULES = 200
_CODEPAGE, _VERSION, _STREAM, _OFFSET = 0x0003, 0x0009, 0x001A, 0x0031
_BEGIN = re.compile(rb"\x01..\x00Attribut", re.DOTALL)
"""How the compressed source of every module begins, where ``dir`` cannot be read."""


def decompress(data: bytes, limit: int = SOURCE) -> bytes:
    """Decompress a CompressedContainer up to ``limit`` bytes; damaged ones give what comes before the damage."""
    out = bytearray()
    at = 1
    if not data or data[0] != 1:
        return b""
    while at + 2 <= len(data) and len(out) < limit:
        header = struct.unpack_from("<H", data, at)[0]
        end = min(len(data), at + (header & 0x0FFF) + 3)
        if header >> 15:
            if not _chunk(data, at + 2, end, out):
                break
        else:
            out += data[at + 2 : at + 2 + 4096]
            end = at + 2 + 4096
        at = end
    return bytes(out[:limit])


def _chunk(data: bytes, at: int, end: int, out: bytearray) -> bool:
    """Append one chunk of tokens; False when a token points before the chunk."""
    start = len(out)
    while at < end:
        flags = data[at]
        at += 1
        for bit in range(8):
            if at >= end:
                break
            if not flags >> bit & 1:
                out.append(data[at])
                at += 1
                continue
            if at + 2 > end:
                return False
            token = struct.unpack_from("<H", data, at)[0]
            at += 2
            bits = max(4, (len(out) - start - 1).bit_length())
            length, offset = (token & (0xFFFF >> bits)) + 3, (token >> (16 - bits)) + 1
            if offset > len(out) - start:
                return False
            for _ in range(length):
                out.append(out[-offset])
    return True


def modules(streams: Mapping[str, bytes]) -> dict[str, str]:
    """Give the source of each module from the streams of one VBA storage, by stream name."""
    lower = {name.lower(): name for name in streams}
    directory = decompress(streams[lower["dir"]]) if "dir" in lower else b""
    encoding, listed = _directory(directory)
    found: dict[str, str] = {}
    for name, offset in listed[:MODULES]:
        data = streams.get(lower.get(name.lower(), ""), b"")
        source = decompress(data[offset:])
        if source:
            found[name] = _decoded(source, encoding)
    for name, data in list(streams.items())[:MODULES]:
        match = _BEGIN.search(data) if name not in found and name.lower() != "dir" else None
        if match is not None:
            found[name] = _decoded(decompress(data[match.start() :]), encoding)
    return found


def _directory(data: bytes) -> tuple[str, list[tuple[str, int]]]:
    """Read code page and modules, with the offset of their source, from the records of ``dir`` (2.3.4.2)."""
    encoding, name, found, at = "cp1252", "", [], 0
    while at + 6 <= len(data):
        kind, size = struct.unpack_from("<HI", data, at)
        if kind == _VERSION:
            size = 6  # its size field is reserved (2.3.4.2.1.11)
        body = data[at + 6 : at + 6 + size]
        at += 6 + size
        if kind == _CODEPAGE and len(body) >= 2:
            encoding = f"cp{struct.unpack_from('<H', body)[0]}"
        elif kind == _STREAM:
            name = _decoded(body, encoding)
        elif kind == _OFFSET and len(body) >= 4 and name:
            found.append((name, struct.unpack_from("<I", body)[0]))
    return encoding, found


def _decoded(data: bytes, encoding: str) -> str:
    try:
        return data.decode(encoding, "replace")
    except LookupError:
        return data.decode("cp1252", "replace")
