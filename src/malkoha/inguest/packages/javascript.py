"""JavaScript programs by their file name, where no first line names the interpreter."""

from __future__ import annotations

from .base import Interpreted


class JavaScript(Interpreted):
    """Sources for Node.js."""

    name = "javascript"
    extensions = (b".js", b".mjs", b".cjs")
    interpreters = ("node", "nodejs")
