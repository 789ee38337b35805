from __future__ import annotations

import inspect
import pickle
import re

import pytest

from malkoha import errors
from malkoha.errors import GuestError, HostError, ImageError, MalkohaError, SubmitError, UsageError

TREE = [each for _, each in inspect.getmembers(errors, inspect.isclass) if issubclass(each, MalkohaError)]


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (("it broke",), "it broke"),
        (("it broke", "too old"), "it broke: too old"),
        (("it broke", "", "replace it"), "it broke (replace it)"),
        (("it broke", "too old", "replace it"), "it broke: too old (replace it)"),
    ],
)
def test_an_error_is_one_line(arguments: tuple[str, ...], line: str) -> None:
    assert str(MalkohaError(*arguments)) == line


def test_exit_statuses() -> None:
    assert {each.exit_status for each in (UsageError, SubmitError)} == {2}
    assert {each.exit_status for each in (HostError, ImageError)} == {3}
    assert {each.exit_status for each in (MalkohaError, GuestError)} == {4}


def test_the_tree_in_the_docstring_is_the_tree() -> None:
    drawn = dict(re.findall(r"^[ │├└─]*(\w+Error) +(?:exit status )?(\d)", errors.__doc__ or "", re.MULTILINE))
    assert drawn == {each.__name__: str(each.exit_status) for each in TREE}


@pytest.mark.parametrize("kind", TREE)
def test_errors_cross_processes(kind: type[MalkohaError]) -> None:
    copy = pickle.loads(pickle.dumps(kind("a", "b", "c")))
    assert (type(copy), str(copy)) == (kind, "a: b (c)")
