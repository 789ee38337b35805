"""Paths without a process: folding, roots, mounts one over the other."""

from __future__ import annotations

import pytest

from malkoha.trace.places import MOUNTS, Mounts, Place, folded


@pytest.mark.parametrize(
    ("path", "expected"), [("/a/./b//../c", "/a/c"), ("//etc", "/etc"), ("a/../b", "b"), ("", ""), ("/..", "/")]
)
def test_folding(path: str, expected: str) -> None:
    assert folded(path) == expected


def test_absolute() -> None:
    assert Place().absolute("a", "") == "a"
    assert Place(root="/r").absolute("/", "") == "/r"
    assert Place(root="/r").absolute("a", "/r/w") == "/r/w/a"
    place = Place()
    place.enter("/")
    assert place.root == ""


def test_mounts_are_bounded_and_the_nearest_counts() -> None:
    mounts = Mounts({})
    mounts.add("/a", "/x")
    mounts.add("/a/b", "/")
    assert [mounts.real(path) for path in ("/a/c", "/a/b/c", "/a/b", "/ab", "/")] == ["/x/c", "/c", "/", "/ab", "/"]
    for number in range(MOUNTS + 10):
        mounts.add(f"/m{number}", "/y")
    assert len(mounts.over) == MOUNTS
    copy = mounts.copy()
    copy.remove("/a")
    assert mounts.real("/a") == "/x"
