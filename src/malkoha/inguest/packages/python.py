"""Python programs by their file name, where no first line names the interpreter."""

from __future__ import annotations

from .base import Interpreted


class Python(Interpreted):
    """Sources and compiled files."""

    name = "python"
    extensions = (b".py", b".pyc", b".pyw", b".pyz")
    interpreters = ("python3", "python")
