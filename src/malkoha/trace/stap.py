"""Cuckoo's text form of a trace: lines of a SystemTap log to events; stap_lines.py goes the other way.

    Www Mmm dd HH:MM:SS YYYY.uuuuuu COMM@IP[TID] NAME(ARGS)[ = RET[ (ERRNO)]]

Nothing here raises on what a log contains: a line that is not understood becomes an event of kind ``unknown`` that
keeps the (bounded) line. Lines bear no zone; the guest's clock runs in UTC and so they are read.

Where Cuckoo's own parser errs, this one does the right thing: the list at the end of a structure without names loses
its closing bracket, strings are UTF-8 before they are Latin-1, and a comm that imitates a line does not become one.
"""

from __future__ import annotations

import calendar
import codecs
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

import msgspec

from malkoha.errors import TraceError
from malkoha.model.event import Event
from malkoha.trace.stap_lines import KEY, write, write_line

__all__ = ["Counts", "parse", "parse_line", "text_of", "write", "write_line"]

MAX_LINE = 4 << 20
"""Bytes of the longest line that is parsed; what is longer is kept as unknown, cut."""
MAX_RAW = 4096
"""Characters that are kept of a line that was not understood."""
MAX_DEPTH = 16
_BLOCK = 1 << 20
_MONTHS = {name: number for number, name in enumerate(calendar.month_abbr) if name}

# The comm is matched greedily within its 15 bytes: a comm like "a@1[2] x(" would otherwise forge the rest of its line,
# and the shortest true head of a line is longer than 15, so that no argument can be taken for a head.
_HEAD = re.compile(
    r"(\w{3} \w{3} [ \d]\d \d\d:\d\d:\d\d \d{4})\.(\d{6}) (.{0,15})@([0-9a-f]{1,16})\[(\d{1,10})\] (\w+)\(", re.DOTALL
)
_TAIL = re.compile(r"(\S+)(?: \(([^()]*)\))?")
_ESCAPE = re.compile(rb"\\(?:x([0-9a-fA-F]{2})|([0-7]{1,3})|(.))", re.DOTALL)
_SIMPLE = {b"n": b"\n", b"t": b"\t", b"r": b"\r", b"v": b"\v", b"f": b"\f", b"a": b"\a", b"b": b"\b", b"0": b"\0"}


class Counts(msgspec.Struct):
    """What became of the lines of one log; ``unknown`` of them were kept raw, ``cut`` of these were too long."""

    lines: int = 0
    unknown: int = 0
    cut: int = 0


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
    return text_of(_ESCAPE.sub(_escape, inner.encode("latin-1")))


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


def _arguments(text: str) -> dict[str, Any]:
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


def _returned(text: str) -> int | None:
    """Read a return value as a signed 64-bit number; None when it is none."""
    try:
        number = int(text, 16) if text[:2] == "0x" else int(text)
    except ValueError:
        return None
    if number >= 1 << 63:
        number -= 1 << 64
    return number if -(1 << 63) <= number < 1 << 63 else None


class _Clock:
    """Remembers the last second, which most lines share with the line before."""

    def __init__(self) -> None:
        self.text = ""
        self.second_ns = 0

    def read(self, text: str) -> int | None:
        if text != self.text:
            month = _MONTHS.get(text[4:7])
            if month is None:
                return None
            try:
                parts = (int(text[20:24]), month, int(text[8:10]), int(text[11:13]), int(text[14:16]), int(text[17:19]))
                seconds = calendar.timegm((*parts, 0, 0, 0))
            except (ValueError, OverflowError):
                return None
            if not 0 <= seconds < 9_000_000_000:
                return None
            self.text, self.second_ns = text, seconds * 1_000_000_000
        return self.second_ns


_clock = _Clock()


def parse_line(line: bytes, seq: int = 0) -> Event:
    """Read one line, with or without its newline.

    Args are named p0, p1, ... as the text has no names. pid is the line's thread id, since the text has no other;
    processes.py finds the threads' processes. The event is of kind ``unknown`` when the line is not understood.
    """
    text = line.decode("latin-1")
    match = _HEAD.match(text) if len(line) <= MAX_LINE else None
    if match is None:
        return _unknown(text, seq)
    stamp, micro, comm, ip, thread, name = match.groups()
    second = _clock.read(stamp)
    body = _body(text, match.end())
    if second is None or body is None:
        return _unknown(text, seq)
    arguments, ret, errno = body
    tid = int(thread)
    return Event(
        seq=seq,
        kind="syscall",
        time_ns=second + int(micro) * 1000,
        pid=tid,
        tid=tid,
        comm=comm if comm.isascii() else text_of(comm.encode("latin-1")),
        ip=int(ip, 16),
        api=name,
        args=_arguments(arguments),
        ret=_returned(ret) if ret else None,
        ret_text=ret,
        errno=errno,
        raw=text if text.isascii() else text_of(line),
    )


def _body(text: str, start: int) -> tuple[str, str, str] | None:
    """Split what follows the opening bracket into arguments, return value and errno.

    Brackets inside strings are escaped, so the last ``) = `` ends the arguments; a log without escapes is still read
    rightly unless a string ends like a line.
    """
    end = text.rfind(") = ", start)
    if end >= 0:
        tail = text[end + 4 :].rstrip()
        if tail.isalnum():
            return text[start:end], tail, ""
        if match := _TAIL.fullmatch(tail):
            return text[start:end], match[1], match[2] or ""
    rest = text[start:].rstrip()
    return (rest[:-1], "", "") if rest.endswith(")") else None


def _unknown(text: str, seq: int) -> Event:
    return Event(seq=seq, kind="unknown", time_ns=0, pid=0, tid=0, raw=text_of(text[:MAX_RAW].encode("latin-1")))


def _lines(file: BinaryIO) -> Iterator[tuple[bytes, bool]]:
    """Yield lines with their newline and whether they were cut at MAX_LINE; memory stays bounded without newlines."""
    rest, skipping = b"", False
    while block := file.read(_BLOCK):
        if skipping:
            _, newline, block = block.partition(b"\n")
            if not newline:
                continue
            skipping = False
        lines = (rest + block).split(b"\n")
        rest = lines.pop()
        for line in lines:
            yield line + b"\n", False
        if len(rest) > MAX_LINE:
            yield rest[:MAX_LINE], True
            rest, skipping = b"", True
    if rest:
        yield rest, False


def parse(path: Path, counts: Counts | None = None) -> Iterator[Event]:
    """Read a log line by line in bounded memory; ``counts`` is filled on the way. Raises TraceError if unreadable."""
    counts = Counts() if counts is None else counts
    try:
        file = path.open("rb")
    except OSError as error:
        raise TraceError(f"cannot read the trace {path.name}", error.strerror or str(error)) from error
    with file:
        for line, cut in _lines(file):
            if line.isspace():
                continue
            event = parse_line(line, counts.lines)
            if cut:
                event = _unknown(line.decode("latin-1"), counts.lines)
                counts.cut += 1
            counts.lines += 1
            if event.kind == "unknown":
                counts.unknown += 1
            yield event
