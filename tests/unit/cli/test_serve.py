"""Where uploads go; the rest of serve is tested with a client, in tests/contracts."""

from __future__ import annotations

import os
import tempfile
import time

import pytest
from starlette.formparsers import MultiPartParser

import malkoha.cli.serve as serve_module
from malkoha.store import Home


def test_uploads_go_to_the_disk_of_the_home(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", None)
    monkeypatch.setattr(MultiPartParser, "spool_max_size", 1 << 20)
    for name, age_s in (("left", serve_module.LEFT_S + 60), ("new", 0.0)):
        (home.incoming / name).mkdir(parents=True)
        os.utime(home.incoming / name, (time.time() - age_s,) * 2)
    serve_module._receive_in(home)
    with tempfile.NamedTemporaryFile() as file:
        assert file.name.startswith(str(home.incoming))
    assert [path.name for path in home.incoming.iterdir()] == ["new"]
    assert MultiPartParser.spool_max_size == 64 << 10
