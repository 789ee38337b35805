"""Section ``static``, key ``office``: macros, links, DDE and embedded objects of Office files, read and never opened.

Both containers are read: OOXML (zip) with regular expressions on its parts, so that no entity is ever expanded, and OLE
compound files ([MS-CFB]) by olefile. Corrupt files give what they can; ``errors`` names what could not be read.
"""

from __future__ import annotations

import hashlib
import html
import io
import re
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterator
from typing import Any

from malkoha.processing import vba
from malkoha.processing.base import Earlier, Facts, Processing

SIZE = 128 << 20
PART = 16 << 20
TOTAL = 128 << 20
PARTS = 2_000
ENTRIES = 200
SHOWN = 64 << 10
"""Characters of one macro that the report holds."""
_OLE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
_AUTO = re.compile(
    r"\b(?:Auto_?(?:Open|Close|Exec|Exit|New)|(?:Document|Workbook|Presentation)_(?:Open|Close|BeforeClose|Activate|New)"
    r"|\w+_(?:Layout|GotFocus|Resize|MouseMove))\b",
    re.IGNORECASE,
)
_CALLS = re.compile(
    r"\b(?:Shell|ShellExecute\w*|CreateObject|GetObject|WScript\.Shell|CallByName|Environ|URLDownloadToFile\w*|PowerShell"
    r"|MSXML2\.\w+|WinHttp\.\w+|ADODB\.Stream|ExecuteExcel4Macro|MacScript|AppleScriptTask|popen|system|VirtualAlloc\w*"
    r"|RtlMoveMemory|CreateThread|StrReverse|FollowHyperlink|Kill|SaveToFile|bash|curl|wget)\b",
    re.IGNORECASE,
)
_RELATION = re.compile(rb"<(?:\w+:)?Relationship\b[^>]{0,8192}>")
_ATTRIBUTE = re.compile(rb"([\w:\-]+)\s*=\s*(?:\"([^\"]{0,4096})\"|'([^']{0,4096})')")
_FIELD = re.compile(rb"<w:instrText\b[^>]{0,200}>([^<]{0,8192})<|\bw:instr=\"([^\"]{0,8192})\"|</w:p>")
_DDE = re.compile(r"\s*DDE(?:AUTO)?\b.*", re.IGNORECASE | re.DOTALL)
_OLD_DDE = re.compile(rb"\x13\s*(DDE(?:AUTO)?\b[^\x13-\x15]{0,1024})", re.IGNORECASE)
_BROKEN = (OSError, EOFError, ValueError, RuntimeError, KeyError, IndexError, AttributeError, TypeError, OverflowError,
           NotImplementedError, struct.error, MemoryError, RecursionError, zlib.error, zipfile.BadZipFile)  # fmt: skip


class OfficeModule(Processing):
    """Make the key ``office`` of the section ``static``; embedded objects and macros are kept for YARA."""

    name = "office"
    isolated = True
    timeout_s = 60.0

    @classmethod
    def applies(cls, facts: Facts) -> bool:
        if not facts.store.sample.exists():
            return False
        with facts.store.sample.open("rb") as file:
            head = file.read(8192)
        return head.startswith(_OLE) or (
            head.startswith(b"PK\3\4")
            and any(mark in head for mark in (b"[Content_Types].xml", b"mimetype", b"_rels/"))
        )

    def run(self, facts: Facts, earlier: Earlier) -> dict[str, Any]:
        del earlier
        with facts.store.sample.open("rb") as file:
            data = file.read(SIZE)
        found, kept = describe(data)
        for content in kept:
            facts.store.unpacked.mkdir(exist_ok=True)
            (facts.store.unpacked / hashlib.sha256(content).hexdigest()).write_bytes(content)
        return found


class _Finding:
    """What is found on the way, bounded."""

    def __init__(self) -> None:
        self.facts: dict[str, Any] = {}
        self.kept: list[bytes] = []
        self.left = TOTAL

    def add(self, name: str, entry: Any) -> None:
        entries = self.facts.setdefault(name, [])
        if entry in entries:
            return
        if len(entries) < ENTRIES:
            entries.append(entry)
        else:
            self.facts[f"{name}_omitted"] = self.facts.get(f"{name}_omitted", 0) + 1

    def trying(self, what: str, step: Callable[..., None], *arguments: Any) -> None:
        try:
            step(*arguments)
        except _BROKEN as error:
            self.add("errors", f"{what}: {str(error)[:200] or type(error).__name__}")

    def embedded(self, name: str, content: bytes) -> None:
        digest = hashlib.sha256(content).hexdigest()
        self.add("embedded", {"name": name[:400], "size": len(content), "sha256": digest})
        if len(self.kept) < ENTRIES:
            self.kept.append(content)

    def macro(self, where: str, source: str) -> None:
        code = "\n".join(line for line in source.splitlines() if not line.startswith("Attribute VB_"))
        if not code.strip():
            return
        entry = {
            "name": where[:200],
            "source": code[:SHOWN],
            "size": len(code),
            "runs_by_itself": sorted({match.group() for match in _AUTO.finditer(code)})[:20],
            "calls": sorted({match.group() for match in _CALLS.finditer(code)}, key=str.lower)[:40],
        }
        self.add("macros", entry)
        self.kept.append(code.encode())


def describe(data: bytes) -> tuple[dict[str, Any], list[bytes]]:
    """Read an Office file; return its facts, and the contents that are worth keeping."""
    finding = _Finding()
    if data.startswith(_OLE):
        finding.facts["container"] = "OLE"
        finding.trying("compound file", _ole, data, finding, "")
    else:
        finding.facts["container"] = "zip"
        finding.trying("zip", _ooxml, data, finding)
    return finding.facts, finding.kept


