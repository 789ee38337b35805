"""The table of system calls: every row can be used, and its numbers are the kernel's."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from malkoha.engine.source import script
from malkoha.trace import constants
from malkoha.trace.arguments import _MEMORY, _NUMBERS
from malkoha.trace.structs import layout
from malkoha.trace.syscalls import Abi, Call, by_name, markdown, numbers, table

DOCUMENT = Path(__file__).parents[3] / "docs" / "syscalls.md"
HEADERS = Path("/usr/include/x86_64-linux-gnu/asm")
NAME = re.compile(r"[a-z_][a-z0-9_]*")
LENGTHS = frozenset({"int", "uint", "size", "ulong", "ptr"})


def known(kind: str) -> bool:
    if kind[0] in "<>" and kind not in _MEMORY:
        return kind == ">msg" or any(layout(kind[1:], abi) for abi in ("x86-64", "i386"))
    return kind in _NUMBERS or kind in _MEMORY or constants.known(kind) or kind in ("long", "msg", "mmsg")


@pytest.mark.parametrize("call", table(), ids=lambda call: f"{call.name}-{call.number_64}-{call.number_32}")
def test_every_row_can_be_used(call: Call) -> None:
    assert NAME.fullmatch(call.name)
    assert (call.number_64, call.number_32) != (None, None)
    assert len(call.arguments) <= 6
    names = [argument.name for argument in call.arguments]
    assert len(set(names)) == len(names)
    for position, argument in enumerate(call.arguments):
        assert NAME.fullmatch(argument.name)
        assert known(argument.kind), f"{argument.kind} is known to none of arguments.py, structs.py and constants.py"
        if argument.length is not None:
            assert argument.length != position
            assert call.arguments[argument.length].kind in LENGTHS
        needs_length = argument.kind in ("in", "sa", ">sa", "iov", ">iov", "mmsg", "<pollfd")
        assert (argument.length is not None) == (needs_length or argument.kind == "<clone_args")


@pytest.mark.parametrize(("abi", "least"), [("x86-64", 370), ("i386", 430)])
def test_numbers_are_unique(abi: Abi, least: int) -> None:
    given = [call.number_32 if abi == "i386" else call.number_64 for call in table()]
    present = [number for number in given if number is not None]
    assert len(set(present)) == len(present) == len(numbers(abi))
    assert len(present) >= least
    assert all(0 <= number < 512 for number in present)


def test_x32_uses_the_numbers_of_x86_64() -> None:
    assert numbers("x32") == numbers("x86-64")


def test_names_find_the_row_of_x86_64() -> None:
    assert by_name()["openat"].number_64 == 257
    assert by_name()["clone"].number_64 == 56
    assert by_name()["mmap2"].number_32 == 192
    assert len({(call.name, call.number_64 is None) for call in table()}) == len(table())


def test_calls_that_take_other_arguments_on_i386_have_rows_of_their_own() -> None:
    def names(number: int, abi: Abi) -> list[str]:
        return [argument.name for argument in numbers(abi)[number].arguments]

    assert names(56, "x86-64")[3:] == ["child_tid", "tls"]
    assert names(120, "i386")[3:] == ["tls", "child_tid"]
    assert names(180, "i386")[3:] == ["offset_low", "offset_high"]
    assert names(90, "i386") == ["args"]


@pytest.mark.parametrize(("abi", "file"), [("x86-64", "unistd_64.h"), ("i386", "unistd_32.h")])
def test_numbers_are_those_of_the_kernels_headers(abi: Abi, file: str) -> None:
    header = HEADERS / file
    if not header.exists():
        pytest.skip(f"{header} is not installed (package linux-libc-dev)")
    theirs = {int(n): name for name, n in re.findall(r"#define __NR_(\w+)\s+(\d+)", header.read_text(encoding="utf-8"))}
    newest = 462  # of Linux 6.12; headers of the host may be newer
    ours = {number: call.name for number, call in numbers(abi).items()}
    assert {n: name for n, name in theirs.items() if n <= newest} == {n: ours.get(n) for n in theirs if n <= newest}


def test_the_document_is_what_the_table_says() -> None:
    assert DOCUMENT.read_text(encoding="utf-8") == markdown(), "run `make docs`"


def test_the_document_explains_every_kind() -> None:
    explained = set(re.findall(r"`([<>]?[a-z]+)(?:,N)?`", markdown().split("| any other |")[0]))
    used = {argument.kind for call in table() for argument in call.arguments}
    assert not {kind for kind in used if kind not in explained and not constants.known(kind) and kind[0] not in "<>"}


def test_limits_in_the_document_are_those_of_the_engine() -> None:
    text = script("tracepoint")
    for name, value in (("STRING_LIMIT", 4096), ("VECTOR_LIMIT", 32768), ("BUFFER_LIMIT", 1024), ("MESSAGES_LIMIT", 4)):
        assert f"#define {name} {value}\n" in text
        assert f"{value:,}" in markdown()
