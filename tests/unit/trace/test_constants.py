"""Names of numbers: those of the kernel's own headers, and how they are shown."""

from __future__ import annotations

import errno
import fcntl
import mmap
import os
import re
import resource
import select
import shutil
import signal
import socket
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from malkoha.trace import constants
from malkoha.trace.constants import ENUMS, ERRNOS, FLAGS, SIGNALS, enum, flags, known, show

HEADERS = (
    "stddef.h linux/time.h linux/time_types.h linux/capability.h linux/filter.h linux/io_uring.h linux/landlock.h "
    "linux/tcp.h "
    "linux/udp.h linux/netlink.h linux/if_packet.h linux/if_ether.h linux/perf_event.h linux/fanotify.h "
    "linux/mempolicy.h "
    "linux/membarrier.h linux/timex.h linux/openat2.h linux/stat.h linux/kexec.h linux/quota.h linux/dqblk_xfs.h "
    "linux/magic.h linux/personality.h linux/securebits.h linux/ioprio.h linux/sem.h linux/shm.h linux/msg.h "
    "linux/loop.h linux/rtc.h linux/kd.h linux/vt.h linux/cdrom.h linux/hdreg.h linux/userfaultfd.h linux/vfio.h "
    "linux/kvm.h linux/vhost.h linux/ppp-ioctl.h linux/usbdevice_fs.h linux/btrfs.h linux/fd.h "
    "linux/gpio.h linux/ptp_clock.h linux/dm-ioctl.h linux/nbd.h linux/nsfs.h "
    "linux/fscrypt.h linux/fsverity.h linux/watchdog.h linux/in6.h linux/aio_abi.h linux/module.h linux/signalfd.h "
    "linux/timerfd.h linux/fsmap.h linux/tee.h linux/mtio.h linux/capi.h linux/blkzoned.h linux/hidraw.h "
    "linux/fcntl.h asm/signal.h asm/poll.h linux/eventpoll.h linux/mman.h asm/mman.h linux/sched.h linux/wait.h "
    "linux/mount.h linux/falloc.h linux/inotify.h linux/fs.h linux/memfd.h linux/random.h linux/close_range.h "
    "linux/xattr.h linux/ipc.h linux/time.h linux/in.h linux/resource.h asm/prctl.h linux/seccomp.h linux/ptrace.h "
    "asm/ptrace-abi.h linux/prctl.h linux/bpf.h linux/keyctl.h linux/reboot.h linux/net.h linux/futex.h asm/ioctls.h "
    "asm/termbits.h linux/sockios.h linux/if_tun.h"
)

NAMED = {
    (name, word): value
    for name, words in (FLAGS | ENUMS).items()
    for value, word in words.items()
    if not name.startswith(("syslog", "keyperm")) and name != "persona_base"
}
"""(set, word) -> our value; the kernel keeps SYSLOG_ACTION_ and KEY_POS_ to itself, and PER_ words have flags above."""


def in_python() -> dict[str, int]:
    """What the standard library knows: constants of libc that the kernel's headers do not name."""
    found: dict[str, int] = {}
    for module in (os, socket, select, signal, fcntl, resource, mmap):
        for name in dir(module):
            value = getattr(module, name)
            if name.isupper() and isinstance(value, int):
                found[name] = int(value)
    # libc hides what 64-bit programs do not need
    for name in ("O_LARGEFILE", "F_GETLK64", "F_SETLK64", "F_SETLKW64"):
        found.pop(name, None)
    return found


def compiled(folder: Path, words: set[str]) -> dict[str, int]:
    """What the C compiler makes of those words that the kernel's headers have."""
    source, program = folder / "words.c", folder / "words"
    includes = "#include <stdio.h>\n" + "".join(f"#include <{name}>\n" for name in HEADERS.split())

    def compile_with(names: set[str], *options: str) -> str:
        lines = "".join(
            f'\tprintf("{name} %llu\\n", (unsigned long long)(unsigned)({name}));\n' for name in sorted(names)
        )
        source.write_text(includes + "int main(void) {\n" + lines + "\treturn 0;\n}\n", encoding="ascii")
        command = ["gcc", "-w", "-fmax-errors=0", *options, str(source)]
        environment = os.environ | {"LC_ALL": "C"}
        return subprocess.run(command, capture_output=True, text=True, check=False, env=environment).stderr

    errors = compile_with(words, "-fsyntax-only")
    absent = set(re.findall(r"'(\w+)' undeclared", errors))
    assert compile_with(words - absent, "-o", str(program)) == ""
    output = subprocess.run([str(program)], capture_output=True, text=True, check=True).stdout
    return {name: int(value) for name, value in (line.split() for line in output.splitlines())}


def test_values_are_those_of_the_standard_library() -> None:
    theirs = in_python()
    both = {key: value for key, value in NAMED.items() if key[1] in theirs}
    assert len(both) > 200
    assert both == {key: theirs[key[1]] & 0xFFFFFFFF for key in both}


