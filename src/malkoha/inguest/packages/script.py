"""Scripts with a first line that names their interpreter (execve(2), "Interpreter scripts")."""

from __future__ import annotations

import os

from .base import Package, Unfit, interpreter, shown

LINE = 256
"""As far as the kernel reads (BINPRM_BUF_SIZE in include/uapi/linux/binfmts.h)."""
ENV_OPTIONS_WITH_VALUE = (b"-u", b"--unset", b"-C", b"--chdir")


class Script(Package):
    """Files that begin with ``#!``: executed, so that the kernel starts the interpreter."""

    name = "script"

    def accepts(self, head: bytes, name: bytes) -> bool:
        del name
        return head.startswith(b"#!")

    def command(self, sample: bytes, arguments: list[bytes]) -> list[bytes]:
        program, option = first_line(sample)
        if not program.startswith(b"/"):
            raise Unfit(f"its first line names {shown(program)}, which is not an absolute path")
        if not os.path.isfile(program) or not os.access(program, os.X_OK):
            raise Unfit(f"there is no interpreter {shown(program)} in the guest")
        words = option.split()
        if os.path.basename(program) == b"env" and (named := program_of_env(words)):
            interpreter(shown(named))
        return [sample, *arguments]


def first_line(sample: bytes) -> tuple[bytes, bytes]:
    """Read the program and its single option, which may be empty."""
    with open(sample, "rb") as file:
        head = file.read(LINE)
    if not head.startswith(b"#!"):
        raise Unfit("its first line names no interpreter")
    line = head[2:].split(b"\n", 1)[0].split(b"\0", 1)[0]
    if line.endswith(b"\r"):
        raise Unfit("its first line ends in CR LF, so the kernel finds no interpreter: --package can name another way")
    words = line.strip(b" \t").split(None, 1)
    if not words:
        raise Unfit("its first line names no interpreter")
    return words[0], words[1] if len(words) > 1 else b""


def program_of_env(words: list[bytes]) -> bytes:
    """Find the program among the words after ``env`` (env(1)); empty when that is not certain."""
    skip = False
    for word in words:
        if skip:
            skip = False
        elif word in ENV_OPTIONS_WITH_VALUE:
            skip = True
        elif word.startswith(b"-S") and len(word) > 2:
            return word[2:]
        elif not word.startswith(b"-") and b"=" not in word:
            return word
    return b""
