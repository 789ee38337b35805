"""Section ``strings``: runs of printable characters in the sample, ASCII and UTF-16."""

from __future__ import annotations

import re

from malkoha.processing.base import Earlier, Facts, Processing

MINIMUM = 6
LONGEST = 512
LIMIT = 5_000
READ = 32 << 20
_ASCII = re.compile(rb"[\x20-\x7e\t]{%d,}" % MINIMUM)
_WIDE = re.compile(rb"(?:[\x20-\x7e\t]\x00){%d,}" % MINIMUM)


def strings(data: bytes, limit: int = LIMIT) -> list[str]:
    """List printable strings of at least six characters, each once, in order, at most ``limit``."""
    found: dict[str, None] = {}
    for pattern, encoding in ((_ASCII, "ascii"), (_WIDE, "utf-16-le")):
        for match in pattern.finditer(data):
            if len(found) >= limit:
                return list(found)
            found[match.group().decode(encoding)[:LONGEST]] = None
    return list(found)


class StringsModule(Processing):
    """Make the section ``strings``."""

    name = "strings"
    isolated = True
    timeout_s = 30.0

    def run(self, facts: Facts, earlier: Earlier) -> list[str]:
        del earlier
        if not facts.store.sample.exists():
            return []
        with facts.store.sample.open("rb") as file:
            return strings(file.read(READ))
