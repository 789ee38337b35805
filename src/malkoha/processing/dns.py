"""Find the question in a DNS query whose bytes went through a call (RFC 1035, section 4.1)."""

from __future__ import annotations

import re

# QDCOUNT 1, no answers, no authorities, at most an OPT record, then labels and the root. The first four bytes (id and
# flags) are not looked at: bytes that are not UTF-8 may stand as one character or as two in a trace's text.
_QUESTION = re.compile("\x00\x01\x00\x00\x00\x00\x00[\x00\x01]((?:[\x01-\x3f][^\x00]*?)+)\x00\x00")
_LABEL = re.compile(r"[\x21-\x7e\u0080-\U0010ffff]{1,63}")


def question(payload: str) -> str | None:
    """Give the name that a query asks for, None when ``payload`` is no query or the trace cut it."""
    for found in _QUESTION.finditer(payload[:1024]):
        labels, rest = [], found[1]
        while rest:
            length = ord(rest[0])
            label, rest = rest[1 : 1 + length], rest[1 + length :]
            if length > 63 or len(label) != length or not _LABEL.fullmatch(label):
                break
            labels.append(label)
        else:
            if labels and sum(map(len, labels)) < 254:
                return ".".join(labels)
    return None


def answers(payload: str) -> list[tuple[str, str]]:
    """Give (IPv4 address, name asked for) of an answer; empty when bytes cannot be told from the trace's text."""
    name = question_of_answer(payload)
    if name is None:
        return []
    found = []
    for record in _ADDRESS.finditer(payload[:1024]):
        numbers = [ord(character) for character in record[1]]
        if len(numbers) == 4 and all(number < 256 for number in numbers):
            found.append((".".join(map(str, numbers)), name))
    return found


def question_of_answer(payload: str) -> str | None:
    """Give the name that an answer repeats."""
    found = _ANSWERED.search(payload[:1024])
    return question("\x00\x01" + "\x00" * 6 + found[1] + "\x00\x00") if found else None


_ANSWERED = re.compile(
    "^..[\x80-\uffff][^\x00]?.?\x00\x01\x00.\x00.\x00.((?:[\x01-\x3f][^\x00]*?)+)\x00\x00", re.DOTALL
)
_ADDRESS = re.compile("\x00\x01\x00\x01....\x00\x04(.{4})", re.DOTALL)
"""Type A, class IN, time to live, length 4, address (RFC 1035, section 4.1.3)."""
