"""The scripts of the engines: what is generated from the table, and what nobody must find in them."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path
from typing import get_args

import pytest

from malkoha.engine.source import ENGINE_OPTIONS, FILE_CALLS, RING_CHUNKS, Engine, Table, calls, file_calls, script
from malkoha.trace import control, files, memory, records, ring, syscalls
from malkoha.trace.syscalls import Abi, numbers

ENGINES: tuple[Engine, ...] = ("tracepoint", "kprobe")


def operations(abi: Abi, name: str) -> dict[int, tuple[str, str, int]]:
    """argument -> (operation, index of the length, size) of one call."""
    number = next(number for number, call in numbers(abi).items() if call.name == name)
    row = re.search(
        rf"^\t\[{number}\] = \{{ \.plain = \{{ \{{ (.*) \}}, \d+, \d+ \}}.* \}}, /\* {name} \*/$",
        calls("32" if abi == "i386" else "64"),
        re.MULTILINE,
    )
    if row is None:
        return {}
    found = re.findall(r"\[(\d)\] = \{ ([^,]+), ([^,]+), (\d+) \}", row[1])
    return {int(position): (code, index, int(size)) for position, code, index, size in found}


@pytest.mark.parametrize("engine", ENGINES)
def test_a_script_does_not_tell_whose_it_is(engine: Engine) -> None:
    text = script(engine)
    code = re.sub(r"/\*.*?\*/|//[^\n]*", "", text, flags=re.DOTALL)
    assert "malkoha" not in text.lower()
    assert not re.findall(r"sandbox|cuckoo", code, re.IGNORECASE)


@pytest.mark.parametrize("engine", ENGINES)
def test_embedded_c_is_closed(engine: Engine) -> None:
    text = script(engine)
    assert text.startswith("%{\n")
    depth = 0
    for mark in re.findall(r"%\{|%\}", text):
        depth += 1 if mark == "%{" else -1
        assert depth in (0, 1)
    assert depth == 0
    bare = re.sub(r'/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\])\'', "", text, flags=re.DOTALL)
    for opening, closing in ("{}", "()", "[]"):
        assert bare.count(opening) == bare.count(closing)


@pytest.mark.parametrize("engine", ENGINES)
def test_a_script_has_its_probes_and_its_geometry(engine: Engine) -> None:
    text = script(engine)
    assert f"#define RING_CHUNKS {RING_CHUNKS}\n" in text
    for probe in ("sched_process_fork", "sched_process_exec", "sched_process_exit", "signal_deliver"):
        assert f'probe kernel.trace("{probe}")' in text
    own = {
        "tracepoint": 'stp_tracepoint_probe_register("sys_enter", probe_enter, NULL)',
        "kprobe": "probe nd_syscall.*.return",
    }
    assert own[engine] in text
    assert text.count("SPDX-License-Identifier: GPL-2.0-or-later") >= 5
    assert ENGINE_OPTIONS[engine]


def test_what_concerns_entry_and_return_is_in_masks() -> None:
    text = calls("64").split("struct variant")[0]
    for name, masks in {"openat": "2, 0", "read": "0, 2", "poll": "1, 1", "nanosleep": "1, 2"}.items():
        assert re.search(rf"\.plain = \{{ \{{ .* \}}, {masks} \}}.*/\* {name} \*/", text), name


def test_an_unknown_engine_has_no_script() -> None:
    with pytest.raises(FileNotFoundError):
        script("ebpf")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("name", "wide", "narrow"),
    [
        ("openat", {1: ("OP_STRING", "0", 0)}, None),
        (
            "execve",
            {0: ("OP_STRING", "0", 0), 1: ("OP_STRINGS", "0", 0), 2: ("OP_STRINGS", "0", 0)},
            None,
        ),
        ("write", {1: ("OP_BUFFER", "2", 0)}, None),
        ("read", {1: ("OP_OUT_BUFFER", "0", 0)}, None),
        ("connect", {1: ("OP_BUFFER", "2 | INDEX_NARROW", 0)}, None),
        ("accept", {1: ("OP_OUT_ADDRESS", "2", 0), 2: ("OP_STRUCT | OP_AGAIN", "0", 4)}, {}),
        ("accept4", {1: ("OP_OUT_ADDRESS", "2", 0), 2: ("OP_STRUCT | OP_AGAIN", "0", 4)}, None),
        ("recvfrom", {1: ("OP_OUT_BUFFER", "0", 0), 4: ("OP_OUT_ADDRESS", "5", 0), 5: ("OP_STRUCT | OP_AGAIN", "0", 4)},
         None),
        ("getdents64", {1: ("OP_OUT_BUFFER", "0", 0)}, None),
        ("epoll_wait", {1: ("OP_OUT_RETURNED", "0", 12)}, None),
        ("setgroups", {1: ("OP_ARRAY", "0 | INDEX_NARROW", 4)}, None),
        ("getsockopt", {3: ("OP_OUT_POINTED", "4", 0), 4: ("OP_STRUCT | OP_AGAIN", "0", 4)}, None),
        ("wait4", {1: ("OP_OUT_POSITIVE", "0", 4), 3: ("OP_OUT_POSITIVE", "0", 144)},
         {1: ("OP_OUT_POSITIVE", "0", 4), 3: ("OP_OUT_POSITIVE", "0", 72)}),
        ("io_submit", {2: ("OP_POINTERS", "1", 64)}, None),
        ("sendto", {1: ("OP_BUFFER", "2", 0), 4: ("OP_BUFFER", "5 | INDEX_NARROW", 0)}, None),
        ("sendmsg", {1: ("OP_MESSAGE", "0", 0)}, None),
        ("recvmsg", {1: ("OP_OUT_MESSAGE", "0", 0)}, None),
        ("sendmmsg", {1: ("OP_MESSAGES", "2 | INDEX_NARROW", 0)}, None),
        ("writev", {1: ("OP_IOVEC", "2 | INDEX_NARROW", 0)}, None),
        ("readv", {1: ("OP_OUT_IOVEC", "2 | INDEX_NARROW", 0)}, None),
        ("clone3", {0: ("OP_BUFFER | OP_AGAIN", "1", 0)}, None),
        ("poll", {0: ("OP_ARRAY | OP_AGAIN", "1 | INDEX_NARROW", 8)}, None),
        ("nanosleep", {0: ("OP_STRUCT", "0", 16), 1: ("OP_OUT_INTERRUPTED", "0", 16)},
         {0: ("OP_STRUCT", "0", 8), 1: ("OP_OUT_INTERRUPTED", "0", 8)}),
        ("fstat", {1: ("OP_OUT_STRUCT", "0", 144)}, {1: ("OP_OUT_STRUCT", "0", 64)}),
        ("mmap", {}, {0: ("OP_STRUCT", "0", 24)}),
        ("getpid", {}, None),
    ],
)  # fmt: skip
def test_what_is_copied_for_a_call(
    name: str, wide: dict[int, tuple[str, str, int]], narrow: dict[int, tuple[str, str, int]] | None
) -> None:
    assert operations("x86-64", name) == wide
    if name != "accept":
        assert operations("i386", name) == (wide if narrow is None else narrow)


def variants(table: Table, name: str) -> list[str]:
    return re.findall(rf"^\t\{{ (.*) \}}, /\* {name} \*/$", calls(table).split("struct variant")[1], re.MULTILINE)


def test_what_is_copied_may_depend_on_what_is_asked() -> None:
    assert "16, 1, ANY, 0xffffffff, 0x5413, 0x0, { { [2] = { OP_OUT_STRUCT, 0, 8 } }, 0, 4 }" in variants("64", "ioctl")
    assert "54, 1, ANY, 0xffffffff, 0x5413, 0x0, { { [2] = { OP_OUT_STRUCT, 0, 8 } }, 0, 4 }" in variants("32", "ioctl")
    filters = "54, 1, 2, 0xffffffff, 0x1, 0x1a, { { [3] = { OP_FILTER, 0, 0 } }, 8, 0 }"
    assert filters in variants("64", "setsockopt")
    assert filters.replace("54", "14", 1) in variants("multiplexed", "setsockopt")
    assert any(row.startswith("202, 1, ANY, 0x7f, 0x9, 0x0, { { [3] = { OP_STRUCT") for row in variants("64", "futex"))


@pytest.mark.parametrize("name", get_args(Table))
def test_variants_of_a_call_stand_together(name: Table) -> None:
    head, tail = calls(name).split("struct variant")
    numbers_of_rows = [int(row.split()[1][:-1]) for row in tail.splitlines() if row.startswith("\t{")]
    firsts = {int(number): int(first) - 1 for number, first in re.findall(r"\[(\d+)\] = .*\.variants = (\d+)", head)}
    assert list(firsts) == list(dict.fromkeys(numbers_of_rows))
    assert all(numbers_of_rows.index(number) == first for number, first in firsts.items())


def test_calls_that_change_who_the_caller_is_are_marked() -> None:
    for table in ("64", "32"):
        marked = re.findall(r"\.identity = 1 \}, /\* (\w+) \*/", calls(table).split("struct variant")[0])
        assert {"setuid", "setresgid", "capset", "setns"} <= set(marked) <= syscalls.IDENTITY_CALLS
    assert {*marked} == syscalls.IDENTITY_CALLS


@pytest.mark.parametrize("name", get_args(Table))
def test_calls_that_give_a_socket_its_address_are_marked(name: Table) -> None:
    marked = re.findall(r"\.local = (\d) \}, /\* (\w+) \*/", calls(name).split("struct variant")[0])
    assert {call: int(argument) - 1 for argument, call in marked} == syscalls.LOCAL_CALLS


@pytest.mark.parametrize("name", get_args(Table))
def test_the_table_uses_only_what_the_engine_knows(name: Table) -> None:
    text = script("tracepoint")
    enumeration = re.search(r"enum \{ OP_NONE.*?\};", text, re.DOTALL)
    assert enumeration is not None
    known = dict(re.findall(r"(OP_\w+) = (\d+)", enumeration[0]))
    used = set(re.findall(r"OP_\w+", calls(name)))
    assert used <= set(known) | {"OP_AGAIN"}
    assert len(set(known.values())) == len(known)
    for code in known.keys() - {"OP_NONE"}:
        assert f"case {code}:" in text
        assert (int(known[code]) >= 16) == code.startswith("OP_OUT_")
    for row in calls(name).splitlines():
        positions = [int(position) for position in re.findall(r"\[(\d)\] = \{ OP", row)]
        indices = [int(index) for index in re.findall(r"OP_\w+, (\d)", row)]
        assert positions == sorted(set(positions))
        assert all(index < 6 for index in indices)


@pytest.mark.parametrize("engine", ENGINES)
def test_a_script_defines_the_tables_that_it_uses(engine: Engine) -> None:
    text = script(engine)
    for name in get_args(Table):
        assert text.count(f"struct call calls_{name}[]") == (1 if engine == "tracepoint" else 0)
        assert text.count(f"struct variant variants_{name}[]") == (1 if engine == "tracepoint" else 0)


def test_types_of_records_are_those_of_the_reader() -> None:
    found = {name: int(value) for name, value in re.findall(r"REC_(\w+) = (\d+)", script("tracepoint"))}
    assert (found.pop("FILE"), found.pop("FILE_DATA"), found.pop("FILE_END")) == (files.FILE, files.DATA, files.END)
    ours = {
        "PAD": records.PAD, "CLOCK": records.CLOCK, "ENTER": records.ENTER, "EXIT": records.EXIT, "FORK": records.FORK,
        "EXEC": records.EXEC, "TASKEXIT": records.TASK_EXIT, "TEXT": records.TEXT, "SIGNAL": records.SIGNAL,
            "ADOPT": records.ADOPT,
    }  # fmt: skip
    assert found == ours
    assert f"FLAG_LATE = {records.LATE:#x}" in script("tracepoint")


def test_records_have_the_sizes_that_the_reader_expects(tmp_path: Path) -> None:
    if not shutil.which("gcc"):
        pytest.skip("needs gcc")
    text = script("tracepoint")
    kinds = {
        "rec_head": records.HEAD.size,
        "blob_head": records.BLOB.size,
        "rec_clock": records.MINIMUM[records.CLOCK],
        "rec_enter": records.MINIMUM[records.ENTER],
        "rec_exit": records.MINIMUM[records.EXIT],
        "rec_fork": records.MINIMUM[records.FORK],
        "rec_exec": records.MINIMUM[records.EXEC],
        "rec_taskexit": records.MINIMUM[records.TASK_EXIT],
        "rec_signal": records.MINIMUM[records.SIGNAL],
        "identity": memory._IDENTITY.size,
        "ring_header": ring.HEADER_SIZE,
        "files_control": 8 * 11 + 4 * control.TASKS,
        "file_writer": 24,
        "rec_file": files.MINIMUM[files.FILE],
        "rec_file_data": files.MINIMUM[files.DATA],
        "rec_file_end": files.MINIMUM[files.END],
    }
    lines = ["#include <stdint.h>", "#define TASK_COMM_LEN 16"]
    lines += re.findall(r"^#define (?:RING_MAX_CHUNKS|FILE_WRITERS|FILES_TASKS) \d+$", text, re.MULTILINE)
    lines += [f"typedef {sign}int{bits}_t {sign[:1] or 's'}{bits};" for sign in ("", "u") for bits in (8, 16, 32, 64)]
    for name, size in kinds.items():
        structure = re.search(rf"^struct {name} \{{.*?^\}};", text, re.DOTALL | re.MULTILINE)
        assert structure is not None
        lines += [structure[0], f'_Static_assert(sizeof(struct {name}) == {size}, "{name}");']
    source = tmp_path / "sizes.c"
    source.write_text("\n".join(lines) + "\n", encoding="utf-8")
    subprocess.run(["gcc", "-fsyntax-only", str(source)], check=True)


def test_the_control_block_lies_where_the_host_expects_it() -> None:
    text = script("tracepoint")
    assert f"#define FILES_AT {control.AT}\t" in text
    reasons = {int(value): name for name, value in re.findall(r"WHY_(\w+) = (\d+)", text)}
    assert set(reasons) == set(files.WHY)


def test_calls_that_concern_files() -> None:
    assert "\t[1] = FILE_WRITE | 0, /* write */" in file_calls("x86-64")
    assert "\t[326] = FILE_WRITE | 2, /* copy_file_range */" in file_calls("x86-64")
    assert "\t[192] = FILE_MAP | 4, /* mmap2 */" in file_calls("i386")
    assert "/* mmap */" not in file_calls("i386"), "its arguments lie in memory"
    for name in FILE_CALLS:
        assert f"/* {name} */" in file_calls("x86-64") + file_calls("i386")
    for engine in ENGINES:
        text = script(engine)
        assert text.count("u8 file_calls_64[]") == text.count("u8 file_calls_32[]") == 1
        for call in ("files_enter(", "files_exit("):
            assert text.count(call) == 2, "defined and called"
        assert "sys_enter" in text
