"""PHP programs by their file name, or by the tag that they begin with."""

from __future__ import annotations

from .base import Interpreted


class Php(Interpreted):
    """Sources; web shells mostly."""

    name = "php"
    extensions = (b".php", b".phtml", b".phar")
    interpreters = ("php",)

    def accepts(self, head: bytes, name: bytes) -> bool:
        return super().accepts(head, name) or head.lstrip().startswith(b"<?php")
