"""PDF files: actions, scripts, links, embedded files, hidden names and object streams; damaged and hostile ones."""

from __future__ import annotations

import hashlib
import zlib
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from malkoha.processing import pdf, runner
from malkoha.processing.pdf import PdfModule, describe, plain
from tests.unit.processing.folder import analysis


def document(*objects: bytes, tail: bytes = b"trailer << /Root 1 0 R >>") -> bytes:
    body = b"".join(b"%d 0 obj\n%s\nendobj\n" % (number, text) for number, text in enumerate(objects, 1))
    return b"%PDF-1.7\n" + body + tail + b"\n%%EOF"


def stream(data: bytes, told: bytes = b"/Filter /FlateDecode") -> bytes:
    return b"<< %s /Length %d >>\nstream\n%s\nendstream" % (told, len(data), data)


def test_a_script_that_runs_on_opening() -> None:
    found, kept = describe(
        document(
            b"<< /Type /Catalog /OpenAction 2 0 R >>",
            b"<< /S /JavaScript /JS 3 0 R >>",
            stream(zlib.compress(b"app.alert('hi')")),
        )
    )
    assert found["version"] == "1.7"
    assert found["opens_with"] == ["OpenAction: << /S /JavaScript /JS 3 0 R >>"]
    assert found["scripts"] == [{"size": 15, "text": "app.alert('hi')"}]
    assert found["keys"] == {"OpenAction": 1, "JavaScript": 1, "JS": 1}
    assert kept == [b"app.alert('hi')"]
    assert "errors" not in found


def test_names_and_texts_that_are_written_otherwise() -> None:
    found, _ = describe(document(rb"<< /S /J#61vaScript /J#53 (a\(b\)\056\n\)) >>", b"<< /JS <6162 6> >>"))
    assert [script["text"] for script in found["scripts"]] == ["a(b).\n)", "ab`"]
    assert plain(b"/#4aS (#4a)") == b"/JS (#4a)"
    assert describe(document(b"<< /JS (\xfe\xff\0a\0b) >>"))[0]["scripts"][0]["text"] == "ab"


def test_launches_links_and_encryption() -> None:
    found, _ = describe(
        document(
            b"<< /S /Launch /Win << /F (cmd.exe) /P (/c x) >> >>",
            b"<< /A << /S /URI /URI (http://example.org/\\(a\\)) >> >>",
            tail=b"trailer << /Encrypt 9 0 R >>",
        )
    )
    assert found["launches"] == ["cmd.exe /c x"]
    assert found["urls"] == ["http://example.org/(a)"]
    assert found["encrypted"] is True


def test_embedded_files() -> None:
    found, kept = describe(
        document(
            b"<< /Type /Filespec /F (run.sh) /EF << /F 2 0 R >> >>",
            stream(zlib.compress(b"#!/bin/sh"), b"/Type /EmbeddedFile /Filter [/FlateDecode]"),
        )
    )
    digest = hashlib.sha256(b"#!/bin/sh").hexdigest()
    assert found["embedded"] == [{"name": "run.sh"}, {"size": 9, "sha256": digest}]
    assert kept == [b"#!/bin/sh"]


def test_objects_in_streams() -> None:
    inner = b"<< /OpenAction 11 0 R >> << /S /JavaScript /JS (x()) >>"
    numbers = b"10 0 11 25 "
    told = b"/Type /ObjStm /N 2 /First %d /Filter /FlateDecode" % len(numbers)
    found, _ = describe(document(stream(zlib.compress(numbers + inner), told)))
    assert found["opens_with"] == ["OpenAction: << /S /JavaScript /JS (x()) >>"]
    assert found["scripts"] == [{"size": 3, "text": "x()"}]


@pytest.mark.parametrize(
    ("data", "name"), [(b"61 62>", b"/ASCIIHexDecode"), (b"@:B~>", b"/ASCII85Decode"), (b"3q2]~>", b"/LZWDecode")]
)
def test_filters(data: bytes, name: bytes) -> None:
    found, _ = describe(document(b"<< /JS 2 0 R >>", stream(data, b"/Filter " + name)))
    if name == b"/LZWDecode":
        assert found["errors"] == ["JS: the filter /LZWDecode is not decoded"]
    else:
        assert found["scripts"][0]["text"] == "ab"


def test_bombs_end_at_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pdf, "STREAM", 1000)
    found, _ = describe(document(b"<< /JS 2 0 R >>", stream(zlib.compress(bytes(1 << 20)))))
    assert found["scripts"][0]["size"] == 1000
    assert found["errors"] == ["JS: decoded up to 1000 bytes"]


def test_the_section_from_its_own_process(tmp_path: Path) -> None:
    facts = analysis(tmp_path, sample=document(b"<< /JS (x()) >>"), name=b"x.pdf")
    sections, errors = runner.run(facts.store, facts.task, facts.run, [PdfModule])
    assert errors == []
    assert sections["pdf"]["scripts"] == [{"size": 3, "text": "x()"}]
    assert [path.read_bytes() for path in facts.store.unpacked.iterdir()] == [b"x()"]
    assert not PdfModule.applies(analysis(tmp_path / "two"))


@settings(max_examples=150, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 2_000), st.sampled_from(list(b"()<>[]/\\ 0Rx\xff"))), max_size=40),
    st.integers(8, 900),
)
def test_corrupt_files_never_raise(changes: list[tuple[int, int]], size: int) -> None:
    told = b"/Type /ObjStm /N 1 /First 4 /Filter /FlateDecode"
    data = bytearray(
        document(b"<< /OpenAction 2 0 R /AA << /O 3 0 R >> >>", b"<< /S /Launch /F (x) /JS 3 0 R >>",
                 stream(zlib.compress(b"9 0 << /URI (u) >>"), told))
    )  # fmt: skip
    for at, value in changes:
        data[at % len(data)] = value
    found, _ = describe(bytes(data[:size]))
    assert found["objects"] >= 0
