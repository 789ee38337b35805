"""Layouts: sizes and offsets are those of the C compiler, and any content can be rendered."""

from __future__ import annotations

import shutil
import struct
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from malkoha.trace import constants
from malkoha.trace.structs import _BARE, _LAYOUTS_32, _LAYOUTS_64, layout
from malkoha.trace.syscalls import Abi

ALL: list[tuple[str, Abi]] = [(name, "x86-64") for name in _LAYOUTS_64] + [(name, "i386") for name in _LAYOUTS_32]

SIZES_64 = {
    "int": 4, "long": 8, "pair": 8, "u32x6": 24, "long2": 16, "timespec": 16, "timespec64": 16, "timespec2": 32,
    "timeval": 16, "timeval2": 32, "itimerval": 32, "itimerspec": 32, "rlimit": 16, "rlimit64": 16, "sigset": 8,
    "sigaction": 32, "stack": 24, "pollfd": 8, "epoll_event": 12, "capheader": 8, "capdata": 24, "stat": 144,
    "clone_args": 88, "open_how": 24, "utsname": 390,
}  # fmt: skip
"""Whole structures; the others are the beginnings of longer ones."""
SIZES_32 = SIZES_64 | {
    "long": 4, "long2": 8, "timespec": 8, "timespec2": 16, "timeval": 8, "timeval2": 16, "itimerval": 16,
    "itimerspec": 16, "rlimit": 8, "sigaction": 20, "stack": 12, "mmap_args": 24, "select_args": 20,
}  # fmt: skip

IN_C = {
    "timespec": "timespec",
    "timeval": "timeval",
    "rlimit": "rlimit",
    "pollfd": "pollfd",
    "epoll_event": "epoll_event",
    "stat": "stat",
    "statx": "statx",
    "statfs": "statfs",
    "sysinfo": "sysinfo",
    "utsname": "utsname",
    "clone_args": "clone_args",
    "open_how": "open_how",
    "io_uring_params": "io_uring_params",
}
OTHER_NAMES = {"load1": "loads[0]", "load5": "loads[1]", "load15": "loads[2]"}
HEADERS = (
    "stddef.h stdio.h time.h sys/time.h sys/resource.h poll.h sys/epoll.h sys/stat.h sys/vfs.h sys/sysinfo.h "
    "sys/utsname.h linux/sched.h linux/openat2.h linux/io_uring.h"
)


@pytest.mark.parametrize(("name", "abi"), ALL)
def test_sizes(name: str, abi: Abi) -> None:
    known = layout(name, abi)
    assert known is not None
    sizes = SIZES_32 if abi == "i386" else SIZES_64
    if name in sizes:
        assert known.size == sizes[name]
    else:
        assert name in ("statx", "statfs", "sysinfo", "io_uring_params")


def test_offsets_are_those_of_the_c_compiler(tmp_path: Path) -> None:
    if not shutil.which("gcc") or not Path("/usr/include/linux/openat2.h").exists():
        pytest.skip("needs gcc and headers (packages gcc, libc6-dev and linux-libc-dev)")
    lines, ours = [], []
    for name, in_c in IN_C.items():
        known = layout(name, "x86-64")
        assert known is not None
        texts = {text.split(":")[0]: text.split(":")[1] for text in _LAYOUTS_64[name].split()}
        for field, end, _ in known._fields:
            ours.append(f"{name} {field} {end - struct.calcsize('<' + texts[field])}")
            lines.append(f'printf("{name} {field} %zu\\n", offsetof(struct {in_c}, {OTHER_NAMES.get(field, field)}));')
    includes = "".join(f"#include <{header}>\n" for header in HEADERS.split())
    source = tmp_path / "offsets.c"
    source.write_text(
        f"#define _GNU_SOURCE\n{includes}int main(void) {{\n" + "\n".join(lines) + "\n}\n", encoding="ascii"
    )
    subprocess.run(["gcc", "-o", str(tmp_path / "offsets"), str(source)], check=True)
    output = subprocess.run([str(tmp_path / "offsets")], capture_output=True, text=True, check=True).stdout
    assert output.splitlines() == ours


@pytest.mark.parametrize(("name", "abi"), ALL)
def test_every_view_is_known(name: str, abi: Abi) -> None:
    for field in (_LAYOUTS_32 if abi == "i386" else _LAYOUTS_64)[name].split():
        view = (*field.split(":"), "d")[2]
        assert view in "dxo" or constants.known(view)


def test_structures_that_are_not_known_have_no_layout() -> None:
    assert layout("nonsense", "x86-64") is None
    assert layout("stat", "i386") is None
    assert layout("stat", "x32") is not None


@given(st.sampled_from(ALL), st.binary(max_size=420))
def test_any_content_is_rendered_field_by_field(which: tuple[str, Abi], content: bytes) -> None:
    known = layout(*which)
    assert known is not None
    shown = known.render(content)
    whole = sum(end <= len(content) for _, end, _ in known._fields)
    assert isinstance(shown, str) == (which[0] in _BARE)
    assert isinstance(shown, str) or len(shown) == whole


def test_fields_are_shown_by_their_views() -> None:
    def render(name: str, content: bytes, abi: Abi = "x86-64") -> object:
        known = layout(name, abi)
        assert known is not None
        return known.render(content)

    assert render("pair", struct.pack("<ii", 3, -1)) == ["3", "-1"]
    assert render("pair", struct.pack("<i", 3)) == ["3"]
    assert render("timespec", struct.pack("<qq", 1, 500)) == {"tv_sec": "1", "tv_nsec": "500"}
    assert render("timespec", struct.pack("<ii", 1, 500), "i386") == {"tv_sec": "1", "tv_nsec": "500"}
    assert render("sigset", struct.pack("<Q", 1 << 8)) == "[SIGKILL]"
    assert render("sigset", b"") == ""
    assert render("pollfd", struct.pack("<iHH", 5, 1, 0)) == {"fd": "5", "events": "POLLIN", "revents": "0"}
    assert render("sigaction", struct.pack("<QQQQ", 1, 0x10000004, 0x7F, 2)) == {
        "sa_handler": "SIG_IGN",
        "sa_flags": "SA_SIGINFO|SA_RESTART",
        "sa_restorer": "0x7f",
        "sa_mask": "[SIGINT]",
    }
    names = b"".join(word.ljust(65, b"\0") for word in (b"Linux", b"box", b"6.12", b"#1", b"x86_64", b"(none)"))
    assert render("utsname", names)["machine"] == "x86_64"  # type: ignore[index]
    stat = bytearray(144)
    stat[24:28] = struct.pack("<I", 0o100644)
    assert render("stat", bytes(stat))["st_mode"] == "0100644"  # type: ignore[index]
    assert render("clone_args", struct.pack("<8Q", 0x11000, 0, 0, 0, 17, 0, 0, 0))["exit_signal"] == "SIGCHLD"  # type: ignore[index]
