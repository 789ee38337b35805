"""Java archives that name their main class."""

from __future__ import annotations

from .base import Interpreted


class Java(Interpreted):
    """Run with java -jar."""

    name = "java"
    extensions = (b".jar",)
    interpreters = ("java",)
    flags = (b"-jar",)
