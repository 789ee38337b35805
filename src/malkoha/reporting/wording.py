"""How facts of a report are put into words, in report.html and on the terminal alike.

In: values of report.json as plain JSON types, any of which may be absent or of a wrong type in an old report.
Out: short English texts. Nothing here escapes: who shows a text makes it safe for the place where it is shown.
"""

from __future__ import annotations

import re
import signal
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any, Literal

from malkoha.trace import syscalls

Weight = Literal["loss", "note"]
"""How bad a gap is: something is missing of what happened, or it is only not shown here."""

_CONSTANT = re.compile(
    r"-?[0-9]+(?:<.*>)?|-?0x[0-9a-fA-F]+|[A-Z][A-Z0-9_]*(?:[|&][A-Za-z0-9_]+)*|0o?[0-7]+|~?\[[A-Z0-9_|~ ]*\]", re.DOTALL
)
_TEXTS = frozenset({"path", "str", "in", "out", "iov", ">iov", "argv", "envp"})


def mapping(value: Any) -> Mapping[str, Any]:
    """Give ``value`` if it is an object, else an empty one."""
    return value if isinstance(value, Mapping) else {}


def items(value: Any) -> list[Any]:
    """Give ``value`` if it is a list, else an empty one."""
    return value if isinstance(value, list) else []


def number(value: Any, default: float = 0) -> float:
    """Give ``value`` if it is a finite number, else ``default``."""
    if isinstance(value, (int, float)) and not isinstance(value, bool) and -1e18 < value < 1e18:
        return value
    return default


def count(value: Any, one: str, many: str = "") -> str:
    """Say ``1 call`` or ``2,000 calls``."""
    whole = int(number(value))
    return f"{whole:,} {one if whole == 1 else many or one + 's'}"


def size(value: Any) -> str:
    """Say a number of bytes with the unit that suits it (powers of 1,000)."""
    amount = number(value)
    if amount < 1000:
        return f"{int(amount)} B"
    for unit in ("kB", "MB", "GB"):
        amount /= 1000
        if amount < 999.5 or unit == "GB":
            break
    return f"{amount:.3g} {unit}" if amount < 1000 else f"{amount:,.0f} {unit}"


def duration(value: Any) -> str:
    """Say seconds with three digits, in the unit that suits; empty when unknown."""
    if value is None:
        return ""
    seconds = number(value)
    if seconds and abs(seconds) < 0.0005:
        return f"{seconds * 1e6:.3g} µs"
    if abs(seconds) < 1:
        return f"{seconds * 1e3:.3g} ms" if seconds else "0 s"
    if abs(seconds) < 60:
        return f"{seconds:.3g} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s"
    return f"{minutes // 60} h {minutes % 60} min"


def signal_name(value: Any) -> str:
    """Name a signal of Linux on x86."""
    try:
        return signal.Signals(int(number(value))).name
    except ValueError:
        return f"signal {int(number(value))}"


def exit_text(code: Any, killed_by: Any, ended: Any) -> str:
    """Say how a process ended: ``0``, ``1``, ``SIGKILL``, ``running``, or empty when the trace does not tell."""
    if killed_by:
        return signal_name(killed_by)
    if code is not None:
        return str(int(number(code)))
    return "running" if ended is None else ""


def wait_status(status: Any) -> str:
    """Say a wait(2) status: ``exit status 1``, ``killed by SIGSEGV``; empty when unknown."""
    if status is None:
        return ""
    value = int(number(status))
    if value & 0x7F:
        return f"killed by {signal_name(value & 0x7F)}"
    return f"exit status {value >> 8 & 0xFF}"


def value_text(value: Any, *, text: bool | None = None, depth: int = 0) -> str:
    """Show one argument: texts in quotes, constants and numbers bare; ``text`` tells which it is where known."""
    if value is None:
        return "?"
    if isinstance(value, Mapping):
        inner = (
            ", ".join(f"{key}={value_text(item, depth=depth + 1)}" for key, item in value.items())
            if depth < 8
            else "..."
        )
        return "{" + inner + "}"
    if isinstance(value, list):
        inner = ", ".join(value_text(item, text=text, depth=depth + 1) for item in value) if depth < 8 else "..."
        return "[" + inner + "]"
    shown = str(value)
    bare = _CONSTANT.fullmatch(shown) is not None if text is None else not text
    return shown if bare else '"' + shown.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") + '"'


@cache
def argument_kinds(api: str) -> str:
    """Tell for each argument whether it is a text (t) or not (c); empty for a call that is not in the table."""
    call = syscalls.by_name().get(api)
    return "".join("t" if argument.kind in _TEXTS else "c" for argument in call.arguments) if call else ""


