"""Section ``static``, key ``pdf``: what a PDF does when it is opened, its scripts, links and embedded files.

Objects are found by their marks and not by the cross-reference table (ISO 32000-1, 7.3 and 7.5.7), since hostile files
have none that is right. Streams are decoded within limits; what could not be decoded is named in ``errors``.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
import zlib
from typing import Any

import msgspec

from malkoha.processing.base import Earlier, Facts, Processing

SIZE = 64 << 20
OBJECTS = 50_000
STREAM = 16 << 20
TOTAL = 128 << 20
ENTRIES = 200
SHOWN = 64 << 10
KEYS = ("OpenAction", "AA", "JavaScript", "JS", "Launch", "URI", "SubmitForm", "GoToR", "GoToE", "ImportData",
        "EmbeddedFile", "RichMedia", "AcroForm", "XFA", "ObjStm", "Encrypt", "JBIG2Decode")  # fmt: skip
_OBJECT = re.compile(rb"\b(\d{1,10})\s+\d{1,10}\s+obj\b")
_NAME = re.compile(rb"/[^\s/<>\[\](){}%]+")
_HEX = re.compile(rb"#([0-9a-fA-F]{2})")
_REFERENCE = re.compile(rb"\s*(\d{1,10})\s+\d{1,10}\s+R\b")
_ESCAPE = re.compile(rb"\\([0-7]{1,3}|\r\n|[\s\S])")
_ESCAPES = {b"n": b"\n", b"r": b"\r", b"t": b"\t", b"b": b"\b", b"f": b"\f", b"\n": b"", b"\r": b"", b"\r\n": b""}


class PdfModule(Processing):
    """Make the key ``pdf`` of the section ``static``; embedded files and scripts are kept for YARA."""

    name = "pdf"
    isolated = True
    timeout_s = 60.0

    @classmethod
    def applies(cls, facts: Facts) -> bool:
        if not facts.store.sample.exists():
            return False
        with facts.store.sample.open("rb") as file:
            return b"%PDF-" in file.read(1024)

    def run(self, facts: Facts, earlier: Earlier) -> dict[str, Any]:
        del earlier
        with facts.store.sample.open("rb") as file:
            data = file.read(SIZE)
        found, kept = describe(data)
        for content in kept:
            facts.store.unpacked.mkdir(exist_ok=True)
            (facts.store.unpacked / hashlib.sha256(content).hexdigest()).write_bytes(content)
        return found


class Piece(msgspec.Struct):
    """One object: its text with plain names, and its stream as it stands in the file."""

    text: bytes
    raw: bytes | None = None


class _Document:
    """The objects of a file by number, the last of each, and what is left of the limits."""

    def __init__(self, data: bytes) -> None:
        self.errors: list[str] = []
        self.objects: dict[int, Piece] = {}
        self._left = TOTAL
        marks = list(_limited(_OBJECT, data))
        for number, mark in enumerate(marks):
            end = marks[number + 1].start() if number + 1 < len(marks) else len(data)
            self.objects[int(mark[1])] = _piece(data[mark.end() : end])
        for key, piece in list(self.objects.items()):
            if b"/ObjStm" in piece.text:
                self._unpack(key, piece)
        self.trailer = plain(data[-4096:])

    def _unpack(self, key: int, piece: Piece) -> None:
        """Add the objects of an object stream (7.5.7); those that stand in the file itself win."""
        content = self.content(piece, f"object stream {key}")
        first = re.search(rb"/First\s+(\d{1,9})", piece.text)
        start = int(first[1]) if first else 0
        numbers = [int(each) for each in re.findall(rb"\d{1,9}", content[:start])]
        pairs = list(zip(numbers[::2], numbers[1::2], strict=False))
        for index, (number, offset) in enumerate(pairs[:OBJECTS]):
            end = pairs[index + 1][1] if index + 1 < len(pairs) else len(content)
            if len(self.objects) < OBJECTS:
                self.objects.setdefault(number, Piece(plain(content[start + offset : start + end])))

    def content(self, piece: Piece, what: str) -> bytes:
        """Decode a stream by its filters, as far as they are known and the limits allow."""
        data = piece.raw or b""
        told = re.search(rb"/Filter\s*(\[[^\]]{0,400}\]|/\w+)", piece.text)
        for name in _NAME.findall(told[1]) if told else []:
            limit = min(STREAM, self._left)
            try:
                data = _decoded(name, data, limit)
            except (ValueError, binascii.Error, zlib.error) as error:
                self.errors.append(f"{what}: {str(error)[:200]}")
                return b""
            if len(data) >= limit:
                self.errors.append(f"{what}: decoded up to {limit} bytes")
            self._left -= len(data)
        return data

    def value(self, text: bytes, key: bytes) -> list[bytes]:
        """Give the values of a key in an object: strings decoded, references followed once, others as they stand."""
        found = []
        for match in re.finditer(rb"/" + key + rb"(?![\w.\-])", text):
            value = _value(text, match.end())
            reference = _REFERENCE.match(value)
            piece = self.objects.get(int(reference[1])) if reference else None
            if piece is not None:
                value = self.content(piece, key.decode()) if piece.raw is not None else _value(piece.text, 0)
            found.append(value)
        return found


def _limited(pattern: re.Pattern[bytes], data: bytes) -> list[re.Match[bytes]]:
    found = []
    for match in pattern.finditer(data):
        found.append(match)
        if len(found) >= OBJECTS:
            break
    return found


def _piece(data: bytes) -> Piece:
    head, mark, rest = data.partition(b"stream")
    if not mark:
        return Piece(plain(data.split(b"endobj")[0]))
    rest = rest[2:] if rest.startswith(b"\r\n") else rest[1:]
    end = rest.rfind(b"endstream")
    return Piece(plain(head), rest[:end] if end >= 0 else rest)


def plain(text: bytes) -> bytes:
    """Write names without their #xx (7.3.5), behind which hostile files hide the keys."""
    return _NAME.sub(lambda name: _HEX.sub(lambda code: bytes([int(code[1], 16)]), name.group()), text)


