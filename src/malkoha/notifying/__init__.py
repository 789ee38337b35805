"""Tell others that a task has ended: a webhook, an e-mail, a MISP. A new way is one file, one line here, one test."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

import msgspec

from malkoha.config import Settings
from malkoha.model.task import Status, Task
from malkoha.notifying.base import Finished, Notifier
from malkoha.notifying.mail import Mail
from malkoha.notifying.misp import Misp
from malkoha.notifying.webhook import Webhook
from malkoha.store import Store

NOTIFIERS: tuple[type[Notifier], ...] = (Webhook, Mail, Misp)
LEVELS = ("clean", "suspicious", "malicious")

log = logging.getLogger(__name__)


def finished(task: Task, store: Store, settings: Settings) -> None:
    """Tell about a task whose outcome is written down; what cannot be told is logged and ends nothing."""
    chosen = [notifier for notifier in NOTIFIERS if notifier.wanted(settings.notify)]
    if not chosen:
        return
    report = _report(store) if task.status is Status.REPORTED else {}
    done = Finished(task=task, report=report)
    if report and LEVELS.index(done.level) < LEVELS.index(settings.notify.verdict):
        return
    for notifier in chosen:
        if notifier.needs_report and not report:
            continue
        try:
            notifier().tell(done, settings.notify)
        except Exception as error:  # noqa: BLE001 - nobody's mail server may end an analysis
            log.warning("task %d: %s was not told: %s: %s", task.id, notifier.name, type(error).__name__, error)


def _report(store: Store) -> Mapping[str, Any]:
    try:
        return msgspec.json.decode(store.report_json.read_bytes(), type=dict[str, Any])
    except (OSError, msgspec.MsgspecError) as error:
        log.warning("the report cannot be read: %s", error)
        return {}
