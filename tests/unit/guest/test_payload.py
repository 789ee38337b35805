"""What goes into a guest: it runs there, and does not tell what it belongs to."""

from __future__ import annotations

import ast
import json
import re
import shutil
import stat
from pathlib import Path

import pytest

from malkoha.guest import payload

INGUEST = Path(payload.__file__).parents[1] / "inguest"


def agent() -> dict[str, str]:
    sources: dict[str, str] = json.loads(payload.agent_payload())
    return sources


def test_every_module_goes_in_under_another_name() -> None:
    expected = {"ga"}
    for path in INGUEST.rglob("*.py"):
        parts = path.relative_to(INGUEST).with_suffix("").parts
        expected.add(".".join(["ga", *[part for part in parts if part != "__init__"]]))
    assert set(agent()) == expected - {"ga.bootstrap", "ga.agent"} | {"ga.service"}


@pytest.mark.parametrize("name", sorted([*agent(), *payload.bootstrap_files()]))
def test_no_word_about_us(name: str) -> None:
    files = payload.bootstrap_files()
    text = name + (files[name][1].decode() if name in files else agent()[name])
    for word in ("malkoha", "sandbox", "cuckoo", "analy", "malware"):
        assert word not in text.lower()


@pytest.mark.parametrize("name", sorted(agent()))
def test_neither_comments_nor_docstrings(name: str) -> None:
    tree = ast.parse(agent()[name])
    assert [
        ast.unparse(node)
        for node in ast.walk(tree)
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    ] == []
    assert "#" not in re.sub(r"'[^'\n]*'", "", agent()[name])


@pytest.mark.parametrize("minor", [11, 12, 13])
def test_its_syntax_is_that_of_guests_pythons(minor: int) -> None:
    for name, text in {**agent(), "irqbalance": payload.bootstrap_files()["/usr/sbin/irqbalance"][1].decode()}.items():
        compile(ast.parse(text, name, feature_version=(3, minor)), name, "exec")


def test_the_files_of_an_image() -> None:
    files = payload.bootstrap_files()
    mode, content = files["/usr/sbin/irqbalance"]
    assert (stat.S_ISREG(mode), stat.S_IMODE(mode)) == (True, 0o755)
    assert b"def open_port" in content
    links = {path: target for path, (mode, target) in files.items() if stat.S_ISLNK(mode)}
    assert [target.decode() in files for target in links.values()] == [True]
    unit = files["/usr/lib/systemd/system/irqbalance.service"][1].decode()
    assert "Restart=always" in unit
    assert "/usr/sbin/irqbalance" in unit


def test_the_digest_changes_with_every_source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    copy = tmp_path / "malkoha"
    shutil.copytree(INGUEST, copy / "inguest")
    (copy / "guest").mkdir()
    shutil.copy(payload.__file__, copy / "guest" / "payload.py")
    before = payload.digest()
    monkeypatch.setattr(payload, "files", lambda package: tmp_path / package.replace(".", "/"))
    assert payload.digest() == before
    seen = {before}
    for path in sorted(copy.rglob("*.py")):
        with path.open("a") as file:
            file.write("\n")
        seen.add(payload.digest())
    assert len(seen) == 1 + len(list(copy.rglob("*.py")))
    (copy / "inguest" / "packages" / "new.py").write_text("")
    assert payload.digest() not in seen
