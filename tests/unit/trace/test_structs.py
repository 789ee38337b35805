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
from malkoha.trace.structs import _BARE, _LAYOUTS_32, _LAYOUTS_64, BYTES_VIEWS, Layout, elements, layout
from malkoha.trace.syscalls import Abi

ALL: list[tuple[str, Abi]] = [(name, "x86-64") for name in _LAYOUTS_64] + [(name, "i386") for name in _LAYOUTS_32]

SIZES_64 = {
    "byte": 1, "s32": 4, "u32": 4, "u64": 8, "pointer": 8, "u32_value": 4, "u64_value": 8, "size_value": 8, "time": 8,
    "long_hex": 8, "address": 8, "offset": 8, "offset64": 8, "loff": 8, "timer": 4, "context": 8, "signal_value": 4,
    "socktype": 4, "family": 4, "ipproto": 4, "errno": 4, "lsm_id": 8, "fs_flags": 4, "mpolicy": 4, "seccomp_action": 4,
    "comm": 16, "u64x2": 16, "u64x3": 24, "timespec64_2": 32, "stamp": 16, "stamp64": 16, "timezone": 8, "tms": 32,
    "itimerspec64": 32,
    "utimbuf": 16, "rusage": 144, "sigset32": 4, "sched_param": 4, "sched_attr": 56, "owner": 8, "iovec": 16,
    "iovec_one": 16, "winsize": 8, "termios": 36, "clone_range": 32, "linger": 8, "ucred": 12, "ip_mreq": 8,
    "ipv6_mreq": 20, "packet_mreq": 16, "user_desc": 16, "io_event": 32, "iocb": 64, "sembuf": 6, "kexec_segment": 32,
    "futex_waitv": 24, "futex_waitv2": 48, "cachestat_range": 16, "cachestat": 40, "mount_attr_args": 32,
    "landlock_ruleset": 24, "landlock_path": 12, "landlock_net_port": 16, "seccomp_sizes": 6, "regs": 216,
    "int": 4, "long": 8, "pair": 8, "u32x6": 24, "timespec": 16, "timespec64": 16, "timespec2": 32,
    "timeval": 16, "timeval2": 32, "itimerval": 32, "itimerspec": 32, "rlimit": 16, "rlimit64": 16, "sigset": 8,
    "sigaction": 32, "stack": 24, "pollfd": 8, "epoll_event": 12, "capheader": 8, "stat": 144,
    "clone_args": 88, "open_how": 24, "utsname": 390,
}  # fmt: skip
"""Whole structures; the others are the beginnings of longer ones."""
SIZES_32 = SIZES_64 | {
    "stamp": 8,
    "pointer": 4, "size_value": 4, "long_hex": 4, "address": 4, "offset": 4, "time": 4, "context": 4, "tms": 16,
    "utimbuf": 8, "rusage": 72, "iovec": 8, "iovec_one": 8, "kexec_segment": 16, "stat": 64, "oldstat": 32,
    "old_sigaction": 16, "flock": 16, "flock64": 24, "stat64": 96, "ifconf": 8,
    "long": 4, "timespec": 8, "timespec2": 16, "timeval": 8, "timeval2": 16, "itimerval": 16,
    "itimerspec": 16, "rlimit": 8, "sigaction": 20, "stack": 12, "mmap_args": 24, "select_args": 20,
}  # fmt: skip

BEGINNINGS = frozenset(
    [
        "flock64", "ustat", "sigevent", "timex", "timex64", "mq_attr", "mnt_id_req", "statmount", "perf_attr",
        "loop_info64", "syscall_info", "statfs64", "ifreq_addr", "ifreq_flags", "ifreq_int", "ifreq_name",
        "shminfo", "shm_info", "msginfo", "seminfo",
    ]
)  # fmt: skip
"""Of which only the first fields are read, or whose padding at the end is left out."""

