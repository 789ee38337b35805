from __future__ import annotations

import io
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from malkoha import backup, submit
from malkoha.config import Settings
from malkoha.errors import UsageError
from malkoha.model.task import Options, Status
from malkoha.store import Home
from malkoha.tasks import Tasks
from malkoha.web.tokens import Role
from malkoha.web.tokens import Tokens as Secrets


@pytest.fixture
def full(home: Home, tmp_path: Path) -> Home:
    """A home with two tasks, one of them run, settings, a token and a rule."""
    sample = tmp_path / "a.sh"
    sample.write_text("#!/bin/sh\n")
    with Tasks(home) as tasks:
        for _ in range(2):
            tasks.add(submit.submit(home, Settings(), str(sample), Options()))
        tasks.move(1, Status.FAILED_ANALYSIS, error="why")
    home.config.write_text("[service]\nrequests_per_minute = 7\n")
    (home.rules / "own").mkdir(parents=True)
    (home.rules / "own" / "a.yar").write_text("rule a { condition: true }")
    home.analysis(1).report_json.write_text("{}")
    (home.analysis(1).root / "link").symlink_to("/etc/passwd")
    home.images.mkdir()
    (home.images / "large").write_text("image")
    return home


def files(home: Home) -> dict[str, bytes]:
    left_out = (home.images, home.database, home.database_lock)
    return {
        str(path.relative_to(home.root)): path.read_bytes()
        for path in home.root.rglob("*")
        if path.is_file() and not path.is_symlink() and not any(path.is_relative_to(place) for place in left_out)
        if not path.name.endswith((".lock", "-wal", "-shm"))
    }


def test_a_home_comes_back_as_it_was(
    full: Home, tmp_path: Path, malkoha_: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    secret = Secrets(full).add("alice", Role.READ)
    archive = tmp_path / "home.tar"
    with Tasks(full):  # the service goes on
        result = malkoha_("backup", archive)
    assert result.status == 0, result.err
    assert archive.stat().st_mode & 0o777 == 0o600
    again = Home(tmp_path / "again")
    monkeypatch.setenv("MALKOHA_HOME", str(again.root))
    result = malkoha_("restore", archive)
    assert result.status == 0, result.err
    assert "made by malkoha" in result.err
    assert files(again) == files(full)
    with Tasks(full) as old, Tasks(again) as new:
        assert new.all() == old.all()
        assert new.get(1).error == "why"
    assert Secrets(again).of(secret) is not None
    assert submit.reserve(again) == 3
    assert "holds analyses already" in malkoha_("restore", archive).err


def test_a_failed_backup_leaves_no_file(home: Home, tmp_path: Path, malkoha_: Callable[..., Any]) -> None:
    result = malkoha_("backup", tmp_path / "home.tar")
    assert result.status == 2
    assert "holds no analyses" in result.err
    assert list(tmp_path.glob("home.tar*")) == []


def archive(*members: tuple[str, bytes, bytes]) -> io.BytesIO:
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w") as tar:
        for name, data, kind in members:
            member = tarfile.TarInfo(name)
            member.size, member.type, member.linkname = len(data), kind, "/etc/passwd"
            tar.addfile(member, io.BytesIO(data))
    made.seek(0)
    return made


MARK = (backup.MARK, b'{"version": "1"}', tarfile.REGTYPE)


@pytest.mark.parametrize(
    "source",
    [
        io.BytesIO(b"nonsense" * 1000),
        io.BytesIO(b""),
        archive(("other", b"", tarfile.REGTYPE)),
        archive((backup.MARK, b"{", tarfile.REGTYPE)),
        archive(MARK, ("../../evil", b"x", tarfile.REGTYPE)),
        archive(MARK, ("/evil", b"x", tarfile.REGTYPE)),
        archive(MARK, ("link", b"", tarfile.SYMTYPE)),
        archive(MARK, ("malkoha.db", b"no database", tarfile.REGTYPE)),
        archive(MARK),
    ],
)
def test_what_is_no_backup_changes_nothing(home: Home, tmp_path: Path, source: io.BytesIO) -> None:
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(UsageError, match="no backup"):
        backup.read(home, source)
    assert sorted(tmp_path.rglob("*")) == before