def _decoded(name: bytes, data: bytes, limit: int) -> bytes:
    if name in (b"/FlateDecode", b"/Fl"):
        return zlib.decompressobj().decompress(data, max(1, limit))
    if name in (b"/ASCIIHexDecode", b"/AHx"):
        digits = re.sub(rb"[^0-9a-fA-F]", b"", data.split(b">")[0])
        return binascii.unhexlify(digits + b"0" * (len(digits) % 2))[:limit]
    if name in (b"/ASCII85Decode", b"/A85"):
        return base64.a85decode(re.sub(rb"\s|^<~", b"", data).split(b"~")[0])[:limit]
    if name in (b"/DCTDecode", b"/JPXDecode", b"/CCITTFaxDecode", b"/JBIG2Decode"):
        return data  # pictures
    raise ValueError(f"the filter {name[:40].decode('latin-1')} is not decoded")


def _value(text: bytes, at: int) -> bytes:
    """Read the value at a place: a string decoded, a dictionary or list whole, anything else as it stands."""
    rest = text[at : at + SHOWN].lstrip()
    if rest.startswith(b"("):
        return _literal(rest)
    if rest.startswith((b"<<", b"[")):
        depth = 0
        for match in re.finditer(rb"<<|>>|\[|\]", rest):
            depth += 1 if match.group() in (b"<<", b"[") else -1
            if depth == 0:
                return rest[: match.end()]
        return rest
    if rest.startswith(b"<"):
        digits = re.sub(rb"[^0-9a-fA-F]", b"", rest[1:].split(b">")[0])
        return binascii.unhexlify(digits + b"0" * (len(digits) % 2))
    found = _REFERENCE.match(rest) or re.match(rb"/?[^\s/<>\[\]()]*", rest)
    return found.group() if found else b""


