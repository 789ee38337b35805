"""Section ``static``, key ``elf``: what an ELF file says of itself, read by lief in a process of its own.

Corrupt files give what they can: each part is read on its own, and what cannot be read is named in ``errors``.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from malkoha.processing import elf_marks as marks
from malkoha.processing.base import Earlier, Facts, Processing
from malkoha.processing.fuzzy import entropy

LIMIT = 2_000
"""Entries of one list."""
SIZE_LIMIT = 256 << 20
_TEXT = 512
_SEGMENT_FLAGS = (("R", 4), ("W", 2), ("X", 1))
_SECTION_FLAGS = (("W", 1), ("A", 2), ("X", 4))


def _name(value: Any) -> str:
    return str(value).rsplit(".", 1)[-1]


def _text(value: Any) -> str:
    text = value if isinstance(value, str) else bytes(value).decode("utf-8", "replace")
    return text[:_TEXT].encode("utf-8", "replace").decode("utf-8")


def _header(binary: Any) -> dict[str, Any]:
    header = binary.header
    return {
        "class": _name(header.identity_class),
        "data": _name(header.identity_data),
        "os_abi": _name(header.identity_os_abi),
        "type": _name(header.file_type),
        "machine": _name(header.machine_type),
        "entry_point_address": hex(header.entrypoint),
        "number_of_section_headers": int(header.numberof_sections),
        "number_of_program_headers": int(header.numberof_segments),
    }


def _sections(binary: Any) -> list[dict[str, Any]]:
    return [
        {
            "name": _text(section.name),
            "type": _name(section.type),
            "addr": hex(section.virtual_address),
            "offset": int(section.offset),
            "size": int(section.size),
            "flags": "".join(letter if int(section.flags) & bit else "-" for letter, bit in _SECTION_FLAGS),
            "entropy": entropy(bytes(section.content)),
        }
        for section in list(binary.sections)[:LIMIT]
    ]


def _segments(binary: Any) -> list[dict[str, Any]]:
    return [
        {
            "type": _name(segment.type),
            "addr": hex(segment.virtual_address),
            "offset": int(segment.file_offset),
            "size": int(segment.virtual_size),
            "file_size": int(segment.physical_size),
            "flags": "".join(letter if int(segment.flags) & bit else "-" for letter, bit in _SEGMENT_FLAGS),
            "entropy": entropy(bytes(segment.content)),
        }
        for segment in list(binary.segments)[:LIMIT]
    ]


def _linked(binary: Any, *, imported: bool) -> list[str]:
    symbols = binary.imported_symbols if imported else binary.exported_symbols
    return [name for symbol in list(symbols)[:LIMIT] if (name := _text(symbol.name))]


def _symbols(binary: Any) -> list[dict[str, Any]]:
    return [
        {"name": name, "type": _name(symbol.type), "bind": _name(symbol.binding), "value": hex(symbol.value)}
        for symbol in list(binary.symtab_symbols)[:LIMIT]
        if (name := _text(symbol.name))
    ]


def _notes(binary: Any) -> list[dict[str, str]]:
    return [
        {"name": _text(note.name), "type": _name(note.type), "description": bytes(note.description)[:64].hex()}
        for note in list(binary.notes)[:LIMIT]
    ]


def _build_id(binary: Any) -> str | None:
    for note in binary.notes:
        if _name(note.type).endswith("BUILD_ID"):
            return bytes(note.description).hex()
    return None


def _hardening(binary: Any) -> dict[str, bool]:
    stack = [segment for segment in binary.segments if _name(segment.type) == "GNU_STACK"]
    names = {_text(symbol.name) for symbol in list(binary.imported_symbols)[:LIMIT]}
    names |= {_text(symbol.name) for symbol in list(binary.symtab_symbols)[:50_000]}
    relro = any(_name(segment.type) == "GNU_RELRO" for segment in binary.segments)
    return {
        "pie": bool(binary.is_pie),
        "nx": bool(stack) and not int(stack[0].flags) & 1,
        "relro": relro,
        "full_relro": relro and _binds_now(binary),
        "canary": "__stack_chk_fail" in names,
    }


def _binds_now(binary: Any) -> bool:
    for entry in binary.dynamic_entries:
        tag = _name(entry.tag)
        wanted = {"BIND_NOW": -1, "FLAGS": 0x8, "FLAGS_1": 0x1}.get(tag)
        if wanted == -1 or (wanted is not None and int(entry.value) & wanted):
            return True
    return False


_PARTS: tuple[tuple[str, Callable[[Any], Any]], ...] = (
    ("file_header", _header),
    ("section_headers", _sections),
    ("program_headers", _segments),
    ("interpreter", lambda binary: _text(binary.interpreter) if binary.has_interpreter else None),
    ("libraries", lambda binary: [_text(name) for name in list(binary.libraries)[:LIMIT]]),
    ("imports", lambda binary: _linked(binary, imported=True)),
    ("exports", lambda binary: _linked(binary, imported=False)),
    ("symbols", _symbols),
    ("notes", _notes),
    ("build_id", _build_id),
    ("hardening", _hardening),
    ("overlay_size", lambda binary: len(binary.overlay)),
    ("overlay_entropy", lambda binary: entropy(bytes(binary.overlay)) if binary.overlay else None),
    ("oddities", marks.oddities),
)


def describe(path: Path) -> dict[str, Any]:
    """Read an ELF file; empty when it is none, with ``errors`` for the parts that could not be read."""
    import lief

    lief.logging.disable()
    data = path.read_bytes()[:SIZE_LIMIT]
    binary = lief.ELF.parse(str(path))
    if binary is None:
        return {}
    found: dict[str, Any] = {}
    errors: list[str] = []
    parts: list[tuple[str, Any, Callable[[Any], Any]]] = [(name, binary, read) for name, read in _PARTS]
    parts += [("made_by", data, marks.made_by), ("telfhash", data, telfhash)]
    for name, subject, read in parts:
        try:
            found[name] = read(subject)
        except Exception as error:  # noqa: BLE001 - a corrupt part raises whatever its library likes
            errors.append(f"{name}: {type(error).__name__}: {error}"[:_TEXT])
    found["errors"] = errors
    return found


def telfhash(data: bytes) -> str | None:
    """Give Trend Micro's hash over the names of an ELF file's symbols; None when it has too few."""
    import yara_x

    said: list[str] = []
    rules = yara_x.compile('import "elf" import "console" rule t { condition: console.log(elf.telfhash()) }')
    scanner = yara_x.Scanner(rules)
    scanner.console_log(said.append)
    scanner.scan(data)
    return said[0] if said and said[0] else None


class ElfModule(Processing):
    """Make the key ``elf`` of the section ``static``, of ELF files only."""

    name = "elf"
    isolated = True
    timeout_s = 30.0

    @classmethod
    def applies(cls, facts: Facts) -> bool:
        sample = facts.store.sample
        if not sample.exists() or sample.stat().st_size > SIZE_LIMIT:
            return False
        with sample.open("rb") as file:
            return file.read(4) == b"\x7fELF"

    def run(self, facts: Facts, earlier: Earlier) -> dict[str, Any]:
        del earlier
        return describe(facts.store.sample)
