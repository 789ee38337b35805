"""What every package keeps, and what each of them says about samples that this guest cannot run."""

from __future__ import annotations

import contextlib
import importlib
import io
import os
import shutil
import struct
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from malkoha.inguest import packages
from malkoha.inguest.packages import base, elf
from malkoha.inguest.packages.base import HEAD_SIZE, Package, Unfit

FOLDER = Path(packages.__file__).parent
GUIDE = Path(__file__).parents[3] / "docs" / "guides" / "packages.md"
BY_NAME = {package.name: package for package in packages.BUILT_IN}


def sample(folder: Path, content: bytes, name: str = "sample") -> bytes:
    path = folder / name
    path.write_bytes(content)
    return os.fsencode(path)


def chosen(content: bytes, name: bytes = b"sample") -> str:
    head = content[:HEAD_SIZE]
    return next(package.name for package in packages.BUILT_IN if package.accepts(head, name))


@pytest.fixture(params=packages.BUILT_IN, ids=lambda package: package.name)
def package(request: pytest.FixtureRequest) -> Package:
    found: Package = request.param
    return found


# -- the contract ----------------------------------------------------------------------------------------------------


def test_every_file_is_in_the_tuple() -> None:
    files = {path.stem for path in FOLDER.glob("*.py")} - {"__init__", "base"}
    assert {type(package).__module__.rsplit(".", 1)[1] for package in packages.BUILT_IN} == files
    for name in files:
        module = importlib.import_module(f"{packages.__name__}.{name}")
        assert module.__doc__


def test_names_are_unique_and_the_last_one_takes_all() -> None:
    assert len(BY_NAME) == len(packages.BUILT_IN)
    assert packages.BUILT_IN[-1].accepts(b"", b"")


def test_the_guide_lists_them_in_their_order() -> None:
    rows = [line.split("|")[1].strip(" `") for line in GUIDE.read_text().splitlines() if line.startswith("| `")]
    assert rows == list(BY_NAME)


def test_each_says_what_it_is(package: Package) -> None:
    assert package.name.isidentifier()
    assert package.name.islower()
    assert type(package).__doc__


@given(head=st.binary(max_size=HEAD_SIZE), name=st.binary(max_size=255))
def test_it_accepts_or_not_whatever_comes(head: bytes, name: bytes) -> None:
    for package in packages.BUILT_IN:
        assert package.accepts(head, name) in (True, False)


@given(
    content=st.binary(max_size=300),
    start=st.sampled_from([b"", b"#!", b"#!/usr/bin/env ", b"\x7fELF", b"\x7fELF\2\1\1"]),
)
def test_the_command_of_anything(tmp_path_factory: pytest.TempPathFactory, content: bytes, start: bytes) -> None:
    path, said = sample(tmp_path_factory.getbasetemp(), start + content, "anything"), []
    for package in packages.BUILT_IN:
        try:
            argv = package.command(path, [b"one", b"-two"])
        except Unfit as unfit:
            said.append(str(unfit))
        else:
            assert argv[0].startswith(b"/")
            assert argv[-3:] == [path, b"one", b"-two"]
    assert all(said)
    assert not any("\n" in line for line in said)


def test_time_is_linear_in_a_hostile_head() -> None:
    for head in (b"\n" * HEAD_SIZE, b" " * HEAD_SIZE, b"for " + b"a" * HEAD_SIZE, b"_" * HEAD_SIZE):
        assert chosen(head[:HEAD_SIZE]) in ("generic", "shell")


