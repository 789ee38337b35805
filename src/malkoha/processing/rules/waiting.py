"""Time and memory: sleeps, alarms and timers; memory that is made executable."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from malkoha.model.event import Event
from malkoha.processing import noise
from malkoha.processing.rules.base import Rule, View, succeeded
from malkoha.trace.descriptors import argument, number

_SLEEPS = {"nanosleep": 0, "clock_nanosleep": 2, "clock_nanosleep_time64": 2}


def _seconds(value: Any, whole: str = "tv_sec", part: str = "tv_nsec") -> float | None:
    if not isinstance(value, dict):
        return None
    try:
        scale = 1e6 if part.endswith("usec") else 1e9
        return int(str(value.get(whole, 0))) + int(str(value.get(part, 0))) / scale
    except ValueError:
        return None


def _slept(view: View, event: Event, asked: float | None) -> None:
    took = (event.duration_ns or 0) / 1e9
    if (asked or took) >= 0.001:
        view.tally("timing", {"what": "sleep", "by": event.api}, calls=1, asked_s=asked or took, took_s=took)


def _sleep(view: View, event: Event) -> None:
    asked = _seconds(argument(event, _SLEEPS[event.api]))
    if event.api != "nanosleep" and str(argument(event, 1)) not in ("0", "0x0"):
        asked = None  # until a moment, not for a time
    _slept(view, event, asked)


def _wait(view: View, event: Event) -> None:
    """Note a wait for nothing: poll, select and epoll_wait without descriptors are sleeps."""
    api = event.api
    if api in ("select", "_newselect", "pselect6", "pselect6_time64"):
        if str(argument(event, 0)) == "0":
            value = argument(event, 4)
            _slept(view, event, _seconds(value) or _seconds(value, "tv_sec", "tv_usec"))
    elif str(argument(event, 1)) == "0":
        value = argument(event, 2)
        asked = _seconds(value) if isinstance(value, dict) else (number(value) or 0) / 1e3
        _slept(view, event, max(asked or 0, 0) or None)


def _alarm(view: View, event: Event) -> None:
    if not succeeded(event):
        return
    if event.api == "alarm":
        after = float(number(argument(event, 0)) or 0)
    elif event.api == "setitimer":
        after = _seconds(argument(event, 1), "value_sec", "value_usec") or 0
    else:
        after = _seconds(argument(event, 2), "value_sec", "value_nsec") or 0
    if after:
        view.tally("timing", {"what": "timer", "by": event.api}, calls=1, asked_s=after)


def _pause(view: View, event: Event) -> None:
    view.tally("timing", {"what": "wait for a signal", "by": event.api}, calls=1, took_s=(event.duration_ns or 0) / 1e9)


def _map(view: View, event: Event) -> None:
    prot = str(argument(event, 2))
    if "PROT_EXEC" not in prot or event.errno:
        return
    path = _mapped(view, event)
    if "PROT_WRITE" in prot:
        what = "mapped writable and executable"
    elif not path:
        what = "mapped executable without a file"
    elif path.startswith("/memfd:"):
        what = "mapped executable from a memfd"
    else:
        if not noise.is_library(path) and path != view.tables.exe(view.key):
            view.add("dll_loaded", path)
        return
    view.tally("memory_executable", {"what": what, "path": path}, calls=1)


def _mapped(view: View, event: Event) -> str:
    item = view.descriptor(event, 4)
    return item.path if item is not None and "MAP_ANONYMOUS" not in str(argument(event, 3)) else ""


def _protect(view: View, event: Event) -> None:
    prot = str(argument(event, 2))
    if "PROT_EXEC" in prot and succeeded(event):
        what = "made writable and executable" if "PROT_WRITE" in prot else "made executable after it was mapped"
        view.tally("memory_executable", {"what": what, "path": ""}, calls=1)


_GROUPS: tuple[tuple[Iterable[str], Rule], ...] = (
    (_SLEEPS, _sleep),
    (("select", "_newselect", "pselect6", "pselect6_time64", "poll", "ppoll", "ppoll_time64"), _wait),
    (("alarm", "setitimer", "timer_settime", "timerfd_settime"), _alarm),
    (("pause", "rt_sigsuspend", "sigsuspend"), _pause),
    (("mmap", "mmap2"), _map),
    (("mprotect", "pkey_mprotect"), _protect),
)
RULES: dict[str, Rule] = {api: rule for apis, rule in _GROUPS for api in apis}
