"""What every ordinary program does at its start, by rule: the files of the loader, locale, terminal and interpreter.

The summary leaves these out, since they tell nothing of a sample, and keeps them apart for who asks. Only reading is
noise: to write to one of these files is not ordinary.
"""

from __future__ import annotations

import re
from functools import lru_cache

_remember = lru_cache(4096)
"""A trace names the same few paths over and over."""

LIBRARY = re.compile(
    r"(?:/usr)?/lib(?:32|64|x32)?/(?:[^/]+-linux-gnu[^/]*/)?(?:tls/|[a-z0-9_-]+/){0,3}[^/]+\.so(?:\.[0-9.]+)?"
)
"""Shared objects in the folders of the distribution; they are listed as ``dll_loaded``."""

_NOISE = re.compile(
    r"/etc/ld\.so\.(?:cache|preload|nohwcap)"
    r"|/usr/lib/locale(?:/.*)?"
    r"|/usr/share/(?:locale|locale-langpack|zoneinfo|terminfo)(?:/.*)?"
    r"|(?:/usr)?/lib/terminfo/.*|/etc/terminfo/.*"
    r"|(?:/usr)?/lib/[^/]+/gconv/.*"
    r"|(?:/usr)?/lib(?:32|64|x32)?/(?:[^/]+-linux-gnu[^/]*/)?(?:glibc-hwcaps|tls|haswell|x86_64)(?:/.*)?"
    r"|/etc/locale\.alias|/etc/localtime|/etc/timezone|/etc/inputrc|/etc/ssl/openssl\.cnf|/usr/lib/ssl/openssl\.cnf"
    r"|/etc/(?:nsswitch|gai|host)\.conf"
    r"|/proc/(?:self|[0-9]+)/(?:maps|auxv|stat)|/proc/filesystems|/proc/sys/(?:kernel/ngroups_max|vm/overcommit_memory)"
    r"|/sys/devices/system/cpu(?:/.*)?|/sys/fs/selinux(?:/.*)?|/selinux|/etc/selinux/config"
    r"|/sys/kernel/mm/transparent_hugepage/.*|/sys/kernel/mm/hugepages(?:/.*)?"
)
_INTERPRETERS = (
    (
        re.compile(r"python[0-9.]*"),
        re.compile(r"/usr/(?:local/)?lib/python[0-9.]*(?:/.*)?|.*/pyvenv\.cfg|.*/__pycache__/.*"),
    ),
    (
        re.compile(r"perl[0-9.]*"),
        re.compile(r"(?:/usr|/etc)(?:/local)?/(?:share|lib)?/?(?:[^/]+-linux-gnu/)?perl[0-9]*(?:-base)?(?:/.*)?"),
    ),
    (re.compile(r"ruby[0-9.]*"), re.compile(r"/usr/lib/ruby(?:/.*)?|/var/lib/gems(?:/.*)?")),
    (re.compile(r"node(?:js)?"), re.compile(r"/usr/(?:share|lib)/node(?:js|_modules)(?:/.*)?")),
    (re.compile(r"php[0-9.]*"), re.compile(r"/etc/php(?:/.*)?|/usr/lib/php(?:/.*)?")),
)
"""Program -> the folders of its own library."""
_SHELL = re.compile(r"(?:ba|da|z|k|a)?sh|busybox")
_SEARCHED = re.compile(r"(?:/usr(?:/local)?)?/(?:s?bin|games)(?:/[^/]+)?")
"""Folders in which a shell looks for the programs that it is told to start."""

_DEVICE = re.compile(r"/dev/(?:null|tty|zero|urandom|random|full|pts/[0-9]+|std(?:in|out|err))")


@_remember
def is_library(path: str) -> bool:
    """Tell a shared object of the distribution."""
    return LIBRARY.fullmatch(path) is not None


@_remember
def is_noise(path: str, exe: str = "") -> bool:
    """Tell a file whose reading says nothing of the program ``exe``; relative paths and pipes never are."""
    if is_library(path) or is_device(path) or _NOISE.fullmatch(path) is not None:
        return True
    name = exe.rsplit("/", 1)[-1]
    if _SHELL.fullmatch(name):
        return _SEARCHED.fullmatch(path) is not None
    return any(program.fullmatch(name) and own.fullmatch(path) for program, own in _INTERPRETERS)


@_remember
def is_device(path: str) -> bool:
    """Tell a device whose use says nothing, in whatever way it is used."""
    return _DEVICE.fullmatch(path) is not None
