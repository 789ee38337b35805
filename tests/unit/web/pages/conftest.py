"""A client that speaks to the pages of a home of its own, as a browser does."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from fastapi.testclient import TestClient

from malkoha.store import Home
from malkoha.tasks import Tasks
from tests.unit.web.conftest import connect

HTMX = {"hx-request": "true"}


@pytest.fixture
def tasks(home: Home) -> Iterator[Tasks]:
    with Tasks(home) as opened:
        yield opened


@pytest.fixture
def client(home: Home, tasks: Tasks) -> TestClient:
    return connect(home, tasks)
