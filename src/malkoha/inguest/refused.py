"""How the guest says no."""

from __future__ import annotations


class Refused(Exception):  # noqa: N818 - the guest refuses, nothing failed
    """A request cannot be done; the text says why and is what the user reads."""
