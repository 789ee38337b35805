"""The arguments of a line of a SystemTap log as values: texts, lists and dicts; nothing in them makes it raise."""

from __future__ import annotations

import codecs
import re
from typing import Any

from malkoha.trace.stap_lines import KEY

MAX_DEPTH = 16
_ESCAPE = re.compile(rb"\\(?:x([0-9a-fA-F]{2})|([0-7]{1,3})|(.))", re.DOTALL)
_ORDINARY = re.compile(rb"(?:[^\\]+|\\(?:x[0-9a-fA-F]{2}|[abfnrtv\\\"']|[0-3][0-7]{2}))*+", re.DOTALL)
"""Escapes that Python reads as the kernel and SystemTap write them."""
_SIMPLE = {b"n": b"\n", b"t": b"\t", b"r": b"\r", b"v": b"\v", b"f": b"\f", b"a": b"\a", b"b": b"\b", b"0": b"\0"}


def _latin(error: UnicodeError) -> tuple[str, int]:
    assert isinstance(error, UnicodeDecodeError)
    return error.object[error.start : error.end].decode("latin-1"), error.end


codecs.register_error("malkoha-latin-1", _latin)


def text_of(data: bytes) -> str:
    """Decode bytes of a sample: UTF-8, and what is not valid UTF-8 as Latin-1; never raises."""
    return data.decode("utf-8", "malkoha-latin-1")


def _escape(match: re.Match[bytes]) -> bytes:
    hexadecimal, octal, other = match.groups()
    if hexadecimal:
        return bytes((int(hexadecimal, 16),))
    if octal:
        return bytes((int(octal, 8) & 0xFF,))
    return _SIMPLE.get(other, other)


def _string(inner: str) -> str:
    """Unescape what stood between quotes; ``inner`` holds one character for each byte."""
    if "\\" not in inner:
        return inner if inner.isascii() else text_of(inner.encode("latin-1"))
    data = inner.encode("latin-1")
    if _ORDINARY.fullmatch(data):
        return text_of(data.decode("unicode_escape").encode("latin-1"))
    return text_of(_ESCAPE.sub(_escape, data))


def _word(token: str) -> str:
    """Read one value without brackets; a string may be cut, and then has no closing quote."""
    token = token.strip(" ")
    if token[:1] != '"':
        return token if token.isascii() else text_of(token.encode("latin-1"))
    if token.endswith('"') and len(token) > 1:
        return _string(token[1:-1])
    if token.endswith('"...'):
        return _string(token[1:-4]) + "..."
    return _string(token[1:])


_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"?(?:\.\.\.)?|[\[{]|[\]}]|, ?|[^"\[\]{},]+', re.DOTALL)


def _nested(text: str) -> list[Any]:
    """Split arguments that hold arrays or structures; unclosed ones end with the text.

    ``{a=1, b=2}`` becomes a dict, ``{1, 2}`` and ``[1, 2]`` lists.
    """
    root: list[tuple[str, Any]] = []
    stack: list[tuple[str, str, list[tuple[str, Any]]]] = [("", "", root)]
    key: str = ""
    value: Any = None
    filled: bool = False

    def close() -> None:
        nonlocal key, value, filled
        if filled or key:
            stack[-1][2].append((key, "" if value is None else value))
        key, value, filled = "", None, False

    def leave() -> None:
        nonlocal key, value, filled
        close()
        key, opener, items = stack.pop()
        value, filled = _collect(opener, items), True

    for token in _TOKEN.findall(text):
        first = token[0]
        if first == ",":
            close()
        elif first in "[{" and len(stack) < MAX_DEPTH:
            stack.append((key, first, []))
            key, value, filled = "", None, False
        elif first in "]}" and len(stack) > 1:
            leave()
        else:
            rest = token
            if not filled and stack[-1][1] == "{" and (found := KEY.match(token)):
                key, rest = token[: found.end() - 1], token[found.end() :]
            if rest:
                word = _word(rest)
                value = value + word if isinstance(value, str) else word
                filled = filled or bool(rest.strip(" "))
    while len(stack) > 1:
        leave()
    close()
    return [item for _, item in root]


def _collect(opener: str, items: list[tuple[str, Any]]) -> Any:
    if opener == "[":
        return [value for _, value in items]
    if all(key for key, _ in items):
        return dict(items)
    return [f"{key}={value}" if key else value for key, value in items]


_NAMES = tuple(f"p{index}" for index in range(64))


def arguments(text: str) -> dict[str, Any]:
    """Name the arguments p0, p1, ... in order, as the text has no names."""
    if not text:
        return {}
    values: list[Any]
    if "[" in text or "{" in text:
        values = _nested(text)
    elif '"' not in text:
        if ", " not in text and text.isascii():
            return {"p0": text}
        values = text.split(", ") if text.isascii() else [_word(part) for part in text.split(", ")]
    else:
        parts = text.split(", ")
        if text.count('"') == 2 * sum([part[:1] == '"' == part[-1:] and len(part) > 1 for part in parts]):
            if "\\" not in text and text.isascii():
                values = [part[1:-1] if part[:1] == '"' else part for part in parts]
            else:
                values = [_string(part[1:-1]) if part[:1] == '"' else _word(part) for part in parts]
        else:
            values = _nested(text)
    if len(values) < len(_NAMES):
        return dict(zip(_NAMES, values, strict=False))
    return {f"p{index}": value for index, value in enumerate(values)}
