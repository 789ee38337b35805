"""Single arguments in the shapes of both engines."""

from __future__ import annotations

from typing import Any

import pytest

from malkoha.model.event import Event
from malkoha.trace.fields import argument, open_flags, pair, passed, path_argument


def call(api: str = "openat", **args: Any) -> Event:
    return Event(seq=1, kind="syscall", time_ns=1, pid=1, tid=1, api=api, args=args)


def test_arguments_by_position() -> None:
    event = call(dirfd="AT_FDCWD", pathname="/a", flags="O_RDWR")
    assert (argument(event, 1), argument(event, 9), open_flags(event)) == ("/a", "", "O_RDWR")
    assert open_flags(call("openat2", dirfd="3", pathname="a", how={"flags": "O_PATH"})) == "O_PATH"


@pytest.mark.parametrize(
    ("value", "expected"), [("/a", "/a"), ("0x7f00", None), ("NULL", None), ("", None), (["/a"], None), ("0xg", "0xg")]
)
def test_paths(value: Any, expected: str | None) -> None:
    assert path_argument(call(pathname=value), 0) == expected


def test_pairs_and_passed_descriptors() -> None:
    assert [pair(value) for value in (["3", "4"], {"a": "3", "b": "4"}, "0x7fff")] == [[3, 4], [3, 4], []]
    assert passed({"control": "SCM_RIGHTS[5 6] SOL_SOCKET:2 SCM_RIGHTS[7]"}) == [5, 6, 7]
    assert [passed(value) for value in ({}, "x", {"control": "SCM_RIGHTS[]"})] == [[], [], []]