def test_an_interpreter_that_the_guest_lacks(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(shutil, "which", lambda name, path=None: None)
    path = sample(tmp_path, b"x")
    for package in packages.BUILT_IN:
        if isinstance(package, base.Interpreted):
            with pytest.raises(Unfit, match=f"no interpreter {package.interpreters[0]} in the guest"):
                package.command(path, [])


def test_interpreters_in_order_of_preference(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(shutil, "which", lambda name, path=None: f"/opt/{name}" if name in ("sh", "java") else None)
    path = sample(tmp_path, b"x")
    assert BY_NAME["shell"].command(path, [b"-a"]) == [b"/opt/sh", path, b"-a"]
    assert BY_NAME["java"].command(path, []) == [b"/opt/java", b"-jar", path]


# -- which one -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "name", "expected"),
    [
        (b"\x7fELF junk", b"x.py", "elf"),
        (b"#!/bin/sh\n", b"x.py", "script"),
        (b"print(1)", b"X.PY", "python"),
        (b"\xa7\x0d\x0d\x0a", b"x.pyc", "python"),
        (b"print 1;", b"x.pl", "perl"),
        (b"<?php", b"x.php", "php"),
        (b"puts 1", b"x.rb", "ruby"),
        (b"let a", b"x.mjs", "javascript"),
        (b"print(1)", b"x.lua", "lua"),
        (b"  <?php system($_GET[0]);", b"upload", "php"),
        (b"PK\3\4", b"x.jar", "java"),
        (b"anything", b"x.sh", "shell"),
        (b"# comment\n  wget http://a/b\n", b"x", "shell"),
        (b"x=1\nA=2 ./b\n", b"", "shell"),
        (b"\0echo hi", b"x", "generic"),
        (b"just words", b"x.txt", "generic"),
        (b"", b"", "generic"),
    ],
)
def test_which_package_takes_it(content: bytes, name: bytes, expected: str) -> None:
    assert chosen(content, name) == expected


# -- ELF -------------------------------------------------------------------------------------------------------------


def program(
    *, wide: bool = True, order: str = "<", machine: int = 62, kind: int = 2, loader: bytes = b"", at: int | None = None
) -> bytes:
    """An ELF header, one program header for its loader when there is one, and the loader's name."""
    size, entry = (64, 56) if wide else (52, 32)
    start = size + entry if at is None else at
    ident = b"\x7fELF" + bytes([2 if wide else 1, 1 if order == "<" else 2, 1]) + bytes(9)
    word = "Q" if wide else "I"
    head = ident + struct.pack(
        f"{order}HHI3{word}I6H", kind, machine, 1, 1, size, 0, 0, size, entry, int(bool(loader)), 0, 0, 0
    )
    assert len(head) == size
    if not loader:
        return head
    name = loader + b"\0"
    if wide:
        head += struct.pack(order + "II6Q", elf.PT_INTERP, 4, start, 0, 0, len(name), len(name), 1)
    else:
        head += struct.pack(order + "8I", elf.PT_INTERP, start, 0, 0, len(name), len(name), 4, 1)
    return head + name


@pytest.mark.parametrize(("wide", "machine"), [(True, elf.EM_X86_64), (False, elf.EM_386)])
@pytest.mark.parametrize("kind", [elf.ET_EXEC, elf.ET_DYN])
def test_programs_that_fit(tmp_path: Path, wide: bool, machine: int, kind: int) -> None:
    for loader in (b"", os.fsencode(tmp_path)):
        path = sample(tmp_path, program(wide=wide, kind=kind, machine=machine, loader=loader))
        assert BY_NAME["elf"].command(path, [b"-d"]) == [path, b"-d"]


def test_a_real_program() -> None:
    path = os.fsencode(os.path.realpath("/bin/true"))
    assert BY_NAME["elf"].command(path, []) == [path]


@pytest.mark.parametrize(("wide", "machine"), [(True, elf.EM_X86_64), (False, elf.EM_386)])
@pytest.mark.parametrize("at", [None, 100_000])
def test_a_missing_loader(tmp_path: Path, wide: bool, machine: int, at: int | None) -> None:
    content = program(wide=wide, machine=machine, loader=b"/lib/ld-uClibc\xff.so.0", at=at)
    if at is not None:
        content = content.ljust(at, b"x") + b"/lib/ld-uClibc\xff.so.0\0"
    path = sample(tmp_path, content)
    with pytest.raises(Unfit, match=r"needs the loader /lib/ld-uClibc\\xff.so.0, which the guest does not have"):
        BY_NAME["elf"].command(path, [])


@pytest.mark.parametrize("at", [1 << 40, 1 << 63])
def test_a_loader_beyond_the_end(tmp_path: Path, at: int) -> None:
    content = bytearray(program(loader=b"/none"))
    struct.pack_into("<Q", content, 64 + 8, at)
    with pytest.raises(Unfit, match="corrupt: the path of its loader is not there"):
        BY_NAME["elf"].command(sample(tmp_path, bytes(content)), [])


def test_a_table_of_segments_beyond_the_end(tmp_path: Path) -> None:
    content = bytearray(program(loader=b"/none"))
    struct.pack_into("<Q", content, 32, 1 << 30)
    with pytest.raises(Unfit, match="corrupt: its table of segments is not whole"):
        BY_NAME["elf"].command(sample(tmp_path, bytes(content)), [])


@pytest.mark.parametrize(("machine", "name"), [*elf.MACHINES.items(), (9999, "processor 9999")])
def test_another_architecture(tmp_path: Path, machine: int, name: str) -> None:
    for order, wide in (("<", True), ("<", False), (">", False)):
        path = sample(tmp_path, program(machine=machine, order=order, wide=wide))
        with pytest.raises(
            Unfit, match=rf"wrong architecture: it needs an? {name} guest(, big-endian)?, this one is x86-"
        ):
            BY_NAME["elf"].command(path, [])


def test_the_right_article_and_byte_order() -> None:
    for machine, order, text in ((40, "<", "an arm guest, this"), (8, ">", "a mips guest, big-endian, this")):
        with pytest.raises(Unfit, match=text):
            elf.check_machine(machine, order, wide=False)


@pytest.mark.parametrize(
    ("machine", "wide", "order", "why"),
    [(62, False, "<", "x32 ABI"), (3, True, "<", "corrupt: its class"), (62, True, ">", "corrupt: its class")],
)
def test_a_processor_in_the_wrong_form(tmp_path: Path, machine: int, wide: bool, order: str, why: str) -> None:
    with pytest.raises(Unfit, match=why):
        BY_NAME["elf"].command(sample(tmp_path, program(machine=machine, wide=wide, order=order)), [])


@pytest.mark.parametrize(
    ("kind", "what"),
    [
        (0, r"no program \(type 0\)"),
        (1, "no program but an object file or a kernel module"),
        (4, "no program but a core dump"),
        (0xFE00, "no program"),
    ],
)
def test_no_program(tmp_path: Path, kind: int, what: str) -> None:
    with pytest.raises(Unfit, match=what):
        BY_NAME["elf"].command(sample(tmp_path, program(kind=kind)), [])


def test_a_shared_library(tmp_path: Path) -> None:
    content = bytearray(program(kind=elf.ET_DYN))
    struct.pack_into("<Q", content, 24, 0)
    with pytest.raises(Unfit, match="a shared library: it has no place to start at"):
        BY_NAME["elf"].command(sample(tmp_path, bytes(content)), [])


@pytest.mark.parametrize(
    "content",
    [b"\x7fELF", program()[:51], program()[:63], b"\x7fELF\3" + program()[5:], b"\x7fELF\2\7" + program()[6:]],
)
def test_a_corrupt_header(tmp_path: Path, content: bytes) -> None:
    with pytest.raises(Unfit, match="corrupt: its header is not whole"):
        BY_NAME["elf"].command(sample(tmp_path, content), [])


@given(st.binary(max_size=200))
def test_whatever_follows_the_magic(rest: bytes) -> None:
    narrow = program(wide=False, machine=elf.EM_386)[:28]
    for content in (b"\x7fELF\2\1" + rest, program()[:32] + rest, narrow + rest, program()[:54] + rest):
        with contextlib.suppress(Unfit):
            elf.check(io.BytesIO(content))


# -- scripts ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "line",
    [
        b"#!/bin/sh",
        b"#! /bin/sh -e",
        b"#!\t/bin/sh\t",
        b"#!/usr/bin/env sh",
        b"#!/usr/bin/env -S A=b sh -e",
        b"#!/bin/sh\0x",
    ],
)
def test_scripts_that_fit(tmp_path: Path, line: bytes) -> None:
    path = sample(tmp_path, line + b"\necho\n")
    assert BY_NAME["script"].command(path, [b"a"]) == [path, b"a"]


