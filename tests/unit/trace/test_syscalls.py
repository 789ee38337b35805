"""The table of system calls: every row can be used, and its numbers are the kernel's."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from malkoha.engine.source import script
from malkoha.trace import constants
from malkoha.trace.arguments import _MEMORY, _NUMBERS
from malkoha.trace.memory import SHAPES
from malkoha.trace.structs import layout
from malkoha.trace.syscalls import (
    IPC_BASE,
    MULTIPLEXED,
    X32_BIT,
    Abi,
    Argument,
    Call,
    by_name,
    find,
    markdown,
    multiplexed,
    numbers,
    table,
)

DOCUMENT = Path(__file__).parents[3] / "docs" / "syscalls.md"
HEADERS = Path("/usr/include/x86_64-linux-gnu/asm")
NAME = re.compile(r"[a-z_][a-z0-9_]*")
LENGTHS = frozenset({"int", "uint", "size", "ulong", "long", "ptr", "=int", "=u32_value"})
ABIS: tuple[Abi, ...] = ("x86-64", "i386")
MEASURED = frozenset(("in", "sa", ">sa", "iov", ">iov", "mmsg", "mbuf", "iocbs"))
"""Kinds that need to know a length."""


def known(kind: str) -> bool:
    if kind[0] in "<>=?!" and kind not in _MEMORY:
        return kind[1:] in (*SHAPES, "msg", "mmsg", "mbuf") or any(layout(kind[1:], abi) for abi in ABIS)
    others = ("long", "msg", "mmsg", "mbuf", "iocbs")
    return kind in _NUMBERS or kind in _MEMORY or constants.known(kind) or kind in others


@pytest.mark.parametrize("call", table(), ids=lambda call: f"{call.name}-{call.number_64}-{call.number_32}")
def test_every_row_can_be_used(call: Call) -> None:
    assert NAME.fullmatch(call.name)
    assert (call.number_64, call.number_32, call.multiplexed) != (None, None, "")
    for form in (call.arguments, *(variant.arguments for variant in call.variants)):
        assert len(form) <= 6
        names = [argument.name for argument in form]
        assert len(set(names)) == len(names)
        for position, argument in enumerate(form):
            check(form, position, argument)


def check(form: tuple[Argument, ...], position: int, argument: Argument) -> None:
    assert NAME.fullmatch(argument.name)
    assert known(argument.kind), f"{argument.kind} is known to none of arguments.py, structs.py and constants.py"
    assert (argument.length is not None) == (argument.unit not in ("", "returned", "result"))
    if argument.length is not None:
        assert argument.length != position
        assert form[argument.length].kind in LENGTHS
    if argument.kind in MEASURED:
        assert argument.length is not None


@pytest.mark.parametrize("call", [call for call in table() if call.variants], ids=lambda call: call.name)
def test_variants_depend_on_arguments_that_they_have(call: Call) -> None:
    assert len({len(variant.conditions) for variant in call.variants}) <= 2
    for variant in call.variants:
        places = [condition.argument for condition in variant.conditions]
        assert places == sorted(set(places))
        assert all(condition.values for condition in variant.conditions)
        # the engine looks at one masked argument, and at one more as a whole
        assert len(places) <= 2
        assert all(condition.mask == 0xFFFFFFFF for condition in variant.conditions[1:])
    firsts = {(variant.conditions[0].argument, variant.conditions[0].mask) for variant in call.variants}
    assert len(firsts) == 1


def test_calls_by_way_of_a_multiplexer_are_told_by_their_operation() -> None:
    assert find(MULTIPLEXED, 3) == ("i386", by_name()["connect"])
    assert find(MULTIPLEXED, IPC_BASE + 11) == ("i386", by_name()["msgsnd"])
    assert find(MULTIPLEXED, 99) == ("i386", None)
    assert len(multiplexed()) == 32
    assert find(1, 102)[1] == numbers("i386")[102]
    assert find(2, X32_BIT | 520) == ("x32", by_name()["execve"])
    assert find(77, 5000) == ("x32", None)


@pytest.mark.parametrize(("abi", "least"), [("x86-64", 370), ("i386", 430)])
def test_numbers_are_unique(abi: Abi, least: int) -> None:
    given = [call.number_32 if abi == "i386" else call.number_64 for call in table()]
    present = [number for number in given if number is not None]
    assert len(set(present)) == len(present) == len(numbers(abi))
    assert len(present) >= least
    assert all(0 <= number < 512 for number in present)


def test_x32_uses_the_numbers_of_x86_64() -> None:
    own = {number: call for number, call in numbers("x32").items() if number >= 512}
    assert numbers("x32") == numbers("x86-64") | own
    assert (own[512].name, own[520].name, own[547].name, len(own)) == ("rt_sigaction", "execve", "pwritev2", 36)


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
    explained = set(re.findall(r"`([<>]?[a-z]+)(?:[,\[]N)?`", markdown().split("| any other |")[0]))
    used = {argument.kind for call in table() for argument in call.arguments}
    signs = "<>=?!"
    assert not {kind for kind in used if kind not in explained and not constants.known(kind) and kind[0] not in signs}


def test_limits_in_the_document_are_those_of_the_engine() -> None:
    text = script("tracepoint")
    for name, value in (("STRING_LIMIT", 4096), ("VECTOR_LIMIT", 32768), ("BUFFER_LIMIT", 1024), ("MESSAGES_LIMIT", 4)):
        assert f"#define {name} {value}\n" in text
        assert f"{value:,}" in markdown()
