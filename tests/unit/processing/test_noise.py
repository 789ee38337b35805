"""Which files say nothing of a program."""

from __future__ import annotations

import pytest

from malkoha.processing import noise


@pytest.mark.parametrize(
    "path",
    [
        "/etc/ld.so.cache",
        "/lib/x86_64-linux-gnu/libc.so.6",
        "/usr/lib/x86_64-linux-gnu/libtinfo.so.6.4",
        "/lib/i386-linux-gnu/tls/i686/libc.so.6",
        "/lib64/libm.so.6",
        "/usr/lib/locale/locale-archive",
        "/usr/share/locale/en/LC_MESSAGES/libc.mo",
        "/usr/lib/x86_64-linux-gnu/gconv/gconv-modules.cache",
        "/etc/terminfo/x/xterm",
        "/dev/null",
        "/dev/pts/0",
        "/proc/self/maps",
    ],
)
def test_noise(path: str) -> None:
    assert noise.is_noise(path)


@pytest.mark.parametrize(
    "path",
    [
        "/etc/passwd",
        "/tmp/libc.so.6",
        "/home/u/lib/x86_64-linux-gnu/libc.so.6",
        "/usr/lib/python3/dist-packages/x.py",
        "/dev/sda",
        "/proc/1/environ",
        "/etc/ld.so.conf",
        "libc.so.6",
        "",
    ],
)
def test_not_noise(path: str) -> None:
    assert not noise.is_noise(path)


def test_libraries_are_told_apart() -> None:
    assert noise.is_library("/usr/lib/x86_64-linux-gnu/libssl.so.3")
    assert not noise.is_library("/etc/ld.so.cache")
    assert not noise.is_library("/tmp/evil.so")
    assert noise.is_device("/dev/tty")
    assert not noise.is_device("/dev/sda1")
