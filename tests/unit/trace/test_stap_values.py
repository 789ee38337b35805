"""Arguments of a log's line as values: escapes, cut strings, nested arrays and structures."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from malkoha.trace import stap_values
from malkoha.trace.stap_values import arguments, text_of


def test_a_cuckoo_structure_without_names_loses_no_bracket_and_keeps_none() -> None:
    found = arguments("SIGCHLD, {0x5, SA_RESTORER, 0x7, [SIGHUP|SIGINT]}, 0x0, 8")
    assert found == {"p0": "SIGCHLD", "p1": ["0x5", "SA_RESTORER", "0x7", ["SIGHUP|SIGINT"]], "p2": "0x0", "p3": "8"}


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (r'"a\x28b\x29"', "a(b)"),
        (r'"\n\t\\\"\0"', '\n\t\\"\0'),
        (r'"\101\12"', "A\n"),
        (r'"\xc3\xa9\xc4"', "éÄ"),
        (r'"\u0041\N{DIGIT ONE}"', "u0041N{DIGIT ONE}"),
        (r'"\777\8"', "\xff8"),
        ('"\\\n"', "\n"),
        ('"cut \\x4', "cut x4"),
        ('"cut"...', "cut..."),
        ('"', ""),
    ],
)
def test_escapes(text: str, shown: str) -> None:
    assert arguments(text) == {"p0": shown}


@given(st.binary(max_size=60))
def test_what_the_engine_escapes_is_read_as_it_was(data: bytes) -> None:
    text = '"' + "".join(f"\\x{byte:02x}" for byte in data) + '"'
    assert arguments(text) == {"p0": text_of(data)}


@given(st.text(alphabet="\\x01anrtu'\"N{}7é\n", max_size=30))
def test_both_ways_to_unescape_agree(inner: str) -> None:
    slow = text_of(stap_values._ESCAPE.sub(stap_values._escape, inner.encode("latin-1")))
    assert stap_values._string(inner) == (slow if "\\" in inner else inner)


def test_nesting_is_bounded() -> None:
    assert list(arguments("[" * 100_000)) == ["p0"]
    assert len(arguments(", ".join("1" * 500))) == 500
