"""Section ``static``, key ``elf``: what an ELF file says of itself, read by lief in a process of its own.

Corrupt files give what they can: each part is read on its own, and what cannot be read is named in ``errors``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from malkoha.processing.base import Earlier, Facts, Processing

LIMIT = 2_000
"""Entries of one list."""
SIZE_LIMIT = 256 << 20
_TEXT = 512


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
            "size": int(section.size),
            "entropy": round(float(section.entropy), 2),
        }
        for section in list(binary.sections)[:LIMIT]
    ]


def _segments(binary: Any) -> list[dict[str, Any]]:
    return [
        {
            "type": _name(segment.type),
            "addr": hex(segment.virtual_address),
            "size": int(segment.virtual_size),
            "flags": "".join(
                letter if int(segment.flags) & bit else "-" for letter, bit in (("R", 4), ("W", 2), ("X", 1))
            ),
        }
        for segment in list(binary.segments)[:LIMIT]
    ]


def _symbols(binary: Any, *, imported: bool) -> list[str]:
    symbols = binary.imported_symbols if imported else binary.exported_symbols
    return [name for symbol in list(symbols)[:LIMIT] if (name := _text(symbol.name))]


def _build_id(binary: Any) -> str | None:
    for note in binary.notes:
        if _name(note.type).endswith("BUILD_ID"):
            return bytes(note.description).hex()
    return None


def _hardening(binary: Any) -> dict[str, bool]:
    stack = [segment for segment in binary.segments if _name(segment.type) == "GNU_STACK"]
    names = {_text(symbol.name) for symbol in list(binary.imported_symbols)[:LIMIT]}
    return {
        "pie": bool(binary.is_pie),
        "nx": bool(stack) and not int(stack[0].flags) & 1,
        "relro": any(_name(segment.type) == "GNU_RELRO" for segment in binary.segments),
        "canary": "__stack_chk_fail" in names,
    }


_PARTS: tuple[tuple[str, Callable[[Any], Any]], ...] = (
    ("file_header", _header),
    ("section_headers", _sections),
    ("program_headers", _segments),
    ("interpreter", lambda binary: _text(binary.interpreter) if binary.has_interpreter else None),
    ("libraries", lambda binary: [_text(name) for name in list(binary.libraries)[:LIMIT]]),
    ("imports", lambda binary: _symbols(binary, imported=True)),
    ("exports", lambda binary: _symbols(binary, imported=False)),
    ("build_id", _build_id),
    ("hardening", _hardening),
    ("overlay_size", lambda binary: len(binary.overlay)),
)


def describe(path: str) -> dict[str, Any]:
    """Read the ELF file at ``path``; empty when it is none, with ``errors`` for the parts that could not be read."""
    import lief

    lief.logging.disable()
    binary = lief.ELF.parse(path)
    if binary is None:
        return {}
    found: dict[str, Any] = {}
    errors: list[str] = []
    for name, read in _PARTS:
        try:
            found[name] = read(binary)
        except Exception as error:  # noqa: BLE001 - a corrupt part raises whatever its library likes
            errors.append(f"{name}: {type(error).__name__}: {error}"[:_TEXT])
    found["errors"] = errors
    return found


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
        return describe(str(facts.store.sample))
