"""Finds and undoes encodings within a script: base64, hex and octal escapes, compression, one-byte XOR, several deep.

In: bytes. Out: what was decoded, with the way there. Everything is bounded: number, size, depth and time.
"""

from __future__ import annotations

import base64
import binascii
import bz2
import hashlib
import lzma
import re
import zlib
from collections.abc import Iterator

import msgspec

LIMIT = 64
SIZE = 4 << 20
"""Bytes of one decoded payload; what decompresses to more is cut."""
TOTAL = 32 << 20
DEPTH = 6
TEXT = 4_000
"""Characters of a payload that are shown."""
_CANDIDATES = 400
_BASE64 = re.compile(rb"(?<![A-Za-z0-9+/_-])(?:[A-Za-z0-9+/]{16,}={0,2}|[A-Za-z0-9_-]{24,}={0,2})(?![A-Za-z0-9+/_-])")
_LINES = re.compile(rb"(?:[A-Za-z0-9+/]{60,76}\r?\n){2,}[A-Za-z0-9+/]{1,76}={0,2}")
_ESCAPES = re.compile(rb"(?:\\{1,2}x[0-9A-Fa-f]{2}){6,}")
_OCTAL = re.compile(rb"(?:\\{1,2}0?[0-3][0-7]{2}){6,}")
_PERCENT = re.compile(rb"(?:%[0-9A-Fa-f]{2}){6,}")
_HEX = re.compile(rb"(?<![0-9A-Za-z])(?:[0-9A-Fa-f]{2}){16,}(?![0-9A-Za-z])")
_NUMBERS = re.compile(rb"(?:\b(?:0x[0-9a-fA-F]{1,2}|\d{1,3})\s*,\s*){12,}(?:0x[0-9a-fA-F]{1,2}|\d{1,3})\b")
_MAGIC: tuple[tuple[bytes, str], ...] = (
    (b"\x7fELF", "ELF"),
    (b"\x1f\x8b", "gzip"),
    (b"BZh", "bzip2"),
    (b"\xfd7zXZ\0", "xz"),
    (b"PK\x03\x04", "zip"),
    (b"MZ", "PE"),
    (b"#!", "script"),
    (b"<?php", "PHP"),
)
_SIGNS = (b"/bin/", b"http://", b"https://", b"#!/", b"import ", b"\x7fELF", b"eval(", b"system(", b"socket", b"/tmp/")


class Payload(msgspec.Struct):
    """One thing that was decoded."""

    how: list[str]
    """Encodings from the outermost to the innermost."""
    kind: str
    """``text``, or the format that its first bytes tell."""
    data: bytes

    def shown(self) -> dict[str, object]:
        """Give what the report holds of it."""
        text = self.data.decode("utf-8", "backslashreplace") if self.kind in ("text", "script", "PHP") else ""
        return {
            "how": self.how,
            "kind": self.kind,
            "size": len(self.data),
            "sha256": hashlib.sha256(self.data).hexdigest(),
            "text": text[:TEXT] or self.data[:64].hex(" "),
        }


def decode(data: bytes) -> tuple[list[Payload], bool]:
    """Decode what is encoded in ``data``, breadth first; tell also whether a bound cut the work short."""
    found: list[Payload] = []
    seen: set[bytes] = set()
    queue: list[tuple[bytes, list[str]]] = [(data, [])]
    total, cut = 0, False
    while queue:
        here, way = queue.pop(0)
        for how, raw in _once(here):
            digest = hashlib.sha256(raw).digest()
            if digest in seen:
                continue
            if len(found) >= LIMIT or total > TOTAL:
                return found, True
            seen.add(digest)
            total += len(raw)
            payload = Payload([*way, how], kind(raw), raw)
            if payload.kind in ("gzip", "bzip2", "xz", "data", "text"):
                inner = list(_opened(raw))
                queue += [(raw_inner, [*payload.how, name]) for name, raw_inner in inner if len(payload.how) < DEPTH]
                found += [Payload([*payload.how, name], kind(raw_inner), raw_inner) for name, raw_inner in inner]
                if inner or payload.kind == "data":
                    continue
            found.append(payload)
            if len(payload.how) < DEPTH:
                queue.append((raw, payload.how))
            else:
                cut = True
    return found[:LIMIT], cut or len(found) > LIMIT


def kind(data: bytes) -> str:
    """Name what bytes are: a format by its first bytes, ``text``, or ``data``."""
    for magic, name in _MAGIC:
        if data.startswith(magic):
            return name
    return "text" if _is_text(data) else "data"


def _is_text(data: bytes) -> bool:
    head = data[:4096]
    plain = sum(1 for byte in head if 32 <= byte < 127 or byte in (9, 10, 13))
    return len(head) >= 4 and plain >= 0.95 * len(head)


