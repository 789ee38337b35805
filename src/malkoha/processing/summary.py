"""What a sample did, in Cuckoo's categories and malkoha's own: rows of the trace in, entries by category out.

The rules stand in the folder ``rules``, a file for each theme; docs/report.md lists the categories. Lists are bounded
and what did not fit is counted. What every program's loader and shell reads is kept apart by the rules of noise.py.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from malkoha.model.process import Process
from malkoha.processing.rules import commands, files, network, system, traffic, waiting
from malkoha.processing.rules.base import Bag, Rule, View
from malkoha.trace import descriptors
from malkoha.trace.descriptors import Tables
from malkoha.trace.store import Row

CATEGORIES = (
    "file_created", "file_opened", "file_read", "file_written", "file_deleted", "file_exists", "file_failed",
    "file_moved", "file_copied", "directory_created",
    "directory_removed", "directory_enumerated", "dll_loaded", "command_line",
    "connects_ip", "connects_host", "resolves_host", "downloads_file", "fetches_url",
)  # fmt: skip
"""Cuckoo's categories."""
OWN = (
    "persistence",
    "permissions",
    "ownership",
    "links",
    "attributes",
    "timestamps",
    "self_deletion",
    "watches",
    "file_traffic",
    "connections",
    "conversations",
    "listens",
    "accepts",
    "unix_sockets",
    "raw_sockets",
    "fileless",
    "environment",
    "claimed_names",
    "users_groups",
    "identity",
    "capabilities",
    "memory_executable",
    "ptrace",
    "signals",
    "kernel_modules",
    "bpf",
    "mounts",
    "namespaces",
    "process_settings",
    "machine",
    "timing",
    "hammering",
    "asynchronous",
)
"""malkoha's."""
LIMIT = 2_000
"""Entries of one category, in all and of each process."""
PROCESS_LIMIT = 500
NOISE_LIMIT = 500
TOTAL_BYTES, PROCESS_BYTES, NOISE_BYTES = 6_000_000, 6_000_000, 1_000_000
"""Size of the entries in all, of all processes together, and of the noise."""

_RULES: tuple[dict[str, Rule], ...] = (
    files.RULES, traffic.RULES, network.RULES, commands.RULES, system.RULES, waiting.RULES,
)  # fmt: skip
APIS = descriptors.APIS.union(*_RULES)
"""Calls that the summary needs to see."""
_BEFORE = frozenset(
    [
        "close",
        "close_range",
        "execve",
        "execveat",
        "chroot",
        "pivot_root",
        "mount",
        "umount",
        "umount2",
        "move_mount",
        "setns",
    ]
)
"""Calls whose arguments mean what they meant before the call took effect."""
CHEAP = frozenset(
    [
        "getpid",
        "getppid",
        "gettid",
        "getuid",
        "geteuid",
        "getgid",
        "getegid",
        "getpgrp",
        "getpgid",
        "getsid",
        "time",
        "times",
        "gettimeofday",
        "clock_gettime",
        "clock_getres",
        "sched_yield",
        "getrandom",
        "uname",
        "sysinfo",
        "getcpu",
        "getrusage",
        "getpriority",
        "umask",
        "getcwd",
        "getrlimit",
        "sched_getaffinity",
        "rt_sigprocmask",
        "close",
        "dup",
    ]
)
"""Calls that change nothing much: made thousands of times they wear a tracer out or pass time."""
HAMMERING = 5_000


class Summary:
    """Takes rows one by one; ``total`` and ``of`` give what was found so far."""

    def __init__(self, processes: Iterable[Process], *, recorded: bool = False) -> None:
        """``recorded`` tells that the trace has exec events, so that execve calls need not tell command lines."""
        listed = list(processes)
        self._hidden = {process.key for process in listed if process.launcher}
        self._begin = {process.key: process.setup_calls for process in listed if process.setup_calls}
        self._tables = Tables(listed)
        self._all = Bag(LIMIT, [TOTAL_BYTES])
        self._noise = Bag(NOISE_LIMIT, [NOISE_BYTES], counts=False)
        self._room = [PROCESS_BYTES]
        self._each: dict[int, Bag] = {}
        self._memories: dict[int, dict[Any, Any]] = {}
        self._view = View(self._tables, {process.key: process for process in listed}, recorded=recorded)
        self._view.noise = self._noise
        self._rules: dict[str, tuple[Rule, ...]] = {}
        for rules in _RULES:
            for api, rule in rules.items():
                self._rules[api] = (*self._rules.get(api, ()), rule)
        self._settled = False

    @property
    def omitted(self) -> dict[str, int]:
        """How many entries did not fit, by category."""
        return self._all.omitted

    def total(self) -> dict[str, list[Any]]:
        """Give the summary of the whole sample."""
        if not self._settled:
            self._settled = True
            for entry in traffic.conversations(self._view):
                self._all.entry("conversations", tuple(entry.values()), entry.copy)
        return self._all.result()

    def noise(self) -> dict[str, list[Any]]:
        """Give what was left out as the ordinary noise of the loader, the shell and the interpreters."""
        return self._noise.result()

    def of(self, key: int) -> dict[str, list[Any]]:
        """Give the summary of one process."""
        bag = self._each.get(key)
        return bag.result() if bag else {}

    def hammered(self, key: int, statistics: dict[str, int]) -> None:
        """Note the cheap calls that a process made too often to mean anything, from its true counts."""
        for api, calls in statistics.items():
            if api in CHEAP and calls >= HAMMERING and key not in self._hidden:
                entry = {"api": api, "process": f"{self._view.name_of(key)} {key}", "calls": calls}
                self._all.entry("hammering", (api, key), entry.copy)
                self._bag(key).entry("hammering", (api, key), entry.copy)

    def feed(self, row: Row) -> None:
        """Take the next row."""
        event, key = row.event, row.process
        first = event.api in _BEFORE
        if not first:
            self._tables.feed(key, event)
        if key not in self._hidden and not (row.index is not None and row.index < self._begin.get(key, 0)):
            rules = self._rules.get(event.api)
            if rules is not None or event.kind == "exec":
                view = self._view
                view.key, view.bags = key, (self._all, self._bag(key))
                view.memory = self._memories.setdefault(key, {})
                for rule in rules or (commands.executed,):
                    rule(view, event)
        if first:
            self._tables.feed(key, event)

    def _bag(self, key: int) -> Bag:
        bag = self._each.get(key)
        if bag is None:
            bag = self._each[key] = Bag(PROCESS_LIMIT, self._room, counts=False)
        return bag
