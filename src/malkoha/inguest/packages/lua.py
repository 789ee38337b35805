"""Lua programs by their file name, where no first line names the interpreter."""

from __future__ import annotations

from .base import Interpreted


class Lua(Interpreted):
    """Sources."""

    name = "lua"
    extensions = (b".lua",)
    interpreters = ("lua", "lua5.4", "lua5.3", "lua5.1", "luajit")
