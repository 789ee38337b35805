"""The event that ``malkoha export --format misp`` writes, sent to a MISP (POST /events/add)."""

from __future__ import annotations

from typing import ClassVar

from malkoha.config import Notify
from malkoha.notifying.base import Finished, Notifier, post
from malkoha.reporting import misp


class Misp(Notifier):
    """Adds an event for each analysis; its id is made of the sample, so that a MISP knows one that it has."""

    name: ClassVar[str] = "misp"
    needs_report: ClassVar[bool] = True

    @classmethod
    def wanted(cls, settings: Notify) -> bool:
        return bool(settings.misp)

    def tell(self, done: Finished, settings: Notify) -> None:
        headers = {
            "authorization": settings.misp_key,
            "accept": "application/json",
            "content-type": "application/json",
        }
        post(settings.misp.rstrip("/") + "/events/add", misp.event(done.report), headers)