def _once(data: bytes) -> Iterator[tuple[str, bytes]]:
    """Yield what one step of decoding gives, and only what then makes sense."""
    left = _CANDIDATES
    for how, pattern in _WAYS:
        for match in pattern.finditer(data):
            left -= 1
            if left < 0:
                return
            raw = _undo(how, match.group())
            if raw is not None and len(raw) >= 4 and _makes_sense(how, raw):
                yield how, raw[:SIZE]
    reversed_ = data[::-1]
    if len(data) < 1 << 16 and data[:2] == b"==" and _BASE64.fullmatch(reversed_.strip()):
        raw = _undo("base64", reversed_.strip())
        if raw is not None and _makes_sense("base64", raw):
            yield "reversed base64", raw


_WAYS: tuple[tuple[str, re.Pattern[bytes]], ...] = (
    ("base64", _LINES),
    ("base64", _BASE64),
    ("hex escapes", _ESCAPES),
    ("octal escapes", _OCTAL),
    ("percent escapes", _PERCENT),
    ("hex", _HEX),
    ("numbers", _NUMBERS),
)


def _undo(how: str, text: bytes) -> bytes | None:
    try:
        if how == "base64":
            return _base64(text)
        if how == "octal escapes":
            return bytes(int(digits, 8) & 0xFF for digits in re.findall(rb"\\{1,2}0?([0-3][0-7]{2})", text))
        if how == "numbers":
            values = [int(number, 0 if number.startswith(b"0x") else 10) for number in re.split(rb"\s*,\s*", text)]
            return bytes(values) if max(values) < 256 else None
        return binascii.unhexlify(re.sub(rb"[^0-9A-Fa-f]", b"", text.replace(b"\\x", b"")))
    except (ValueError, binascii.Error):
        return None


def _base64(text: bytes) -> bytes | None:
    compact = b"".join(text.split())
    if b"-" in compact or b"_" in compact:
        compact = compact.translate(bytes.maketrans(b"-_", b"+/"))
    body = compact.rstrip(b"=")
    if len(body) % 4 == 1:
        return None
    return base64.b64decode(body + b"=" * (-len(body) % 4), validate=True)


def _makes_sense(how: str, raw: bytes) -> bool:
    what = kind(raw)
    if how in ("hex escapes", "octal escapes", "percent escapes"):
        return True
    if what == "PE":
        return b"This program" in raw[:512]
    if what == "text":
        # a word of plain letters decodes to three quarters of noise; what is text then was text before
        plain = bool(re.search(rb"[ /;(\n]", raw)) or _BASE64.fullmatch(raw.strip()) is not None
        return (plain and raw.isascii()) or any(True for _ in _opened(raw))
    return what != "data" or any(True for _ in _opened(raw))


def _opened(raw: bytes) -> Iterator[tuple[str, bytes]]:
    """Yield what bytes give when they are decompressed, or XORed with the one byte that makes sense."""
    what = kind(raw)
    for name, make in _OPENERS if what != "text" else ():
        opened = make(raw)
        if opened is not None and len(opened) >= 4:
            yield name, opened
            return
    head = raw[:4096]
    if what in ("data", "text") and 16 <= len(raw) <= 1 << 20 and not any(sign in head for sign in _SIGNS):
        for key in range(1, 256):
            table = bytes(value ^ key for value in range(256))
            plain = head.translate(table)
            if any(sign in plain for sign in _SIGNS) and (plain.startswith(b"\x7fELF") or _is_text(plain)):
                yield f"xor 0x{key:02x}", raw.translate(table)
                return


def _zlib(raw: bytes, bits: int) -> bytes | None:
    try:
        opened = zlib.decompressobj(bits).decompress(raw, SIZE)
    except zlib.error:
        return None
    # raw deflate takes many a noise for a block
    return opened if bits != -15 or (kind(opened) != "data" and len(opened) > 16) else None


def _gzip(raw: bytes) -> bytes | None:
    return _zlib(raw, 31) if raw.startswith(b"\x1f\x8b") else None


def _deflate(raw: bytes) -> bytes | None:
    return _zlib(raw, 15) if raw[:1] == b"\x78" else _zlib(raw, -15)


def _bz2(raw: bytes) -> bytes | None:
    try:
        return bz2.BZ2Decompressor().decompress(raw, SIZE) if raw.startswith(b"BZh") else None
    except (OSError, ValueError):
        return None


def _xz(raw: bytes) -> bytes | None:
    try:
        return lzma.LZMADecompressor(memlimit=256 << 20).decompress(raw, SIZE) if raw.startswith(b"\xfd7zXZ") else None
    except lzma.LZMAError:
        return None


_OPENERS = (("gzip", _gzip), ("bzip2", _bz2), ("xz", _xz), ("zlib", _deflate))
