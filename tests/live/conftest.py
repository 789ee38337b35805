"""What the live tests share: the armed snapshot of the real home, and a command line on a home of their own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from malkoha import arming, config
from malkoha.machinery.image import Image
from malkoha.store import Home
from tests.live.commandline import Malkoha


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run what takes many minutes last."""
    items.sort(key=lambda item: item.get_closest_marker("slow") is not None)


@pytest.fixture(scope="session")
def real(image: Image) -> Home:
    """The home whose image and armed snapshot are used, both made when there are none."""
    home = config.home_from()
    arming.armed(image, "tracepoint", home, config.load(home, {}))
    return home


@pytest.fixture(scope="module")
def shared(real: Home, tmp_path_factory: pytest.TempPathFactory) -> Malkoha:
    """A command line whose home all tests of a module share."""
    return Malkoha(tmp_path_factory.mktemp("live") / "home", real)


@pytest.fixture
def malkoha(shared: Malkoha) -> Iterator[Malkoha]:
    """That command line; whatever a test does with it, nothing may run or lie around afterwards."""
    yield shared
    shared.abandon()
    shared.assert_nothing_left()


@pytest.fixture
def fresh(real: Home, tmp_path: Path) -> Iterator[Malkoha]:
    """A command line with a home of this test alone."""
    alone = Malkoha(tmp_path / "home", real)
    yield alone
    alone.abandon()
    alone.assert_nothing_left()