def test_values_are_those_of_the_kernels_headers(tmp_path: Path) -> None:
    if not shutil.which("gcc") or not Path("/usr/include/linux/fcntl.h").exists():
        pytest.skip("needs gcc and the kernel's headers (packages gcc and linux-libc-dev)")
    narrow = {key: value for key, value in NAMED.items() if value < 1 << 32}
    theirs = compiled(tmp_path, {word for _, word in narrow})
    both = {key: value for key, value in narrow.items() if key[1] in theirs}
    assert both == {key: theirs[key[1]] for key in both}
    sure = both.keys() | {key for key in NAMED if key[1] in in_python()}
    # the host's headers may be older than Linux 6.12
    assert len(sure) > 0.9 * len(NAMED), sorted(NAMED.keys() - sure)


def test_words_are_unique_in_a_set() -> None:
    for words in (FLAGS | ENUMS).values():
        assert len(set(words.values())) == len(words)
        assert all(re.fullmatch(r"[A-Za-z_0-9]+", word) for word in words.values())


def test_no_set_is_both_flags_and_enumeration() -> None:
    assert not FLAGS.keys() & ENUMS.keys()
    assert all(0 not in words for words in FLAGS.values())


def test_signals_are_those_of_the_standard_library() -> None:
    theirs = {one.value: one.name for one in signal.Signals if one.value < 32}
    assert {number: SIGNALS[number] for number in theirs} == theirs
    assert (SIGNALS[32], SIGNALS[34], SIGNALS[64], len(SIGNALS)) == ("SIGRT_0", "SIGRT_2", "SIGRT_32", 64)


def test_errors_are_those_of_the_standard_library() -> None:
    for number, name in ERRNOS.items():
        if number < 512:
            assert getattr(errno, name) == number
    assert set(errno.errorcode) <= set(ERRNOS)


@pytest.mark.parametrize(
    ("value", "view", "text"),
    [
        (0, "open", "O_RDONLY"),
        (0o2000001, "open", "O_WRONLY|O_CLOEXEC"),
        (0x101002, "open", "O_RDWR|O_SYNC"),
        (0x1000, "open", "O_RDONLY|O_DSYNC"),
        (0x410002, "open", "O_RDWR|O_TMPFILE"),
        (3, "open", "O_ACCMODE"),
        (0x80000000, "open", "O_RDONLY|0x80000000"),
        (0x11, "clone", "SIGCHLD"),
        (0x4111, "clone", "CLONE_VM|CLONE_VFORK|SIGCHLD"),
        (0x200000000, "clone", "CLONE_INTO_CGROUP"),
        (0x80, "clone", "CLONE_NEWTIME"),
        (0, "clone", "0"),
        (0x80801, "socktype", "SOCK_STREAM|SOCK_NONBLOCK|SOCK_CLOEXEC"),
        (3, "socktype", "SOCK_RAW"),
        (9, "socktype", "9"),
        (0x80, "futex", "FUTEX_WAIT_PRIVATE"),
        (0x189, "futex", "FUTEX_WAIT_BITSET_PRIVATE|FUTEX_CLOCK_REALTIME"),
        (0x4002, "sigset", "[SIGINT|SIGTERM]"),
        (0, "sigset", "[]"),
        ((1 << 64) - 1, "sigset", "[" + "|".join(SIGNALS[n] for n in range(1, 65)) + "]"),
        (9, "sig", "SIGKILL"),
        (0, "sig", "0"),
        (99, "sig", "99"),
        (0, "handler", "SIG_DFL"),
        (1, "handler", "SIG_IGN"),
        (0x401000, "handler", "0x401000"),
        (0, "access", "F_OK"),
        (5, "access", "X_OK|R_OK"),
        (0, "prot", "PROT_NONE"),
        (7, "prot", "PROT_READ|PROT_WRITE|PROT_EXEC"),
        (0, "map", "0"),
        (0o755, "o", "0755"),
        (0, "o", "0"),
        (255, "x", "0xff"),
        (255, "d", "255"),
        (0x5413, "ioctl", "TIOCGWINSZ"),
        (0x12345, "ioctl", "0x12345"),
        (77, "family", "77"),
    ],
)
def test_numbers_are_shown(value: int, view: str, text: str) -> None:
    assert known(view) or view in "dxo"
    assert show(value, view) == text


@given(st.integers(0, (1 << 64) - 1), st.sampled_from(sorted(FLAGS)))
def test_no_bit_of_a_flag_set_vanishes(value: int, name: str) -> None:
    words = {word: bits for bits, word in FLAGS[name].items()}
    total = 0
    for word in flags(value, name).split("|"):
        total |= words[word] if word in words else int(word, 0)
    assert total == value


@given(st.integers(0, (1 << 64) - 1), st.sampled_from(sorted(ENUMS)))
def test_a_value_without_name_stays_a_number(value: int, name: str) -> None:
    text = enum(value, name)
    assert ENUMS[name].get(value) == text or int(text, 0) == value


@given(st.integers(0, (1 << 64) - 1), st.sampled_from(sorted(constants._SPECIAL)))
def test_every_view_shows_every_number(value: int, view: str) -> None:
    assert show(value, view)
