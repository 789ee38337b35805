"""What every ordinary program does at its start, by rule: the dynamic loader's, the locale's and the terminal's files.

The summary leaves these out, since they tell nothing of a sample. Only reading is noise: to write to one of these
files is not ordinary.
"""

from __future__ import annotations

import re

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
    r"|/etc/locale\.alias|/etc/localtime"
    r"|/proc/(?:self|[0-9]+)/(?:maps|auxv|stat)|/proc/filesystems|/proc/sys/(?:kernel/ngroups_max|vm/overcommit_memory)"
    r"|/sys/devices/system/cpu(?:/.*)?"
)


_DEVICE = re.compile(r"/dev/(?:null|tty|zero|urandom|random|full|pts/[0-9]+|std(?:in|out|err))")


def is_library(path: str) -> bool:
    """Tell a shared object of the distribution."""
    return LIBRARY.fullmatch(path) is not None


def is_noise(path: str) -> bool:
    """Tell a file whose reading says nothing of a program; relative paths and pipes never are."""
    return is_library(path) or is_device(path) or _NOISE.fullmatch(path) is not None


def is_device(path: str) -> bool:
    """Tell a device whose use says nothing, in whatever way it is used."""
    return _DEVICE.fullmatch(path) is not None
