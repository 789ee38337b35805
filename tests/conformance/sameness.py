"""Compare what the tracer shows of one argument with what strace shows: both are parsed down to values."""

from __future__ import annotations

import re
import termios
from typing import Any

from malkoha.trace import constants
from malkoha.trace.records import text
from tests.conformance.known import LEFT_OUT
from tests.conformance.strace_lines import Changed, Word

_WORDS: dict[str, int] = {
    word: value for words in (*constants.FLAGS.values(), *constants.ENUMS.values()) for value, word in words.items()
} | {
    "NULL": 0, "S_IFREG": 0o100000, "S_IFDIR": 0o40000, "S_IFCHR": 0o20000, "S_IFBLK": 0o60000, "S_IFIFO": 0o10000,
    "S_IFLNK": 0o120000, "S_IFSOCK": 0o140000, "AT_STATX_SYNC_AS_STAT": 0, "RLIM64_INFINITY": (1 << 64) - 1,
    "RLIM_INFINITY": (1 << 64) - 1, "O_RDONLY": 0, "O_ACCMODE": 3, "PROT_NONE": 0, "F_OK": 0, "SIG_DFL": 0,
    "SIG_IGN": 1,
    "S_ISUID": 0o4000, "S_ISGID": 0o2000, "S_ISVTX": 0o1000, "IPC_PRIVATE": 0, "AT_FDCWD": -100, "IPC_64": 0x100,
    "MAP_FILE": 0, "FAN_CLASS_NOTIF": 0, "LSMT_ROOT": (1 << 64) - 1, "FUTEX_BITSET_MATCH_ANY": 0xFFFFFFFF,
    "ARPHRD_NETROM": 0, "PACKET_HOST": 0, "_IOC_NONE": 0, "_IOC_WRITE": 1, "_IOC_READ": 2, "N_TTY": 0,
}  # fmt: skip
_BPF = {
    word: value
    for words in (
        "LD LDX ST STX ALU JMP RET MISC", "W H B", "IMM ABS IND MEM LEN MSH", "K X A", "JA JEQ JGT JGE JSET",
    )
    for value, word in enumerate(words.split())
}  # fmt: skip
_BPF_SHIFT = dict.fromkeys(("W", "H", "B", "K", "X"), 3) | dict.fromkeys(("IMM", "ABS", "IND", "MEM", "LEN", "MSH"), 5)
_BPF_SHIFT |= {"A": 3} | dict.fromkeys(("JA", "JEQ", "JGT", "JGE", "JSET"), 4)
_WORDS |= {f"BPF_{word}": value << _BPF_SHIFT.get(word, 0) for word, value in _BPF.items()}
_WORDS |= {name: value for name, value in vars(termios).items() if isinstance(value, int) and name not in _WORDS}
_WORDS |= {word: number for number, word in constants.SIGNALS.items()}
_ERRNOS = {name: number for number, name in constants.ERRNOS.items()}
_CALLED = re.compile(r"(htons|htonl|makedev|_IOC|BPF_STMT|if_nametoindex)\((.*)\)")


def value_of(word: str) -> int | None:
    """Compute an expression of numbers and known names; None when it is something else."""
    word = word.strip()
    called = _CALLED.fullmatch(word)
    if called:
        return _called(called[1], called[2])
    if "|" in word:
        parts = [value_of(part) for part in word.split("|")]
        total = 0
        for part in parts:
            if part is None:
                return None
            total |= part
        return total
    for sign in ("<<", "*"):
        if sign in word:
            left, right = (value_of(part) for part in word.split(sign, 1))
            if left is None or right is None:
                return None
            return left << right if sign == "<<" else left * right
    if re.fullmatch(r"0[0-7]+", word):
        return int(word, 8)
    if re.fullmatch(r"-?\d+|0x[0-9a-fA-F]+", word):
        return int(word, 0)
    if word.startswith("-E"):
        return -_ERRNOS[word[1:]] if word[1:] in _ERRNOS else None
    return _WORDS.get(word, _WORDS.get(word.removesuffix("_OLD")))


def _called(name: str, inside: str) -> int | None:
    if name == "if_nametoindex":
        return 1 if inside in (r'"\x6c\x6f"', '"lo"') else None
    parts = [value_of(part) for part in inside.split(",")]
    numbers = [part for part in parts if part is not None]
    if len(numbers) < len(parts):
        return None
    if name == "makedev":
        return numbers[0] << 8 | numbers[1]
    if name == "_IOC":
        return numbers[0] << 30 | numbers[3] << 16 | numbers[1] << 8 | numbers[2]
    return numbers[0]


