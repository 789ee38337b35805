"""Read what strace -ff -v -xx wrote of one thread: a line into the name, the arguments as trees, and the result.

A tree is ``bytes`` for a string, ``Word`` for numbers, flags and other expressions, ``list``, ``dict`` (a member
without a name has its position as key), or ``Changed`` for memory that the call changed.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any


class Word(str):
    """An expression that is no string: ``O_RDWR|O_CREAT``, ``0x10``, ``makedev(0x1, 0x3)``, ``~[INT TERM]``."""

    __slots__ = ()


@dataclass(frozen=True)
class Changed:
    """What strace shows as ``before => after``."""

    before: Any
    after: Any


@dataclass(frozen=True)
class Line:
    """One call; ``ret`` is None when it did not return, ``aux`` is what stands in parentheses behind the result."""

    name: str
    arguments: tuple[Any, ...]
    ret: int | None
    errno: str
    aux: str
    text: str


_CALL = re.compile(r"([a-z_][a-z0-9_#]*)\(")
_RESULT = re.compile(r"\)\s+= (\?|-?[0-9]+|0x[0-9a-f]+)(?: ([A-Z][A-Z0-9_]+))?(?: \((.*)\))?$")
_COMMENT = re.compile(r"/\*.*?\*/")
_NAMED = re.compile(r"([A-Za-z_][A-Za-z0-9_.]*)=(?!=)")
_ENDS = re.compile(r"[,\]}()]| => |$")


def lines(text: str) -> Iterator[Line]:
    """Yield the calls; signals and the end of the thread are no calls."""
    for line in text.splitlines():
        if _CALL.match(line):
            yield read(line)


def read(line: str) -> Line:
    """Read the line of one call; ValueError when it is none."""
    head = _CALL.match(line)
    if head is None:
        raise ValueError(line)
    reader = _Reader(_COMMENT.sub("", line), head.end())
    arguments = reader.members(")")
    rest = reader.text[reader.at - 1 :]
    found = _RESULT.match(rest)
    if found is None:
        if "<unfinished" in rest or "<detached" in rest or "= ?" in rest:
            return Line(head[1], tuple(arguments), None, "", "", line)
        raise ValueError(line)
    ret, errno, aux = found[1], found[2] or "", found[3] or ""
    value = None if ret == "?" else int(ret, 8 if re.fullmatch("0[0-7]+", ret) else 0)
    return Line(head[1], tuple(arguments), value, errno, aux, line)


class _Reader:
    def __init__(self, text: str, at: int) -> None:
        self.text = text
        self.at = at

    def skip(self) -> None:
        while self.text[self.at : self.at + 1] == " ":
            self.at += 1

    def members(self, closing: str) -> list[Any]:
        """Read up to the closing bracket and behind it; a named member is a pair in a dict of one."""
        found: list[Any] = []
        while True:
            self.skip()
            if self.at >= len(self.text):
                raise ValueError(self.text)
            if self.text[self.at] == closing:
                self.at += 1
                return found
            if self.text[self.at] == ",":
                self.at += 1
                continue
            named = _NAMED.match(self.text, self.at)
            if named:
                self.at = named.end()
                found.append({named[1]: self.value()})
            elif self.text.startswith("...", self.at):
                self.at += 3
            else:
                found.append(self.value())

    def value(self) -> Any:
        value = self.single()
        self.skip()
        if self.text.startswith("=>", self.at):
            self.at += 2
            self.skip()
            return Changed(value, self.value())
        return value

    def single(self) -> Any:
        start = self.text[self.at : self.at + 1]
        if start == '"' or self.text.startswith('@"', self.at):
            return self.string()
        if start == "{":
            return self.structure()
        if start == "[" and self.set_of_words() is None:
            self.at += 1
            return self.elements()
        return self.word()

    def set_of_words(self) -> re.Match[str] | None:
        """Match a set of signals or descriptors, whose members no comma parts; a single number may be either."""
        return re.compile(r"\[(?:[A-Z][A-Z0-9_]*(?: [A-Z0-9_]+)*|\d+(?: \d+)+)\]").match(self.text, self.at)

    def elements(self) -> list[Any]:
        return self.members("]")

    def structure(self) -> Any:
        self.at += 1
        if self.text.startswith("WIF", self.at):
            end = self.text.index("}", self.at)
            word = Word(self.text[self.at : end])
            self.at = end + 1
            return word
        shown: dict[Any, Any] = {}
        for position, member in enumerate(self.members("}")):
            if isinstance(member, dict) and len(member) == 1:
                shown.update(member)
            elif isinstance(member, Word) and (called := re.fullmatch(r"inet_pton\(\w+, (.*), &(\w+)\)", member)):
                shown[called[2]] = _unescape(called[1].strip('"'))
            else:
                shown[position] = member
        return shown

    def string(self) -> bytes:
        abstract = self.text[self.at] == "@"
        self.at += 2 if abstract else 1
        end = self.text.index('"', self.at)
        content = _unescape(self.text[self.at : end])
        self.at = end + 1
        if self.text.startswith("...", self.at):
            self.at += 3
        return (b"@" if abstract else b"") + content

    def word(self) -> Word:
        depth, begin = 0, self.at
        while self.at < len(self.text):
            character = self.text[self.at]
            if character == '"':
                self.at = self.text.index('"', self.at + 1)
            elif character in "([":
                depth += 1
            elif character in ")]}":
                if not depth:
                    break
                depth -= 1
            elif not depth and (character == "," or self.text.startswith(" =>", self.at)):
                break
            self.at += 1
        return Word(self.text[begin : self.at].strip())


def _unescape(text: str) -> bytes:
    return bytes.fromhex(text.replace("\\x", "")) if text.startswith("\\x") else text.encode("latin-1")
