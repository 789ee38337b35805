"""Calls of note in Python, Perl, PHP and JavaScript, and none where a word only stands in a text."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from malkoha.processing import languages


def calls(language: str, source: str) -> dict[str, list[str]]:
    found: dict[str, list[str]] = languages.describe(language, source.encode()).get("calls", {})
    return found


def test_python_resolves_imports() -> None:
    found = calls(
        "python",
        "from subprocess import Popen as P\nimport os as o\n"
        "P(['x'])\no.system('id')\nexec('1')\n__import__('os').popen('x')\n",
    )
    assert found["runs commands"] == ["subprocess.Popen", "os.system", "os.popen"]
    assert found["runs code"] == ["exec", "__import__"]


def test_python_that_does_not_parse_is_read_by_its_words() -> None:
    found = languages.describe("python", b"print 'x'\nexec(base64.b64decode('x'))\n")
    assert found["syntax_errors"] == 1
    assert found["calls"] == {"runs code": ["exec"], "decodes": ["base64.b64decode"]}


def test_php_webshell() -> None:
    found = languages.describe(
        "php", b"<?php $f='sys'.'tem'; @eval(base64_decode($_POST['c'])); $f($_GET['x']); /* exec() */ ?>"
    )
    assert found["calls"] == {"runs code": ["eval"], "decodes": ["base64_decode"]}
    assert found["reads_request"] == ["$_GET", "$_POST"]
    assert found["hidden_names"] == ["$f"]


def test_perl_and_javascript() -> None:
    found = calls(
        "perl", "use IO::Socket;\nmy $s = IO::Socket::INET->new();\nsystem('id'); my $o = `uname`;\n# exec now\n"
    )
    assert found["runs commands"] == ["system", "`...`"]
    assert "network" in found
    found = calls("javascript", "require('child_process').exec(atob('x')) // eval('1')\n")
    assert found == {"runs code": ["require"], "decodes": ["atob"]} or "runs commands" in found


@pytest.mark.parametrize("language", sorted(languages.LEXERS))
def test_words_in_texts_and_comments_are_no_calls(language: str) -> None:
    assert calls(language, "x = 'eval(1) system(2)'\n") == {}


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(sorted(languages.LEXERS)), st.binary(max_size=3000))
def test_nothing_raises(language: str, data: bytes) -> None:
    languages.describe(language, data)
