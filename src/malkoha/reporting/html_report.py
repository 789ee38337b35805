"""report.html: the whole report as one file that needs nothing else and asks nobody for anything.

In: the report. Out: a page with its style and its script inside. What the sample chose is escaped: texts by the
template's autoescape, control and direction characters by ``shown``, processes and calls by being packed (columns.py).
The Content-Security-Policy lets run the two scripts and the style of this package, by their hashes, and nothing else.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from malkoha.model.report import Report
from malkoha.reporting import columns
from malkoha.reporting.base import Reporter, replace
from malkoha.reporting.page import page
from malkoha.reporting.wording import items, mapping
from malkoha.store import Store

if TYPE_CHECKING:
    from jinja2 import Environment
    from markupsafe import Markup

SCRIPTS = ("base.js", "grid.js", "processes.js", "calls.js", "page.js")
PICTURES = 3
PICTURE_BYTES = 2 << 20
ESCAPES = 2_000
"""Escapes of one text that are set apart; a text with more is binary, and shows them as plain text."""
_HERE = Path(__file__).parent
_LINES = frozenset("\n\t")


class HtmlReporter(Reporter):
    """Write report.html."""

    name = "html"

    def write(self, report: Report, store: Store) -> Path:
        plain: dict[str, Any] = msgspec.to_builtins(report)
        return replace(store.report_html, render(plain, pictures(store, plain)).encode("utf-8", "backslashreplace"))


def pictures(store: Store, report: Mapping[str, Any]) -> list[str]:
    """Give the first screenshots, as addresses that hold them; only what begins like a PNG, and of a bounded size."""
    found = []
    for shot in items(report.get("screenshots"))[:PICTURES]:
        path = store.screenshots / str(mapping(shot).get("path", "")).rpartition("/")[2]
        if path.is_file() and path.stat().st_size <= PICTURE_BYTES:
            content = path.read_bytes()
            if content.startswith(b"\x89PNG\r\n\x1a\n"):
                found.append(f"data:image/png;base64,{base64.b64encode(content).decode('ascii')}")
    return found


def render(report: Mapping[str, Any], shots: Sequence[str] = ()) -> str:
    """Make the page of a report given as plain values, with pictures as addresses that hold them."""
    model = page(report)
    processes = columns.Processes(report)
    blocks = {"processes": columns.pack(processes.index())}
    blocks |= {f"process-{number}": columns.pack(block) for number, block in enumerate(processes.blocks())}
    matches = map(mapping, items(report.get("signatures")))
    blocks["signatures"] = columns.pack(
        [str(match.get("description") or match.get("name", "?"))[:400] for match in matches]
    )
    blocks |= _lists(model)
    theme, script, style = _static("theme.js"), _script(), _static("report.css")
    policy = (
        "default-src 'none'; base-uri 'none'; form-action 'none'; img-src data:; "
        f"script-src {_hash(theme)} {_hash(script)}; style-src {_hash(style)}; "
        "require-trusted-types-for 'script'; trusted-types 'none'"
    )
    template = _environment().get_template("report.html.j2")
    return template.render(**model, policy=policy, theme=theme, script=script, style=style, blocks=blocks, shots=shots)


def _title(match: Mapping[str, Any]) -> str:
    return str(match.get("description") or match.get("name", "?"))[:400]


def _lists(model: Mapping[str, Any]) -> dict[str, str]:
    """Pack what lists hold beyond what the page shows at once."""
    groups = [entry for group in model["touched"] for entry in group["lists"]] + model["elf"].get("lists", [])
    groups += model["noise"].get("lists", [])
    packed = {f"list-{number}": columns.pack(entry["rest"]) for number, entry in enumerate(groups) if entry["rest"]}
    for number, entry in enumerate(groups):
        entry["block"] = f"list-{number}" if entry["rest"] else ""
    packed["strings"] = columns.pack(model["strings"])
    return packed


def shown(text: object, *, lines: bool = False) -> Markup:
    """Escape a text for HTML; characters that cannot be seen, or that turn or hide others, stand as marked escapes.

    With ``lines`` ends of lines and tabs stay what they are.
    """
    from markupsafe import Markup, escape

    value = str(text)
    if value.isprintable():
        return escape(value)
    keep = _LINES if lines else frozenset()
    parts: list[str] = []
    marked = 0
    for run in re.finditer(r"[ -~]+|(.)", value, re.DOTALL):
        found = run[1]
        if found is None or found.isprintable() or found in keep:
            parts.append(str(escape(run[0])))
            continue
        code = str(escape(found.encode("unicode_escape").decode("ascii")))
        marked += 1
        parts.append(f'<i class="esc">{code}</i>' if marked <= ESCAPES else code)
    return Markup("".join(parts).replace('</i><i class="esc">', ""))  # noqa: S704 - every part was escaped above


@cache
def _environment() -> Environment:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(_HERE / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["shown"] = shown
    return environment


@cache
def _static(name: str) -> str:
    return (_HERE / "static" / name).read_text(encoding="utf-8")


@cache
def _script() -> str:
    return '"use strict";\n(() => {\n' + "\n".join(map(_static, SCRIPTS)) + "\n})();\n"


def _hash(content: str) -> str:
    digest = hashlib.sha256(content.encode("utf-8")).digest()
    return f"'sha256-{base64.b64encode(digest).decode('ascii')}'"