IN_C = {
    "rusage": "rusage",
    "tms": "tms",
    "timex": "timex",
    "itimerval": "itimerval",
    "itimerspec": "itimerspec",
    "flock": "flock",
    "iovec": "iovec",
    "winsize": "winsize",
    "ifconf": "ifconf",
    "shmid_ds": "shmid64_ds",
    "msqid_ds": "msqid64_ds",
    "semid_ds": "semid64_ds",
    "sembuf": "sembuf",
    "iocb": "iocb",
    "io_event": "io_event",
    "kexec_segment": "kexec_segment",
    "landlock_path": "landlock_path_beneath_attr",
    "perf_attr": "perf_event_attr",
    "loop_info64": "loop_info64",
    "regs": "user_regs_struct",
    "utimbuf": "utimbuf",
    "packet_mreq": "packet_mreq",
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
OTHER_NAMES = {
    "loads.0": "loads[0]", "loads.1": "loads[1]", "loads.2": "loads[2]", "f_fsid.0": "f_fsid.__val[0]",
    "f_fsid.1": "f_fsid.__val[1]", "ifc_buf": "ifc_ifcu.ifcu_buf",
}  # fmt: skip
HEADERS = (
    "stddef.h stdio.h time.h sys/times.h sys/timex.h fcntl.h sys/uio.h sys/ioctl.h utime.h sys/user.h net/if.h "
    "linux/shm.h "
    "linux/msg.h linux/sem.h linux/aio_abi.h linux/kexec.h linux/landlock.h linux/perf_event.h linux/loop.h "
    "linux/if_packet.h "
    "sys/time.h sys/resource.h poll.h sys/epoll.h sys/stat.h sys/vfs.h sys/sysinfo.h "
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
        assert name in BEGINNINGS or name in IN_C or name.startswith("bpf_")


def test_offsets_are_those_of_the_c_compiler(tmp_path: Path) -> None:
    if not shutil.which("gcc") or not Path("/usr/include/linux/openat2.h").exists():
        pytest.skip("needs gcc and headers (packages gcc, libc6-dev and linux-libc-dev)")
    lines, ours = [], []
    for name, in_c in IN_C.items():
        known = layout(name, "x86-64")
        assert known is not None
        assert isinstance(known, Layout)
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
        view = (*field.split(":"), "d")[2] if ":" in field else "d"
        assert view in "dxo" or constants.known(view) or view in BYTES_VIEWS


def test_structures_that_are_not_known_have_no_layout() -> None:
    assert layout("nonsense", "x86-64") is None
    assert layout("regs", "i386") is None
    assert layout("stat", "x32") is not None


@given(st.sampled_from(ALL), st.binary(max_size=420))
def test_any_content_is_rendered_field_by_field(which: tuple[str, Abi], content: bytes) -> None:
    known = layout(*which)
    assert known is not None
    shown = known.render(content)
    assert isinstance(shown, str) == (which[0] in _BARE)
    if isinstance(known, Layout) and not known._deep:
        whole = sum(end <= len(content) for _, end, _ in known._fields)
        assert isinstance(shown, str) or len(shown) == whole


def test_structures_in_structures_are_shown_so() -> None:
    known = layout("itimerval", "x86-64")
    assert known is not None
    shown = {"it_interval": {"tv_sec": "1", "tv_usec": "2"}, "it_value": {"tv_sec": "3", "tv_usec": "4"}}
    assert known.render(struct.pack("<4q", 1, 2, 3, 4)) == shown
    both = layout("timespec2", "i386")
    assert both is not None
    assert both.render(struct.pack("<4i", 1, 2, 3, 4)) == [
        {"tv_sec": "1", "tv_nsec": "2"}, {"tv_sec": "3", "tv_nsec": "4"},
    ]  # fmt: skip
    assert elements(both, struct.pack("<2i", 1, 2)) == [[{"tv_sec": "1", "tv_nsec": "2"}]]


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