def signals_in(word: str) -> set[int] | None:
    """Read a set of signals as either side writes it; None when it is none."""
    found = re.fullmatch(r"(~?)\[([A-Z0-9_ |]*)\]", word)
    if found is None:
        return None
    numbers = set()
    for word_ in re.split(r"[ |]", found[2]):
        if word_:
            name = "SIG" + word_.removeprefix("SIG").replace("RTMIN", "RT_0")
            if name not in _WORDS:
                return None
            numbers.add(_WORDS[name])
    return set(range(1, 65)) - numbers if found[1] else numbers


def same_number(one: int | None, other: int | None) -> bool:
    """Compare two words of 32 or 64 bits, whatever their sign."""
    if one is None or other is None:
        return False
    return (one - other) % (1 << 64) == 0 or (min(one, other) >= -(1 << 31) and (one - other) % (1 << 32) == 0)


def same(ours: Any, theirs: Any, raw: int | None = None) -> bool:
    """Tell whether both sides mean the same; ``raw`` is the word that was passed, where it is known."""
    if _changes(theirs):
        before, after = _at(theirs, "before"), _at(theirs, "after")
        if isinstance(ours, dict) and ours.keys() == {"entry", "return"}:
            return same(ours["entry"], _sizes(before)) and same(ours["return"], after)
        return same(ours, after) or same(ours, before)
    if isinstance(ours, dict) and ours.keys() == {"entry", "return"}:
        return same(ours["entry"], theirs, raw) or same(ours["return"], theirs, raw)
    if isinstance(theirs, Word):
        return _same_word(ours, theirs, raw)
    if isinstance(theirs, bytes):
        return _same_text(ours, theirs)
    if isinstance(theirs, list):
        return _same_list(ours, theirs)
    return _same_members(ours, theirs)


def _changes(tree: Any) -> bool:
    if isinstance(tree, Changed):
        return True
    items = tree.values() if isinstance(tree, dict) else tree if isinstance(tree, list) else ()
    return any(_changes(item) for item in items)


def _at(tree: Any, when: str) -> Any:
    """Give the tree as it was ``before`` or ``after`` the call."""
    if isinstance(tree, Changed):
        return _at(getattr(tree, when), when)
    if isinstance(tree, dict):
        return {name: _at(item, when) for name, item in tree.items()}
    return [_at(item, when) for item in tree] if isinstance(tree, list) else tree


def _sizes(tree: Any) -> Any:
    """Of a file handle strace tells before the call only how large it may be."""
    return {"handle_bytes": tree["handle_bytes"]} if isinstance(tree, dict) and "handle_bytes" in tree else tree


def _same_word(ours: Any, theirs: Word, raw: int | None) -> bool:
    number = value_of(theirs)
    if raw is not None and number is not None and same_number(raw, number):
        return True
    if isinstance(ours, list):
        return ours == theirs.strip("[]").split()
    if isinstance(ours, dict):
        return str(theirs) in ("UTIME_OMIT", "UTIME_NOW") and ours.get("tv_nsec") == theirs
    if not isinstance(ours, str):
        return False
    if theirs.startswith(("BPF_STMT(", "BPF_JUMP(")):
        return _instruction(theirs) == ours
    if ours == theirs or ours == theirs.strip("{}"):
        return True
    signals = signals_in(theirs)
    if signals is not None and signals == signals_in(ours):
        return True
    quoted = re.fullmatch(r'inet_addr\("(.*)"\)', theirs)
    if quoted:
        return ours == (bytes.fromhex(quoted[1].replace("\\x", "")).decode() if "\\x" in quoted[1] else quoted[1])
    if "CAP_" in theirs or ours == "ALL":
        return _capabilities(ours) == _capabilities(theirs)
    return same_number(value_of(ours), number)


def _instruction(theirs: str) -> str | None:
    """Show BPF_STMT(code, k) and BPF_JUMP(code, k, jt, jf) as its four fields."""
    found = re.fullmatch(r"BPF_(STMT|JUMP)\((.*)\)", theirs)
    numbers = [value_of(part) for part in found[2].split(",")] if found else []
    if found is None or None in numbers:
        return None
    code, k, *jumps = numbers
    true, false = jumps or (0, 0)
    return f"{code:#x} {true} {false} {k:#x}"