def _literal(text: bytes) -> bytes:
    """Decode a string in parentheses (7.3.4.2)."""
    depth = 0
    for match in re.finditer(rb"\\[\s\S]|[()]", text):
        depth += {b"(": 1, b")": -1}.get(match.group(), 0)
        if depth == 0:
            text = text[: match.start()]
            break
    return _ESCAPE.sub(_unescaped, text[1:])


def _unescaped(match: re.Match[bytes]) -> bytes:
    code = match[1]
    return bytes([int(code, 8) & 255]) if code[:1].isdigit() and code[:1] < b"8" else _ESCAPES.get(code, code)


def _shown(value: bytes, limit: int = 2048) -> str:
    if value.startswith((b"\xfe\xff", b"\xff\xfe")):
        return value.decode("utf-16", "replace")[:limit]
    return value.decode("latin-1")[:limit]


def describe(data: bytes) -> tuple[dict[str, Any], list[bytes]]:
    """Read a PDF; return its facts, and the contents that are worth keeping."""
    document = _Document(data)
    found: dict[str, Any] = {"objects": len(document.objects)}
    version = re.search(rb"%PDF-([0-9.]{1,8})", data[:1024])
    found["version"] = version[1].decode() if version else ""
    texts = [piece.text for piece in document.objects.values()]
    counts = {key: sum(_count(text, key) for text in texts) for key in KEYS}
    counts["Encrypt"] += _count(document.trailer, "Encrypt")
    found["keys"] = {key: count for key, count in counts.items() if count}
    if counts["Encrypt"]:
        found["encrypted"] = True
    lists: dict[str, list[Any]] = {"opens_with": [], "scripts": [], "launches": [], "urls": [], "embedded": []}
    kept: list[bytes] = []
    for piece in list(document.objects.values()):
        _actions(document, piece, lists, kept)
        if re.search(rb"/Type\s*/EmbeddedFile\b", piece.text) and piece.raw is not None:
            content = document.content(piece, "embedded file")
            lists["embedded"].append({"size": len(content), "sha256": hashlib.sha256(content).hexdigest()})
            kept.append(content)
        if b"/EF" in piece.text:
            names = document.value(piece.text, b"UF") or document.value(piece.text, b"F")
            lists["embedded"] += [{"name": _shown(name, 400)} for name in names[:1] if not name.startswith(b"<<")]
    for name, entries in lists.items():
        unique = [entry for number, entry in enumerate(entries[: 4 * ENTRIES]) if entry not in entries[:number]]
        if unique:
            found[name] = unique[:ENTRIES]
        if len(entries) > 4 * ENTRIES or len(unique) > ENTRIES:
            found[f"{name}_total"] = len(entries)
    if document.errors:
        found["errors"] = document.errors[:ENTRIES]
    return found, kept[:ENTRIES]


def _count(text: bytes, key: str) -> int:
    return len(re.findall(rb"/" + key.encode() + rb"(?![\w.\-])", text))


def _actions(document: _Document, piece: Piece, lists: dict[str, list[Any]], kept: list[bytes]) -> None:
    for key in (b"OpenAction", b"AA"):
        lists["opens_with"] += [f"{key.decode()}: {_shown(value)}" for value in document.value(piece.text, key)]
    for script in document.value(piece.text, b"JS"):
        lists["scripts"].append({"size": len(script), "text": _shown(script, SHOWN)})
        kept.append(script)
    lists["urls"] += [_shown(url) for url in document.value(piece.text, b"URI") if url and not url.startswith(b"/")]
    if re.search(rb"/S\s*/Launch\b", piece.text):
        what = document.value(piece.text, b"F") + document.value(piece.text, b"P") + document.value(piece.text, b"Unix")
        lists["launches"].append(" ".join(_shown(value, 1024) for value in what) or _shown(piece.text, 1024))
