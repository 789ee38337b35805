"""What the guides say works: the first signature, the links of the site, the generated reference."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest

from malkoha.cli import reference as cli
from malkoha.signatures import base
from malkoha.signatures.base import Signature
from malkoha.signatures.judging import judge
from malkoha.signatures.paths import table
from malkoha.trace.processes import Builder
from malkoha.trace.store import Row
from malkoha.web import reference as web
from tests.unit.signatures.test_rules import events

ROOT = Path(__file__).parents[2]
GUIDE = (ROOT / "docs" / "guides" / "signatures.md").read_text()


def block(language: str) -> str:
    found = re.search(rf"^( *)```{language}\n(.*?)^ *```", GUIDE, re.DOTALL | re.MULTILINE)
    assert found is not None
    return "".join(line.removeprefix(found[1]) for line in found[2].splitlines(keepends=True))


def test_the_first_signature_works_as_it_is_written() -> None:
    names: dict[str, Any] = {name: getattr(base, name) for name in dir(base)} | {"table": table}
    exec(compile(block("python"), "<the guide>", "exec"), names)
    (case,) = tomllib.loads(block("toml"))["case"]
    signature: type[Signature] = next(
        each for each in names.values() if isinstance(each, type) and getattr(each, "name", "") == case["signature"]
    )
    builder, rows = Builder(), []
    for event in events(case["trace"]):
        process = builder.feed(event)
        rows.append(Row(process.key, process.calls - 1, event))
    found, errors = judge(rows, builder.finish(), {}, [signature])
    assert errors == []
    assert [match.name for match in found] == ["reads_wallets"]
    assert [mark.ioc for mark in found[0].marks if mark.ioc] == case["ioc"]


def test_the_site_builds_without_a_warning(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(tmp_path / "site")]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)
    assert done.returncode == 0, done.stdout + done.stderr
    pages = list((tmp_path / "site").rglob("*.html"))
    assert len(pages) > 15
    for page in pages:
        text = page.read_text()
        loaded = re.findall(r"<(?:script|img|link|iframe)[^>]+(?:src|href)=\"?(https?://[^\s\">]+)", text)
        assert [address for address in loaded if "canonical" not in address] == [], page


@pytest.mark.parametrize("name", ["rest", "cli"])
def test_the_reference_is_up_to_date(name: str) -> None:
    made = {"rest": web.markdown, "cli": cli.markdown}[name]()
    assert (ROOT / "docs" / "reference" / f"{name}.md").read_text() == made, "make docs writes it"