def _ooxml(data: bytes, finding: _Finding) -> None:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        for number, info in enumerate(archive.infolist()):
            if number >= PARTS or finding.left <= 0:
                finding.add("errors", f"parts from {info.filename[:100]} on were not read: enough was read")
                return
            finding.trying(info.filename[:200], _part, archive, info, finding)


def _part(archive: zipfile.ZipFile, info: zipfile.ZipInfo, finding: _Finding) -> None:
    name = info.filename
    lower = name.lower()
    wanted = lower.endswith((".rels", ".xml", ".bin", ".py")) or "/embeddings/" in lower or "/activex/" in lower
    if not wanted or info.is_dir():
        return
    with archive.open(info) as file:
        content = file.read(min(PART, finding.left))
    finding.left -= len(content)
    if info.file_size > len(content):
        finding.add("errors", f"{name[:200]}: read up to {len(content)} bytes")
    if lower.endswith(".rels"):
        _relations(name, content, finding)
    elif content.startswith(_OLE):
        if "vbaproject" not in lower:
            finding.embedded(name, content)
        finding.trying(name[:200], _ole, content, finding, f"{name}/")
    elif "/embeddings/" in lower:
        finding.embedded(name, content)
    elif "/macrosheets/" in lower:
        formulas = [
            html.unescape(each.decode("utf-8", "replace")) for each in re.findall(rb"<f\b[^>]*>([^<]*)<", content)
        ]
        finding.macro(name, "\n".join(formulas))
    elif lower.startswith(("basic/", "scripts/")):
        text = content.decode("utf-8", "replace")
        finding.macro(name, html.unescape(re.sub(r"<[^>]*>", "", text)) if lower.endswith(".xml") else text)
    elif lower.endswith(".xml"):
        _text(content, finding)


def _relations(name: str, content: bytes, finding: _Finding) -> None:
    for match in _RELATION.finditer(content):
        told = _attributes(match.group())
        if told.get("TargetMode", "").lower() == "external":
            kind = told.get("Type", "").rsplit("/", 1)[-1]
            finding.add("links", {"kind": kind[:80], "target": told.get("Target", "")[:2048], "part": name[:200]})


def _attributes(tag: bytes) -> dict[str, str]:
    return {
        key.decode("ascii", "replace"): html.unescape((first or second).decode("utf-8", "replace"))
        for key, first, second in _ATTRIBUTE.findall(tag)
    }


def _text(content: bytes, finding: _Finding) -> None:
    for field in _fields(content):
        if _DDE.match(field):
            finding.add("dde", field.strip()[:1024])
    for tag in re.findall(rb"<(?:\w+:)?ddeLink\b[^>]{0,8192}>", content)[:ENTRIES]:
        told = _attributes(tag)
        finding.add("dde", f"{told.get('ddeService', '')}|{told.get('ddeTopic', '')}"[:1024])
    for tag in re.findall(rb"<script:event-listener\b[^>]{0,8192}>", content)[:ENTRIES]:
        told = _attributes(tag)
        finding.add("events", f"{told.get('script:event-name', '')}: {told.get('xlink:href', '')}"[:1024])


def _fields(content: bytes) -> Iterator[str]:
    """Give the field codes of each paragraph; a code may be spread over many runs."""
    parts: list[bytes] = []
    for match in _FIELD.finditer(content):
        if match[2] is not None:
            yield html.unescape(match[2].decode("utf-8", "replace"))
        elif match[1] is not None:
            parts.append(match[1])
        else:
            yield html.unescape(b"".join(parts).decode("utf-8", "replace"))
            parts = []
    yield html.unescape(b"".join(parts).decode("utf-8", "replace"))


def _ole(data: bytes, finding: _Finding, prefix: str) -> None:
    import olefile

    with olefile.OleFileIO(io.BytesIO(data)) as ole:
        storages: dict[str, dict[str, bytes]] = {}
        for path in ole.listdir(streams=True, storages=False)[:PARTS]:
            name = "/".join(path)
            if finding.left <= 0:
                finding.add("errors", f"streams from {name[:100]} on were not read: enough was read")
                break
            try:
                with ole.openstream(path) as stream:
                    content = stream.read(PART)
            except _BROKEN as error:
                finding.add("errors", f"{prefix}{name[:200]}: {str(error)[:200]}")
                continue
            finding.left -= len(content)
            if len(path) > 1 and path[-2].lower() == "vba":
                storages.setdefault("/".join(path[:-1]), {})[path[-1]] = content
            finding.trying(f"{prefix}{name}"[:200], _stream, prefix + name, path[-1], content, finding)
        for where, streams in storages.items():
            for module, source in vba.modules(streams).items():
                finding.macro(f"{prefix}{where}/{module}", source)


def _stream(name: str, own: str, content: bytes, finding: _Finding) -> None:
    if own == "EncryptedPackage":
        finding.facts["encrypted"] = True
    elif own == "\x01Ole10Native":
        _native(name, content, finding)
    elif own == "WordDocument":
        for text in (content, content.replace(b"\0", b"")):
            for field in _OLD_DDE.findall(text)[:ENTRIES]:
                finding.add("dde", field.decode("cp1252", "replace").replace("\0", "").strip())


def _native(name: str, content: bytes, finding: _Finding) -> None:
    """Take a packaged file: size, type, label, path, two numbers, temporary path, size, content."""
    label, path, rest = content[6:].split(b"\0", 2)
    size = int.from_bytes(rest[4:8], "little")
    temporary = rest[8 : 8 + size].split(b"\0")[0]
    at = 8 + size
    length = int.from_bytes(rest[at : at + 4], "little")
    finding.embedded((label or path or temporary).decode("cp1252", "replace") or name, rest[at + 4 : at + 4 + length])
