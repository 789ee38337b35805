"""Ruby programs by their file name, where no first line names the interpreter."""

from __future__ import annotations

from .base import Interpreted


class Ruby(Interpreted):
    """Sources."""

    name = "ruby"
    extensions = (b".rb",)
    interpreters = ("ruby",)
