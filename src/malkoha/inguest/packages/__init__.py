"""Packages: how each kind of sample is started. The first one of ``BUILT_IN`` that accepts a sample starts it."""

from __future__ import annotations

from .base import Package
from .elf import Elf
from .generic import Generic
from .java import Java
from .javascript import JavaScript
from .lua import Lua
from .perl import Perl
from .php import Php
from .python import Python
from .ruby import Ruby
from .script import Script
from .shell import Shell

BUILT_IN: tuple[Package, ...] = (
    Elf(),
    Script(),
    Python(),
    Perl(),
    Php(),
    Ruby(),
    JavaScript(),
    Lua(),
    Java(),
    Shell(),
    Generic(),
)