def _capabilities(word: str) -> set[str] | None:
    if word == "ALL":
        return set(constants.ENUMS["cap"].values())
    return {part.removeprefix("1<<") for part in word.split("|") if part not in ("0", "")}


def _same_text(ours: Any, theirs: bytes) -> bool:
    if isinstance(ours, dict) and ours and len(theirs) % len(ours) == 0:
        size = len(theirs) // len(ours)
        pieces = [theirs[i : i + size] for i in range(0, len(theirs), size)]
        return [value_of(str(item)) for item in ours.values()] == [int.from_bytes(piece, "little") for piece in pieces]
    if isinstance(ours, list) and all(isinstance(item, str) for item in ours):
        return len(ours) == 1 and same_number(value_of(ours[0]), int.from_bytes(theirs, "little"))
    if not isinstance(ours, str):
        return False
    shown = text(theirs)
    cut = ours.rsplit("...", 1)[0] if "..." in ours else None
    begins = cut is not None and (shown.startswith(cut) or cut.startswith(shown))
    return ours == shown or ours == theirs.hex() or begins or (ours.rstrip("\0") == shown.rstrip("\0"))


def _same_list(ours: Any, theirs: list[Any]) -> bool:
    if isinstance(ours, str):
        if not theirs:
            return ours in ("[]", "")
        vectors = [item for item in theirs if isinstance(item, dict) and "iov_base" in item]
        if theirs and len(vectors) == len(theirs):
            pieces = [item["iov_base"] for item in vectors]
            return all(isinstance(piece, bytes) for piece in pieces) and _same_text(ours, b"".join(pieces))
        return len(theirs) == 1 and same(ours, theirs[0])
    if not isinstance(ours, list):
        return len(theirs) == 1 and same(ours, theirs[0])
    return len(ours) == len(theirs) and all(same(one, other) for one, other in zip(ours, theirs, strict=True))


def _same_members(ours: Any, theirs: dict[Any, Any]) -> bool:
    if isinstance(ours, list):
        if len(ours) == 1 and isinstance(ours[0], dict):
            return same(ours[0], theirs)
        values = theirs["val"] if theirs.keys() == {"val"} else list(theirs.values())
        return len(ours) == len(values) and all(same(one, other) for one, other in zip(ours, values, strict=True))
    if isinstance(ours, str):
        for name in ("sival_ptr", "u64", "sigmask", "tv_sec"):
            if name in theirs:
                return same(ours, theirs[name])
        return all(name in LEFT_OUT for name in theirs)
    if not isinstance(ours, dict):
        return False
    if "msg_iov" in theirs or "msg_hdr" in theirs:
        return _same_message(ours, theirs.get("msg_hdr", theirs))
    if "sll_addr" in ours and isinstance(theirs.get("sll_addr"), list):
        theirs = theirs | {"sll_addr": Word(":".join(theirs["sll_addr"]))}
    return all(
        name in LEFT_OUT or (same(ours[name], value) if name in ours else _elsewhere(ours, name, value))
        for name, value in theirs.items()
    )


def _elsewhere(ours: dict[str, Any], name: Any, value: Any) -> bool:
    """Look for members that the two sides name or nest in another way."""
    if isinstance(name, str) and name.startswith("ifr_") and "ifr_ivalue" in ours:
        return same(ours["ifr_ivalue"], value)
    if name == "si_ptr":
        return same(ours.get("si_value"), value)
    return isinstance(value, dict) and all(same(ours.get(inner), item) for inner, item in value.items())


def _same_message(ours: dict[str, Any], theirs: dict[str, Any]) -> bool:
    if "msg_name" in ours and not same(ours["msg_name"], theirs.get("msg_name")):
        return False
    vectors = theirs.get("msg_iov")
    pieces = [item.get("iov_base") for item in vectors] if isinstance(vectors, list) else []
    content = b"".join(piece for piece in pieces if isinstance(piece, bytes))
    if "data" in ours and not _same_text(ours["data"], content[: int(ours["length"])]):
        return False
    control = theirs.get("msg_control")
    if isinstance(control, list) and control:
        return f"SCM_RIGHTS[{' '.join(control[0]['cmsg_data'])}]" == ours.get("control")
    return True
