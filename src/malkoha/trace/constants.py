"""Names of the kernel's numbers: flag sets, enumerations, signals and errors, and how each kind of number is shown.

Flag sets are shown as ``A|B|0x400``: what has no name stays as a number. Source: include/uapi of Linux 6.12.
"""

from __future__ import annotations

import errno as _errno
from collections.abc import Callable
from functools import cache, lru_cache
from importlib.resources import files

FLAGS: dict[str, dict[int, str]] = {}
ENUMS: dict[str, dict[int, str]] = {}


def _read() -> None:
    target: dict[int, str] = {}
    for line in files(__package__).joinpath("names.tbl").read_text(encoding="ascii").splitlines():
        kind, _, name = line.partition(" ")
        if kind in ("flags", "enum") and "=" not in line:
            target = (FLAGS if kind == "flags" else ENUMS).setdefault(name, {})
        elif line and kind != "#":
            for item in line.split(" "):
                word, _, value = item.partition("=")
                target[int(value, 0)] = word


_read()
SIGNALS = ENUMS["signal"] | {n: f"SIGRT_{n - 32}" for n in range(32, 65)}

ERRNOS = dict(_errno.errorcode) | {
    11: "EAGAIN",
    35: "EDEADLK",
    95: "EOPNOTSUPP",
    512: "ERESTARTSYS",
    513: "ERESTARTNOINTR",
    514: "ERESTARTNOHAND",
    515: "ENOIOCTLCMD",
    516: "ERESTART_RESTARTBLOCK",
}
"""Numbers from 512 on never reach user space: the kernel restarts the call or shows EINTR."""


@cache
def _widest_first(name: str) -> list[tuple[int, str]]:
    return sorted(FLAGS[name].items(), key=lambda item: -item[0].bit_count())


def flags(value: int, name: str, zero: str = "0") -> str:
    """Show a flag set; names that cover several bits (O_SYNC) win over their parts."""
    words, rest = [], value
    for bits, word in _widest_first(name):
        if rest & bits == bits:
            words.append((bits, word))
            rest &= ~bits
    text = [word for _, word in sorted(words)]
    if rest:
        text.append(hex(rest))
    return "|".join(text) or zero


def enum(value: int, name: str) -> str:
    """Show one of an enumeration's values; one that has no name stays a number."""
    return ENUMS[name].get(value, str(value) if value < 4096 else hex(value))


def _open(value: int) -> str:
    access = ("O_RDONLY", "O_WRONLY", "O_RDWR", "O_ACCMODE")[value & 3]
    rest = flags(value & ~3, "open", "")
    return f"{access}|{rest}" if rest else access


def _clone(value: int) -> str:
    """Low byte of clone(2)'s flags: the signal at the child's end."""
    signal = value & 0x7F
    words = [flags(value & ~0x7F, "clone", "")] if value & ~0x7F else []
    if signal:
        words.append(SIGNALS.get(signal, str(signal)))
    return "|".join(words) or "0"


def _socktype(value: int) -> str:
    kind = enum(value & 0xF, "socktype_base")
    rest = flags(value & ~0xF, "fdflags", "")
    return f"{kind}|{rest}" if rest else kind


def _futex(value: int) -> str:
    text = enum(value & 0x7F, "futex_base")
    if value & 0x80:
        text += "_PRIVATE"
    return text + "|FUTEX_CLOCK_REALTIME" if value & 0x100 else text


def _sigset(value: int) -> str:
    return "[" + "|".join(SIGNALS[n] for n in range(1, 65) if value >> (n - 1) & 1) + "]"


def _infinite(value: int) -> str:
    return "RLIM_INFINITY" if value in (0xFFFFFFFF, _LONG) else str(value)


def _enum_and_flags(value: int, low: int, names: str, bits: str) -> str:
    """Show a number whose low part is one of ``names`` and whose rest is flags."""
    rest = flags(value & ~low, bits, "")
    text = enum(value & low, names)
    return f"{text}|{rest}" if rest else text


def _signed(value: int) -> str:
    return str(value - 0x1_0000_0000 if value & 0x8000_0000 else value)


def _quota(value: int) -> str:
    return f"QCMD({enum(value >> 8 & 0xFFFFFF, 'quota_cmd')}, {enum(value & 0xFF, 'quota_type')})"


def _priority(value: int) -> str:
    return f"IOPRIO_PRIO_VALUE({enum(value >> 13 & 0xFFFF, 'ioprio_class')}, {value & 0x1FFF})"


def _ethernet(value: int) -> str:
    """Show a protocol of packet(7), which stands in the order of the network."""
    return "htons(" + enum((value & 0xFF) << 8 | value >> 8 & 0xFF, "eth_p") + ")"


def capabilities(value: int) -> str:
    """Show a set of capabilities by name; all that this kernel has are ``ALL``."""
    if value == CAPABILITIES:
        return "ALL"
    words = [enum(bit, "cap") for bit in range(64) if value >> bit & 1]
    return "|".join(words) or "0"


CAPABILITIES = sum(1 << bit for bit in ENUMS["cap"])
_LONG = (1 << 64) - 1

_SPECIAL: dict[str, Callable[[int], str]] = {
    "d": str,
    "x": hex,
    "o": lambda value: f"0{value:o}" if value else "0",
    "open": _open,
    "open_bits": lambda value: flags(value, "open"),
    "clone": _clone,
    "socktype": _socktype,
    "futex": _futex,
    "sigset": _sigset,
    "sigmask32": _sigset,
    "sig": lambda value: SIGNALS.get(value, _signed(value)),
    "handler": lambda value: {0: "SIG_DFL", 1: "SIG_IGN"}.get(value, hex(value)),
    "access": lambda value: flags(value, "access", "F_OK"),
    "prot": lambda value: flags(value, "prot", "PROT_NONE"),
    "rlim": _infinite,
    "errno": lambda value: ERRNOS.get(value, str(value)),
    "capversion": lambda value: enum(value, "capversion_names"),
    "caps": capabilities,
    "stamp": lambda value: {0x3FFFFFFF: "UTIME_NOW", 0x3FFFFFFE: "UTIME_OMIT"}.get(value, str(value)),
    "persona": lambda value: (
        hex(value) if value == 0xFFFFFFFF else _enum_and_flags(value, 0xFF, "persona_base", "persona")
    ),
    "mpol": lambda value: _enum_and_flags(value, 0xFFF, "mpol_base", "mpol_mode"),
    "schedpol": lambda value: _enum_and_flags(value, 0x3FFFFFFF, "sched", "sched_reset"),
    "quota": _quota,
    "keyid": lambda value: ENUMS["keyring"].get(value, _signed(value)),
    "ioprio": _priority,
    "dev": hex,
    "key": lambda value: hex(value) if value else "IPC_PRIVATE",
    "eth_p_be": _ethernet,
    "fan_mask64": lambda value: flags(value, "fan_mask"),
}


def known(view: str) -> bool:
    """Tell whether ``show`` has a form or names for this view."""
    return view in _SPECIAL or view in FLAGS or view in ENUMS


def show(value: int, view: str) -> str:
    """Show one number by its view: a letter, a special form, or the name of a flag set or an enumeration."""
    return shown(view)(value)


@cache
def shown(view: str) -> Callable[[int], str]:
    """Return what shows the numbers of a view; what takes looking up is remembered."""
    if view in ("d", "x"):
        return _SPECIAL[view]
    special = _SPECIAL.get(view)
    if special is not None:
        return lru_cache(2048)(special)
    if view in FLAGS:
        return lru_cache(2048)(lambda value: flags(value, view))
    return lru_cache(2048)(lambda value: enum(value, view))
