"""What fetches a URL in the guest: each client as it is, run on the host against stand-ins."""

from __future__ import annotations

import ast
import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from malkoha import urls

URL = "http://example.org/x?a='$(id)'&b=1"
HOSTILE = "http://example.org/');import os;os.system('id')#\"\"\"\\"


@pytest.mark.parametrize("client", ["curl", "wget"])
def test_a_shell_script_gives_the_client_the_url_as_it_is(client: str) -> None:
    name, script = urls.sample(URL, client)
    line = next(line for line in script.decode().splitlines() if line.startswith(client))
    words = shlex.split(line.removesuffix(" || exit $?"))
    assert (name, words[0], words[-1]) == (b"open-url.sh", client, URL)
    assert urls.AGENT in words


@pytest.mark.parametrize("client", ["curl", "wget"])
@pytest.mark.parametrize(("content", "said"), [("#!/bin/sh\necho stage two\n", "stage two\n"), ("<p>page</p>", "")])
def test_what_can_be_run_is_run(client: str, content: str, said: str, tmp_path: Path) -> None:
    # the stand-in writes to where the client is told to, which is the word after -o or -O
    program = tmp_path / client
    program.write_text(
        '#!/bin/sh\nwhile [ "$1" != -o ] && [ "$1" != -O ]; do shift; done\nprintf "%s" "$CONTENT" > "$2"\n'
    )
    program.chmod(0o755)
    environment = os.environ | {"PATH": f"{tmp_path}:{os.environ['PATH']}", "TMPDIR": str(tmp_path), "CONTENT": content}
    _, script = urls.sample(URL, client)
    done = subprocess.run(["sh", "-c", script.decode()], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout == said


def test_a_client_that_fails_ends_with_its_status(tmp_path: Path) -> None:
    (tmp_path / "curl").write_text("#!/bin/sh\nexit 22\n")
    (tmp_path / "curl").chmod(0o755)
    environment = os.environ | {"PATH": f"{tmp_path}:{os.environ['PATH']}", "TMPDIR": str(tmp_path)}
    _, script = urls.sample(URL, "curl")
    assert subprocess.run(["sh", "-c", script.decode()], env=environment, check=False).returncode == 22


@pytest.mark.parametrize("url", [URL, HOSTILE])
def test_the_browsers_program_holds_the_url_and_says_nothing_of_itself(url: str) -> None:
    name, script = urls.sample(url, "browser")
    assert name == b"open-url.py"
    assert script.startswith(b"#!/usr/bin/python3\n")
    tree = ast.parse(script)
    assigned = {ast.unparse(node.targets[0]): node.value for node in tree.body if isinstance(node, ast.Assign)}
    assert ast.literal_eval(assigned["URL"]) == url
    # no docstring is left
    assert ast.get_docstring(tree) is None
    assert all(ast.get_docstring(node) is None for node in ast.walk(tree) if isinstance(node, ast.FunctionDef))
    assert b"malkoha" not in script


def test_the_browsers_program_needs_the_standard_library_only() -> None:
    tree = ast.parse(urls.sample(URL, "browser")[1])
    modules = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    modules |= {str(node.module) for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    assert modules - set(sys.stdlib_module_names) == set()


@pytest.mark.parametrize(
    ("text", "right"),
    [
        ("http://h/", True), ("HTTPS://h", True), ("ftp://h/f", True), ("http://", False), ("http://h/a b", False),
        ("file:///etc/passwd", False), ("http://h/" + "x" * 2048, False), ("h/f", False),
    ],
)  # fmt: skip
def test_what_a_url_is(text: str, right: bool) -> None:
    assert urls.is_url(text) is right