@pytest.mark.parametrize(
    ("line", "why"),
    [
        (b"#!", "names no interpreter"),
        (b"#!  \t ", "names no interpreter"),
        (b"#!\0", "names no interpreter"),
        (b"#!/bin/sh\r", "CR LF"),
        (b"#!/bin/sh -e\r", "CR LF"),
        (b"#!\r", "CR LF"),
        (b"#!sh", "sh, which is not an absolute path"),
        (b"#!/no/such\xff", r"no interpreter /no/such\\xff in the guest"),
        (b"#!/usr/bin/env no-such-program", "no interpreter no-such-program in the guest"),
        (b"#!/usr/bin/env -S X=1 no-such-program -a", "no interpreter no-such-program in the guest"),
        (b"#!" + b"/x" * 3000, "no interpreter /x"),
        (b"#!/usr/bin/env -u HOME -C /tmp no-such-program", "no interpreter no-such-program in the guest"),
        (b"#!/usr/bin/env -Sno-such-program -a", "no interpreter no-such-program in the guest"),
    ],
)
def test_scripts_that_do_not(tmp_path: Path, line: bytes, why: str) -> None:
    with pytest.raises(Unfit, match=why):
        BY_NAME["script"].command(sample(tmp_path, line + b"\necho\n"), [])
