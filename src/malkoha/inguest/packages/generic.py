"""Everything else: made executable and executed; the kernel decides what it is, and sh gets what it does not know."""

from __future__ import annotations

from .base import Package


class Generic(Package):
    """The last resort: what happens when somebody types the sample's path into a shell."""

    name = "generic"
    shell = True

    def accepts(self, head: bytes, name: bytes) -> bool:
        del head, name
        return True

    def command(self, sample: bytes, arguments: list[bytes]) -> list[bytes]:
        return [sample, *arguments]
