"""What strings name, by kind; and what only looks like it."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from malkoha.processing import runner
from malkoha.processing.indicators import IndicatorsModule, classify
from tests.unit.processing.folder import analysis

ONION = "a" * 56 + ".onion"


@pytest.mark.parametrize(
    ("text", "kind", "value"),
    [
        ("connect 203.0.113.77:8080", "ips", "203.0.113.77"),
        ("2001:db8::1", "ips", "2001:db8::1"),
        ("pool.minexmr.com:4444", "domains", "pool.minexmr.com"),
        (f"http://{ONION}/", "onions", ONION),
        ("mail restore@evil.example.com now", "emails", "restore@evil.example.com"),
        ("1BvBMSEYstWetqTFn5Au4m4GFg7xJaNVN2", "wallets", "bitcoin: 1BvBMSEYstWetqTFn5Au4m4GFg7xJaNVN2"),
        (
            "bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4",
            "wallets",
            "bitcoin: bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4",
        ),
        ("/etc/ld.so.preload", "paths", "/etc/ld.so.preload"),
        ("cd /x; chmod 777 /tmp/x", "commands", "chmod 777 /tmp/x"),
        ("AKIAABCDEFGHIJKLMNOP", "keys", "AWS access key: AKIAABCDEFGHIJKLMNOP"),
        ("-----BEGIN RSA PRIVATE KEY-----", "keys", "private key: -----BEGIN RSA PRIVATE KEY-----"),
    ],
)
def test_kinds(text: str, kind: str, value: str) -> None:
    assert value in classify([text])[kind]


@pytest.mark.parametrize(
    "text",
    [
        "version 1.2.3.4",
        "127.0.0.1",
        "999.1.1.1",
        "script.sh",
        "libc.so.6",
        "1BvBMSEYstWetqTFn5Au4m4GFg7xJaNVN3",
        "std::vector",
    ],
)
def test_what_only_looks_like_one(text: str) -> None:
    found = classify([text])
    assert not {"ips", "domains", "wallets"} & set(found), found


def test_unpacked_files_are_read_too(tmp_path: Path) -> None:
    facts = analysis(tmp_path, sample=b"#!/bin/sh\nping 203.0.113.5\n")
    facts.store.unpacked.mkdir()
    (facts.store.unpacked / "x").write_bytes(b"http://evil.example.com/payload")
    sections, errors = runner.run(facts.store, facts.task, facts.run, [IndicatorsModule])
    assert errors == []
    assert sections["indicators"]["urls"] == ["http://evil.example.com/payload"]
    assert sections["indicators"]["ips"] == ["203.0.113.5"]


@settings(max_examples=100, deadline=None)
@given(st.lists(st.text(max_size=200), max_size=20))
def test_nothing_raises(texts: list[str]) -> None:
    assert isinstance(classify(texts), dict)
