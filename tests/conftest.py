"""What every test gets: a home of its own, and no settings from outside."""

from __future__ import annotations

import os
import secrets
import signal
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import settings

from malkoha.machinery.image import Image
from malkoha.store import Home
from tests.fake_world import world

__all__ = ["world"]

# a busy machine is no reason to fail: time limits are pytest-timeout's business
settings.register_profile("house", deadline=None)
settings.load_profile("house")


# a shell starts a background job with these ignored, and every process that the tests start would inherit that
signal.signal(signal.SIGINT, signal.default_int_handler)
signal.signal(signal.SIGQUIT, signal.SIG_DFL)


@pytest.fixture(autouse=True)
def _no_settings_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in [name for name in os.environ if name.startswith("MALKOHA_") and name != "MALKOHA_HOME"]:
        monkeypatch.delenv(variable)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    """An empty home that is also the one of MALKOHA_HOME."""
    root = tmp_path / "home"
    monkeypatch.setenv("MALKOHA_HOME", str(root))
    return Home(root)


@pytest.fixture(scope="session")
def postgres() -> Iterator[Path]:
    """The folder of the socket of a PostgreSQL that the tests share; each makes a database of its own."""
    from tests import postgres

    found = postgres.programs()
    if found is None:
        pytest.skip("Debian's postgresql is not installed")
    with postgres.server(found) as folder:
        yield folder


@pytest.fixture
def shared_home(home: Home, postgres: Path, tmp_path: Path) -> Home:
    """A home of one of many machines, with an empty database on PostgreSQL."""
    from tests.postgres import address

    server = address(postgres, secrets.token_hex(8))
    return replace(home, server=server, shared=tmp_path / "shared")


@pytest.fixture(scope="session")
def image() -> Image:
    """The guest image that live tests boot: the default one of the user's own home, built when there is none."""
    from malkoha import analysis, config

    real = config.home_from()
    return analysis.prepare(real, config.load(real, {}))
