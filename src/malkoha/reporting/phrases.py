"""Entries of the summary as phrases that an analyst reads: named facts in, one line of text out.

Source of the facts: docs/report.md, "The categories of the summary". What is not known here is shown as it is.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

from malkoha.reporting.wording import count, duration, number, size

Facts = Mapping[str, Any]


def phrase(category: str, entry: Any) -> str:
    """Give the phrase of one entry; a pair stands with an arrow, facts of an unknown category by their names."""
    if isinstance(entry, list):
        return " → ".join(map(str, entry))
    if not isinstance(entry, Mapping):
        return str(entry)
    maker = _PHRASES.get(category)
    try:
        if maker is not None:
            return " ".join(word for word in maker(entry).split(" ") if word)
    except (KeyError, TypeError):
        pass
    return "  ".join(f"{key} {item}" for key, item in entry.items())


def _result(facts: Facts) -> str:
    result = str(facts.get("result", "done"))
    return "" if result == "done" else f"· {result}"


def _times(facts: Facts) -> str:
    calls = number(facts.get("calls"))
    return f"· {count(calls, 'time')}" if calls > 1 else ""


def _connection(facts: Facts) -> str:
    way = "accepted on" if facts["direction"] == "in" else "to"
    failed, attempts = number(facts.get("failed")), number(facts.get("attempts"))
    words = [f"{facts['protocol']} {way} {facts['endpoint']}"]
    if attempts > 1 or failed:
        words.append(f"{count(attempts, 'attempt')}{f', {int(failed)} failed' if failed else ''}")
    if facts["sent"] or facts["received"]:
        words.append(f"sent {size(facts['sent'])}, received {size(facts['received'])}")
    return " · ".join(words)


def _traffic(facts: Facts) -> str:
    parts = [f"{word} {size(facts[name])}" for name, word in (("read", "read"), ("written", "wrote")) if facts[name]]
    return f"{facts['path']} · {', '.join(parts)}"


def _timing(facts: Facts) -> str:
    asked, took = facts.get("asked_s"), facts.get("took_s")
    words = [f"{facts['what']} ({facts['by']}), {count(facts['calls'], 'time')}"]
    if asked is not None:
        words.append(f"{duration(asked)} in all")
    if took is not None and (asked is None or abs(number(took) - number(asked)) > 0.1 * max(number(asked), 0.01)):
        words.append(f"took {duration(took)}")
    return " · ".join(words)


def _moment(seconds: Any) -> str:
    text = str(seconds)
    if text.isdecimal() and len(text) <= 10:
        return datetime.fromtimestamp(int(text), UTC).strftime("%Y-%m-%d %H:%M UTC")
    return text


def _set(value: Any) -> str:
    return "" if str(value) == "NULL" else str(value)


def _whom(facts: Facts) -> str:
    pid, process = str(facts.get("pid", "")), str(facts.get("process", ""))
    return f"→ {process} {'' if pid.startswith(('-', '0')) else pid}" if pid else ""


_PHRASES: dict[str, Callable[[Facts], str]] = {
    "persistence": lambda facts: f"{facts['mechanism']}: {facts['path']} · trigger: {facts['trigger']}",
    "permissions": lambda facts: f"{facts['mode']} {facts['path']} {'· ' + facts['means'] if facts['means'] else ''}",
    "ownership": lambda facts: f"{facts['path']} · owner {facts['owner']}, group {facts['group']}",
    "links": lambda facts: f"{facts['path']} → {facts['target']} {'(hard)' if facts['kind'] == 'hard' else ''}",
    "attributes": lambda facts: f"{facts['path']} · {facts['what']} {facts['name']}",
    "timestamps": lambda facts: f"{facts['path']} · {_moment(facts['modified'])}",
    "self_deletion": lambda facts: str(facts["path"]),
    "watches": lambda facts: f"{facts['path']} · {facts['what']}",
    "file_traffic": _traffic,
    "connections": _connection,
    "conversations": lambda facts: (
        f"{facts['from']} → {facts['to']} · {facts['via']} {facts['place']} · {size(facts['bytes'])}"
    ),
    "listens": lambda facts: f"{facts['protocol']} {facts['endpoint']} · {facts['what']}",
    "accepts": lambda facts: f"{facts['endpoint']} ← {facts['peer']}",
    "unix_sockets": lambda facts: f"{facts['path']} {'· ' + facts['error'] if facts['error'] else ''}",
    "raw_sockets": lambda facts: f"{facts['family']} {facts['type']} {facts['protocol']} · {facts['what']}",
    "fileless": lambda facts: f"{facts['what']}: {facts['path']} {'· ' + facts['command'] if facts['command'] else ''}",
    "environment": lambda facts: f"{facts['name']}={facts['value']}",
    "claimed_names": lambda facts: f"{facts['program']} calls itself {facts['claims']}",
    "users_groups": lambda facts: f"{facts['what']}: {facts['path']}",
    "identity": lambda facts: f"{facts['call']} {facts['to']} {_result(facts)}",
    "capabilities": lambda facts: f"{facts['what']}: {facts['path']}",
    "memory_executable": lambda facts: f"{facts['what']} {facts['path']} {_times(facts)}",
    "ptrace": lambda facts: f"{facts['request']} {_whom(facts)} {_times(facts)} {_result(facts)}",
    "signals": lambda facts: f"{facts['signal']} {_whom(facts)} {_times(facts)} {_result(facts)}",
    "kernel_modules": lambda facts: f"{facts['what']} {facts['name']} {facts['options']} {_result(facts)}",
    "bpf": lambda facts: f"{facts['command']} {_times(facts)} {_result(facts)}",
    "mounts": lambda facts: (
        f"{facts['what']} {facts['source']} {'→ ' if facts['source'] else ''}{facts['target']} {_set(facts['type'])} "
        f"{facts['flags']} {_result(facts)}"
    ),
    "namespaces": lambda facts: f"{facts['what']} {facts['kinds']} {_result(facts)}",
    "process_settings": lambda facts: f"{facts['what']} {facts['value']}",
    "machine": lambda facts: f"{facts['what']} {facts['value']} {_result(facts)}",
    "timing": _timing,
    "hammering": lambda facts: f"{facts['api']} × {int(facts['calls']):,} by {facts['process']}",
    "asynchronous": lambda facts: f"{facts['what']} {_times(facts)}",
}
