"""The name in a query, whatever the text of a trace made of its bytes."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from malkoha.processing.dns import question
from malkoha.trace.stap import text_of


def query(name: str, identity: int = 0x1234, kind: int = 1, extra: int = 0) -> bytes:
    labels = b"".join(bytes([len(label)]) + label.encode() for label in name.split("."))
    return struct.pack(">6H", identity, 0x0100, 1, 0, 0, extra) + labels + b"\0" + struct.pack(">HH", kind, 1)


@pytest.mark.parametrize("name", ["www.360.com", "localhost", "a.b.c.d.example", "x" * 63 + ".org", "_sip._tcp.x.net"])
def test_names(name: str) -> None:
    assert question(text_of(query(name))) == name
    assert question(text_of(query(name, kind=28, extra=1) + b"\0\0\x29\x04\xd0\0\0\0\0\0\0")) == name


@given(st.integers(0, 0xFFFF))
def test_any_identity(identity: int) -> None:
    assert question(text_of(query("www.example.org", identity))) == "www.example.org"


@pytest.mark.parametrize(
    "payload",
    ["", "GET / HTTP/1.0\r\n", "\0" * 40, text_of(query("www.example.org")[:20]), "\x00\x01" + "\0" * 6 + "\x05ab\0\0"],
)
def test_what_is_no_query(payload: str) -> None:
    assert question(payload) is None


@given(st.binary(max_size=200))
def test_nothing_raises(data: bytes) -> None:
    found = question(text_of(b"\x00\x01\x00\x00\x00\x00\x00\x00" + data))
    assert found is None or 0 < len(found) < 254
