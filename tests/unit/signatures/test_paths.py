"""Patterns of paths, and the index that finds their owners."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from malkoha.signatures import places
from malkoha.signatures.paths import Index, Paths, table


@pytest.mark.parametrize(
    ("pattern", "hit", "miss"),
    [
        ("/etc/cron.{d,daily}/*", "/etc/cron.d/a", "/etc/cron.d/a/b"),
        ("/etc/ufw/**", "/etc/ufw/a/b", "/etc/ufw"),
        ("~/.bashrc", "/home/anna/.bashrc", "/home/.bashrc"),
        ("~/.bashrc", "/root/.bashrc", "/srv/root/.bashrc"),
        (".ssh/authorized_keys{,2}", "/srv/x/.ssh/authorized_keys2", "/srv/.ssh/authorized_keys3"),
        ("/proc/*/mem", "/proc/5/mem", "/proc/5/task/5/mem"),
        ("/dev/{sd,vd}?", "/dev/sda", "/dev/sda1"),
        ("*.kdbx", "/a/b.kdbx", "/a/b.kdb"),
        (".azure/**", "/srv/.azure/a/b", "/srv/azure/a"),
        ("{dist,site}-packages/*.pth", "/x/site-packages/a.pth", "/x/site-packages/a/b.pth"),
        ("/**", "/a", "a"),
        ("/etc/a.b", "/etc/a.b", "/etc/aXb"),
    ],
)
def test_patterns(pattern: str, hit: str, miss: str) -> None:
    index: Index[str] = Index()
    index.add(table(pattern), "owner")
    assert hit in table(pattern)
    assert miss not in table(pattern)
    assert index.find(hit) == ("owner",)
    assert index.find(miss) == ()


def test_tables_add_up_and_an_owner_is_given_once() -> None:
    index: Index[str] = Index()
    index.add(table("/etc/*") + table("/etc/passwd"), "a")
    index.add(table("passwd"), "b")
    assert set(index.find("/etc/passwd")) == {"a", "b"}
    assert index.find("relative") == ()


TABLES = [value for value in vars(places).values() if isinstance(value, Paths)]
PARTS = st.sampled_from(
    [
        "etc",
        "root",
        "home",
        "anna",
        ".ssh",
        "id_rsa",
        "dev",
        "sda",
        "proc",
        "1",
        "mem",
        "cron.d",
        "a.service",
        "x",
        ".env",
    ]
)


@given(st.lists(PARTS, min_size=1, max_size=5))
def test_the_index_finds_what_the_tables_hold(parts: list[str]) -> None:
    path = "/" + "/".join(parts)
    index: Index[int] = Index()
    for number, one in enumerate(TABLES):
        index.add(one, number)
    assert set(index.find(path)) == {number for number, one in enumerate(TABLES) if path in one}
