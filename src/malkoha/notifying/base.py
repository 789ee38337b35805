"""What a way to tell others is: it looks whether it is set up, and sends what a task came to."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar

import msgspec

from malkoha.config import Notify
from malkoha.errors import HostError
from malkoha.model.task import Task
from malkoha.reporting.wording import items, mapping, number

TRIES = 3
PAUSE_S = 1.0
TIMEOUT_S = 20.0
MOST_SIGNATURES = 100


class Finished(msgspec.Struct, frozen=True, kw_only=True):
    """A task that has ended, with its report; that of a failed task is empty."""

    task: Task
    report: Mapping[str, Any]

    @property
    def level(self) -> str:
        """The verdict, ``clean`` where there is none."""
        level = str(mapping(mapping(self.report.get("malkoha")).get("verdict")).get("level"))
        return level if level in ("suspicious", "malicious") else "clean"

    @property
    def score(self) -> float:
        return float(number(mapping(mapping(self.report.get("malkoha")).get("verdict")).get("score")))

    @property
    def signatures(self) -> list[str]:
        names = [str(mapping(each).get("name")) for each in items(self.report.get("signatures"))]
        return names[:MOST_SIGNATURES]


class Notifier(ABC):
    """One way to tell others."""

    name: ClassVar[str]
    needs_report: ClassVar[bool] = False

    @classmethod
    @abstractmethod
    def wanted(cls, settings: Notify) -> bool:
        """Tell whether it is set up."""

    @abstractmethod
    def tell(self, done: Finished, settings: Notify) -> None:
        """Send it; whatever is raised is logged as the reason why it was not told."""


def post(address: str, body: bytes, headers: Mapping[str, str]) -> None:
    """Send a POST, again when nobody answers or the other side has a fault; raise HostError when it was not taken."""
    import httpx2 as httpx

    why = ""
    for turn in range(TRIES):
        time.sleep(PAUSE_S * turn)
        try:
            answer = httpx.post(address, content=body, headers=dict(headers), timeout=TIMEOUT_S)
        except httpx.HTTPError as error:
            why = str(error) or type(error).__name__
            continue
        if answer.is_success:
            return
        why = f"status {answer.status_code}"
        if answer.status_code < 500 and answer.status_code != 429:
            break
    raise HostError(f"{address} did not take it", why)
