"""URLs as targets: what is started in the guest to fetch one, by the client that ``--option client=`` names.

In: a URL and the name of a client. Out: the name and the bytes of the sample. Each client keeps what it gets in a
folder of its own and runs what can be run of it: a program, or a script with a first line.
"""

from __future__ import annotations

import ast
import re
import shlex
from importlib.resources import files

SCHEMES = ("http", "https", "ftp")
LONGEST = 2048
AGENT = "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0"
_FETCH = """#!/bin/sh
cd "$(mktemp -d)" || exit 1
{command} || exit $?
case "$(head -c 4 download | tr -d '\\000')" in
    ?ELF|'#!'*) chmod +x download && exec ./download ;;
esac
"""
_COMMANDS = {
    "curl": "curl -fsSL --max-redirs 10 --max-time 60 -A {agent} -o download {url}",
    "wget": "wget -q --max-redirect=10 --timeout=60 --tries=1 -U {agent} -O download {url}",
}
CLIENTS = (*_COMMANDS, "browser")
"""What ``client=`` may be; the first is the default. A browser needs an image with Debian's chromium."""
FOLDER = re.compile(r"/tmp/tmp[.\w]+/[^/]+")  # noqa: S108 - a path of the guest
"""Where these clients keep what they get."""
PICTURE, PAGE = "page.png", "page.html"
"""What the browser saw, and the document as it stood then, in that folder."""


def is_url(text: str) -> bool:
    """Tell what can be fetched."""
    scheme, separator, rest = text.partition("://")
    known = scheme.lower() in SCHEMES and bool(separator)
    return known and bool(rest.strip("/")) and len(text) <= LONGEST and not any(map(str.isspace, text))


def sample(url: str, client: str) -> tuple[bytes, bytes]:
    """Return the name and the content of the sample that fetches ``url``."""
    if client == "browser":
        return b"open-url.py", _browser(url)
    command = _COMMANDS[client].format(agent=shlex.quote(AGENT), url=shlex.quote(url))
    return b"open-url.sh", _FETCH.format(command=command).encode()


def _browser(url: str) -> bytes:
    """Return browser.py for one URL, without what it says of itself: docstrings and comments stay on the host."""
    tree = ast.parse((files("malkoha.urls") / "browser.py").read_bytes())
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef):
            node.body = [each for each in node.body if not _is_text(each)] or [ast.Pass()]
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "URL":
            node.value = ast.Constant(url)
    return f"#!/usr/bin/python3\n{ast.unparse(ast.fix_missing_locations(tree))}\n".encode()


def _is_text(node: ast.stmt) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
