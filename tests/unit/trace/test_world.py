"""The state of all processes: bounds, and what a process that the trace does not know has."""

from __future__ import annotations

import pytest

from malkoha.model.process import Process
from malkoha.trace import world
from malkoha.trace.fields import Endpoint
from malkoha.trace.world import World


def test_tables_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(world, "MAX_TABLES", 3)
    found = World([])
    for key in range(10):
        found.of(key)
    assert list(found.tables) == [7, 8, 9]


def test_an_unknown_process() -> None:
    found = World([Process(key=4, pid=9)])
    assert (found.cwd(4), found.root(4), found.exe(4), found.argv(4), found.descriptor(4, 0)) == ("", "/", "", [], None)
    assert (found.by_pid(9), found.by_pid(10), found.by_pid(None)) == (4, None, None)


def test_names_of_sockets() -> None:
    found = World([])
    found.of(1).place.cwd = "/run"
    hosts = [found.named(1, Endpoint("AF_UNIX", host)) for host in ("x", "@x", "")]
    assert [item and item.host for item in hosts] == ["/run/x", "@x", ""]
    assert found.named(1, None) is None


def test_a_loop_of_parents_ends() -> None:
    found = World([Process(key=1, pid=1, parent=2), Process(key=2, pid=2, parent=1)])
    assert found.family(1) == {1, 2}
