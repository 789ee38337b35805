from __future__ import annotations

from pathlib import Path

import pytest

from malkoha.requirements import Package, packages


def test_the_list_can_be_read() -> None:
    rows = packages()
    assert {"qemu-system-x86", "mmdebstrap", "libmagic1"} <= {row.name for row in rows if row.group == "run"}
    assert all(row.purpose for row in rows)
    assert len({row.name for row in rows}) == len(rows)


@pytest.mark.parametrize(
    ("test", "present"),
    [
        ("cmd:sh", True),
        ("cmd:no-such-command-at-all", False),
        ("file:/etc/pass*", True),
        ("file:/no/such/*", False),
        ("python:json", True),
        ("python:no_such_module", False),
    ],
)
def test_presence(test: str, present: bool) -> None:
    assert Package(group="run", name="x", test=test, purpose="y").is_present() is present


def test_comments_and_spaces(tmp_path: Path) -> None:
    path = tmp_path / "list"
    path.write_text("# a comment\n\nrun  some-package   cmd:sh   does this and that\n")
    assert packages(path) == [Package(group="run", name="some-package", test="cmd:sh", purpose="does this and that")]
