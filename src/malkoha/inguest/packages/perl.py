"""Perl programs by their file name, where no first line names the interpreter."""

from __future__ import annotations

from .base import Interpreted


class Perl(Interpreted):
    """Sources."""

    name = "perl"
    extensions = (b".pl", b".pm", b".cgi")
    interpreters = ("perl",)
