"""What is odd about an ELF file, and the marks that compilers, packers and bundlers leave in one.

In: lief's view of the file, or its bytes. Out: lists of short sentences and names. Nothing here is proof of malice.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

ODDITIES = 40
_HIGH = 7.2
"""Bits a byte above which data is compressed, encrypted or random."""
_READ = 64 << 20

MARKS: tuple[tuple[str, re.Pattern[bytes]], ...] = (
    ("UPX", re.compile(rb"UPX!.{0,64}|\$Info: This file is packed with the UPX", re.DOTALL)),
    ("Go", re.compile(rb"\xff Go buildinf:|Go build ID: \"|runtime\.morestack_noctxt")),
    ("Rust", re.compile(rb"/rustc/[0-9a-f]{40}/|rust_begin_unwind|__rust_alloc|rust_eh_personality")),
    (
        "shc",
        re.compile(
            rb"E: neither argv\[0\] nor \$_ works\.|has expired!\n.{0,80}Please contact your provider", re.DOTALL
        ),
    ),
    ("PyInstaller", re.compile(rb"_MEIPASS2?\b|MEI\x0c\x0b\x0a\x0b\x0e|pyi-runtime-tmpdir")),
    ("Nuitka", re.compile(rb"NUITKA_ONEFILE_PARENT|__nuitka_binary_dir")),
    ("AppImage", re.compile(rb"\A\x7fELF.{4}AI[\x01\x02]", re.DOTALL)),
    ("makeself", re.compile(rb"This script was generated using Makeself")),
    ("Nim", re.compile(rb"@m\.\.@s|nimFrame|NimMainModule")),
    ("Zig", re.compile(rb"zig\x00|std\.builtin\.panic|zig_probe_stack")),
    ("GCC", re.compile(rb"GCC: \([^)]{1,80}\) [0-9][0-9.]*")),
    ("clang", re.compile(rb"clang version [0-9][0-9.]*")),
    ("musl", re.compile(rb"ld-musl-[a-z0-9_]+\.so\.1|musl libc \(")),
    ("uClibc", re.compile(rb"ld-uClibc|__uClibc_main|uClibc")),
)


def made_by(data: bytes) -> list[str]:
    """Name the tools whose marks stand in the bytes: compilers, packers, bundlers; with a version where it is told."""
    head = data[:_READ]
    found = []
    for name, pattern in MARKS:
        match = pattern.search(head)
        if match is None:
            continue
        version = re.search(rb"[0-9]+\.[0-9.]+", match.group()) if name in ("GCC", "clang") else None
        found.append(f"{name} {version.group().decode().rstrip('.')}" if version else name)
    return found


def oddities(binary: Any) -> list[str]:
    """List what ordinary tools do not make; each check is on its own, so that one corrupt part hides no other."""
    found: list[str] = []
    for check in _CHECKS:
        try:
            found += check(binary)
        except Exception as error:  # noqa: BLE001 - lief raises whatever it likes on corrupt parts
            found.append(f"{check.__name__.strip('_').replace('_', ' ')} cannot be read: {type(error).__name__}")
    return found[:ODDITIES]


def _kind(value: Any) -> str:
    return str(value).rsplit(".", 1)[-1]


def _header(binary: Any) -> list[str]:
    header = binary.header
    found = []
    if int(header.numberof_sections) == 0:
        found.append("no section headers")
    elif header.section_name_table_idx >= header.numberof_sections:
        found.append("the table of section names lies outside of the section headers")
    if len(binary.sections) < int(header.numberof_sections):
        found.append(f"{header.numberof_sections} section headers are declared, {len(binary.sections)} can be read")
    if _kind(header.file_type) in ("EXEC", "DYN") and int(header.numberof_segments) == 0:
        found.append("no program headers")
    if header.header_size not in (52, 64):
        found.append(f"the header claims a size of {header.header_size} bytes")
    return found


def _segments(binary: Any) -> list[str]:
    found = []
    for segment in binary.segments:
        flags = int(segment.flags)
        where = hex(segment.virtual_address)
        if _kind(segment.type) == "LOAD" and flags & 3 == 3:
            found.append(f"the segment at {where} can be written and run")
        if _kind(segment.type) == "GNU_STACK" and flags & 1:
            found.append("the stack can be run")
        if segment.file_offset + segment.physical_size > binary.original_size:
            found.append(f"the segment at {where} reaches beyond the end of the file")
        if (
            _kind(segment.type) == "LOAD"
            and segment.physical_size == 0
            and segment.virtual_size > 1 << 20
            and flags & 1
        ):
            found.append(f"the segment at {where} can be run and has no bytes in the file")
    return found


def _entry_point(binary: Any) -> list[str]:
    entry = binary.header.entrypoint
    if not entry or _kind(binary.header.file_type) not in ("EXEC", "DYN"):
        return []
    loaded = [each for each in binary.segments if _kind(each.type) == "LOAD"]
    home = [each for each in loaded if each.virtual_address <= entry < each.virtual_address + each.virtual_size]
    if not home:
        return ["the entry point lies outside of every segment"]
    if not int(home[0].flags) & 1:
        return ["the entry point lies in a segment that cannot be run"]
    section = binary.section_from_virtual_address(entry)
    if section is not None and section.name not in (".text", ".init", ".plt", ""):
        return [f"the entry point lies in section {str(section.name)[:40]!r}"]
    return ["the entry point lies outside of every section"] if section is None and len(binary.sections) else []


def _sections(binary: Any) -> list[str]:
    found = []
    for section in binary.sections:
        flags, name = int(section.flags), str(section.name)[:40]
        if flags & 5 == 5 and section.size:
            found.append(f"section {name!r} can be written and run")
        if _kind(section.type) != "NOBITS" and section.offset + section.size > binary.original_size:
            found.append(f"section {name!r} reaches beyond the end of the file")
        if name == ".text" and section.size > 4096 and section.entropy > _HIGH:
            found.append(f"the code has an entropy of {section.entropy:.2f}, as packed code has")
    return found


def _loader(binary: Any) -> list[str]:
    found = []
    if binary.has_interpreter:
        path = str(binary.interpreter)
        if not re.fullmatch(r"/(?:lib|lib32|lib64|libx32|usr/lib\S*|system/bin)/\S*(?:ld\S*|linker(?:64)?)", path):
            found.append(f"an unusual interpreter: {path[:200]!r}")
    for entry in binary.dynamic_entries:
        if _kind(entry.tag) in ("RPATH", "RUNPATH"):
            value = str(getattr(entry, "rpath", "") or getattr(entry, "runpath", ""))
            if re.search(r"(?:^|:)(?:/tmp|/var/tmp|/dev/shm|\.{0,2}(?:/|:|$))", value):
                found.append(f"libraries are looked for in {value[:200]!r}")
    return found


def _overlay(binary: Any) -> list[str]:
    size = len(binary.overlay)
    return [f"{size} bytes follow the last part of the file"] if size > 1024 else []


_CHECKS: tuple[Callable[[Any], list[str]], ...] = (_header, _segments, _entry_point, _sections, _loader, _overlay)
