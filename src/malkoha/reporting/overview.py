"""What a sample did at a glance: one card for each theme that is present, the gravest themes first.

In: report.json as plain values. Out: cards with a title, a remark, and the first phrases of their categories.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from malkoha.reporting.phrases import phrase
from malkoha.reporting.wording import items, mapping, shorten

VERBS = {
    "downloads_file": "downloaded",
    "file_deleted": "deleted",
    "file_moved": "moved",
    "file_written": "wrote",
    "resolves_host": "asked for",
    "connects_host": "host",
    "fetches_url": "fetched",
    "self_deletion": "deleted itself:",
    "links": "link",
}
"""What stands before an entry that says no more than a name."""
LINES = 6
TEXT = 300
CARDS: tuple[tuple[str, str, bool, str], ...] = (
    ("Persistence", "what makes it run again", True, "persistence"),
    ("Other processes", "traced, written into, signalled", True, "ptrace signals"),
    ("Kernel", "modules and programs loaded into it", True, "kernel_modules bpf"),
    ("Hidden programs", "run without a file, or under another name", True, "fileless self_deletion claimed_names"),
    ("Accounts", "users, groups, passwords", True, "users_groups"),
    ("Rights", "ids, capabilities, modes", False, "permissions capabilities identity"),
    ("Isolation", "mounts, roots and namespaces", False, "mounts namespaces"),
    ("Machine", "settings of the whole system", False, "machine"),
    ("Network", "connected to and asked for", False, "fetches_url connections resolves_host connects_host"),
    ("Open doors", "what it listens on, and raw sockets", False, "listens raw_sockets accepts"),
    ("Files changed", "deleted, moved, written", False, "downloads_file file_deleted file_moved file_written"),
    ("Marks on files", "attributes, times, links", False, "attributes timestamps links"),
    ("Memory", "made executable", False, "memory_executable"),
    ("Environment", "variables that change how programs behave", False, "environment"),
    ("Time", "sleeps, timers, calls made without end", False, "timing hammering asynchronous"),
    ("Conversations", "who talked to whom inside the guest", False, "conversations"),
)
"""Title, remark, whether it is grave, and the categories, the most telling first."""


def overview(report: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Make the cards; a theme of which nothing was seen has none."""
    summary = mapping(mapping(report.get("behavior")).get("summary"))
    cards = []
    for title, remark, grave, categories in CARDS:
        present = [(category, _telling(category, items(summary.get(category)))) for category in categories.split()]
        total = sum(len(entries) for _, entries in present)
        if not total:
            continue
        lines: list[str] = []
        # each category has its turn, so that a long one does not hide the others
        for place in range(LINES):
            for category, entries in present:
                if place < len(entries) and len(lines) < LINES:
                    text = f"{VERBS.get(category, '')} {phrase(category, entries[place])}".lstrip()
                    lines.append(shorten(text, TEXT))
        anchor = next(category for category, entries in present if entries)
        cards.append(
            {"title": title, "remark": remark, "grave": grave, "lines": lines, "total": total, "anchor": anchor}
        )
    return cards


def _telling(category: str, entries: list[Any]) -> list[Any]:
    """Leave out modes that make nothing executable, and put those that lend rights first."""
    if category != "permissions":
        return entries
    found = [entry for entry in map(mapping, entries) if entry.get("means")]
    return sorted(found, key=lambda entry: "set-" not in str(entry["means"]))
