"""Shell scripts without a first line, told by their name or by what they contain."""

from __future__ import annotations

import re

from .base import Interpreted

_WORDS = re.compile(
    rb"(?m)^[ \t]*(echo|cd|wget|curl|tftp|chmod|chattr|rm|cp|mv|mkdir|export|unset|if \[|for \w+ in|while |sleep|cat|"
    rb"kill|pkill|killall|crontab|nohup|sudo|apt(-get)?|busybox|ulimit|\./|/bin/|/usr/|/tmp/|[A-Za-z_]+=[^=])"
)


class Shell(Interpreted):
    """Read by bash where there is one: what droppers fetch and pipe into a shell."""

    name = "shell"
    extensions = (b".sh", b".bash", b".ksh")
    interpreters = ("bash", "sh")

    def accepts(self, head: bytes, name: bytes) -> bool:
        return super().accepts(head, name) or (b"\0" not in head and _WORDS.search(head) is not None)
