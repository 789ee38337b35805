"""What a rule of the summary is, and the view through which it sees the guest and writes down what it found.

In: one call with the descriptor tables of that moment. Out: entries by category, in all and for each process: a text,
a pair, or named facts; a tally is an entry whose numbers grow. Lists are bounded and what did not fit is counted.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from malkoha.model.event import Event
from malkoha.model.process import Process
from malkoha.processing import noise
from malkoha.trace.descriptors import Descriptor, Tables, argument, path_argument

MAX_TEXT = 4096
OMITTED = 50_000
"""Different entries that are counted beyond the bound of one category; what comes after is not told apart."""
READING = frozenset({"file_opened", "file_read", "file_exists", "file_failed", "dll_loaded"})
"""Categories from which the loader's and the shell's noise is left out; to change such a file is never noise."""


class Bag:
    """Ordered entries by category, bounded in number and size."""

    def __init__(self, limit: int, room: list[int], *, counts: bool = True) -> None:
        """``room`` holds the bytes that are left, in its only item; bags may share one. ``counts`` what is omitted."""
        self._counts = counts
        self.limit = limit
        self._room = room
        self._lists: dict[str, dict[Any, Any]] = {}
        self._missed: dict[str, set[int]] = {}

    def entry(self, category: str, identity: Any, make: Callable[[], Any]) -> Any | None:
        """Give the entry with this identity, made when it is new; None when it does not fit."""
        entries = self._lists.get(category)
        if entries is None:
            entries = self._lists[category] = {}
        found = entries.get(identity)
        if found is not None:
            return found
        if len(entries) >= self.limit or self._room[0] < (cost := len(str(identity)) + 40):
            if self._counts:
                missed = self._missed.setdefault(category, set())
                if len(missed) < OMITTED:
                    missed.add(hash(identity))
            return None
        self._room[0] -= cost
        made = entries[identity] = make()
        return made

    @property
    def omitted(self) -> dict[str, int]:
        """How many different entries did not fit, by category."""
        return {category: len(missed) for category, missed in self._missed.items()}

    def result(self) -> dict[str, list[Any]]:
        """Give the entries as plain values."""
        return {category: list(entries.values()) for category, entries in self._lists.items() if entries}


class View:
    """The guest at one event, and where a rule writes down what it found."""

    def __init__(self, tables: Tables, processes: Mapping[int, Process], *, recorded: bool) -> None:
        self.tables = tables
        self.processes = processes
        self.recorded = recorded
        """Whether the trace has exec events, so that execve calls need not tell command lines."""
        self.key = -1
        self.bags: tuple[Bag, ...] = ()
        self.noise: Bag | None = None
        self.memory: dict[Any, Any] = {}
        """What rules remember of one process, by names of their own."""
        self.shared: dict[Any, Any] = {}
        """What rules remember of the whole trace, by names of their own."""

    # ----------------------------------------------------------------------------------------------- writing

    def add(self, category: str, value: str | tuple[str, ...]) -> None:
        """Write down a text or a pair."""
        if isinstance(value, str):
            value = value[:MAX_TEXT]
        plain = list(value) if isinstance(value, tuple) else value
        for bag in self.bags:
            bag.entry(category, value, lambda: plain)

    def note(self, category: str, **facts: Any) -> None:
        """Write down named facts."""
        facts = {name: value[:MAX_TEXT] if isinstance(value, str) else value for name, value in facts.items()}
        identity = tuple(map(str, facts.values()))
        for bag in self.bags:
            bag.entry(category, identity, lambda: dict(facts))

    def tally(self, category: str, facts: Mapping[str, Any], **numbers: float) -> None:
        """Write down named facts and add up numbers beside them."""
        identity = tuple(map(str, facts.values()))
        for bag in self.bags:
            entry = bag.entry(category, identity, lambda: {**facts, **dict.fromkeys(numbers, 0)})
            if entry is not None:
                for name, number in numbers.items():
                    entry[name] = round(entry.get(name, 0) + number, 6)

    def file(self, category: str, path: str | None) -> None:
        """Write down a path; what every program reads goes to the noise, and plain devices nowhere."""
        if not path:
            return
        if category in READING and noise.is_noise(path, self.tables.exe(self.key)):
            if self.noise is not None:
                self.noise.entry(category, path[:MAX_TEXT], lambda: path[:MAX_TEXT])
        elif not noise.is_device(path):
            self.add(category, path)

    # ------------------------------------------------------------------------------------------------ asking

    def path(self, event: Event, position: int, *, at: bool | None = None) -> str | None:
        """Resolve the path argument at a position; with ``at`` the one before it is its directory."""
        path = path_argument(event, position)
        if path is None:
            return None
        at = position > 0 if at is None else at
        return self.tables.resolve(self.key, path, argument(event, position - 1) if at else "AT_FDCWD")

    def descriptor(self, event: Event, position: int = 0) -> Descriptor | None:
        """Say what the descriptor at a position refers to."""
        return self.tables.descriptor(self.key, argument(event, position))

    def target(self, event: Event, position: int = 0) -> str | None:
        """Give the path of the file that the descriptor at a position refers to."""
        item = self.descriptor(event, position)
        return item.path if item is not None and item.kind in ("file", "memfd") else None

    def name_of(self, key: int | None) -> str:
        """Name a process by its program at this point, else by the name the trace has for it."""
        if key is None:
            return ""
        table = self.tables.tables.get(key)
        exe = table.exe.rsplit("/", 1)[-1] if table else ""
        process = self.processes.get(key)
        return exe or (process.name if process else "")


Rule = Callable[[View, Event], None]


def succeeded(event: Event) -> bool:
    """Tell a call that returned without an error."""
    return event.ret is not None and event.ret >= 0