def call_text(call: Mapping[str, Any], limit: int = 300) -> str:
    """Show a call in one line: ``openat(dirfd=AT_FDCWD, pathname="/etc/passwd") = 3``, cut at ``limit`` characters."""
    names = items(call.get("argument_names"))
    parts = []
    kinds = argument_kinds(str(call.get("api", "")))
    for position, value in enumerate(mapping(call.get("arguments")).values()):
        name = f"{names[position]}=" if position < len(names) else ""
        text = kinds[position] == "t" if position < len(kinds) else None
        parts.append(name + shorten(value_text(value, text=text), 120))
    line = f"{call.get('api', '?')}({', '.join(parts)})"
    if returned := call.get("return_value"):
        line += f" = {returned}"
    if status := call.get("status"):
        line += f" {status}"
    return shorten(line, limit)


def shorten(text: str, limit: int) -> str:
    """Cut a text at ``limit`` characters, its end replaced by an ellipsis."""
    return text if len(text) <= limit else text[: max(0, limit - 1)] + "…"


ENDED = {
    "all processes gone": "ended when its last process was gone",
    "timeout": "stopped at the timeout, while the sample was still at work",
    "machine off": "ended when the machine went off",
    "imported": "was not made here: its trace was imported",
    "tracer stopped": "ended when the tracer was stopped from inside the guest",
    "interrupted": "interrupted by the user",
}
_OMITTED = {
    "processes": ("process is", "processes are", "not in the report"),
    "calls": ("call is", "calls are", "not in the report, only in events.parquet"),
    "summary_entries": ("entry of the summary", "entries of the summary", "did not fit"),
    "texts": ("text of a process", "texts of processes", "cut short"),
    "images": ("program that a process ran", "programs that processes ran", "not listed"),
}


TAMPERING = 12
"""Lines about what the sample did to its watchers that are shown; report.json has more."""

_CAUSES = {
    "exec": "a file that the sample wrote",
    "script": "a script that the sample wrote",
    "library": "loaded a library that the sample wrote",
    "ptrace": "the sample attached to it",
    "memory": "the sample wrote into it",
    "cron": "a cron job of the sample",
    "at": "an at job of the sample",
    "udev": "a udev rule of the sample",
    "unit": "a unit of the sample",
}


def cause_text(cause: Any) -> str:
    """Say why a process is shown that is no descendant of the sample; empty for those that are."""
    if not isinstance(cause, Mapping):
        return ""
    why = str(cause.get("why", ""))
    return f"indirect: {_CAUSES.get(why, why)}"


def gaps(report: Mapping[str, Any]) -> list[tuple[Weight, str]]:
    """List what is missing of the run or of its report: lost, not understood, cut off, failed."""
    return [*_losses(report), *_cuts(report)]


def _losses(report: Mapping[str, Any]) -> Iterator[tuple[Weight, str]]:
    own = mapping(report.get("malkoha"))
    trace = mapping(own.get("trace"))
    if lost := number(trace.get("lost")):
        yield "loss", f"{count(lost, 'event')} could not be delivered and {'is' if lost == 1 else 'are'} lost"
    if unknown := number(trace.get("not_understood")):
        yield "loss", f"{count(unknown, 'record')} could not be understood; events.parquet keeps them raw"
    ended = str(trace.get("ended", ""))
    if ended and ended != "all processes gone":
        yield "loss", f"the run {ENDED.get(ended, f'ended: {ended}')}"
    begin = number(mapping(report.get("info")).get("started"))
    for entry in map(mapping, items(own.get("tampering"))[:TAMPERING]):
        when = max(number(entry.get("time")) - begin, 0)
        who = f"process {int(number(entry.get('pid')))} " if number(entry.get("key")) >= 0 else ""
        yield "note", f"{who}{entry.get('what', '')} ({when:.1f} s after the start)"
    seen: dict[str, None] = {}
    for error in [*items(own.get("errors")), *items(mapping(report.get("debug")).get("errors"))]:
        seen[str(error) or "an error without a text"] = None
    for error in seen:
        yield "loss", error


def _cuts(report: Mapping[str, Any]) -> Iterator[tuple[Weight, str]]:
    own = mapping(report.get("malkoha"))
    for name, amount in mapping(own.get("omitted")).items():
        if name in ("launcher_calls", "setup_calls") or not number(amount):
            continue
        one, many, rest = _OMITTED.get(str(name), (f"of {name}", f"of {name}", "left out"))
        yield "note", f"{count(amount, one, many)} {rest}"
    output = mapping(own.get("output"))
    for stream, title in (("stdout", "standard output"), ("stderr", "standard error")):
        shown = len(str(output.get(stream, "")).encode("utf-8", "surrogatepass"))
        total = number(output.get(f"{stream}_bytes"))
        # Bytes that are not UTF-8 take more room as text than they did, so less text than bytes is always a cut.
        if total > shown:
            yield "note", f"of {size(total)} of {title} the report holds the first {size(shown)}"
