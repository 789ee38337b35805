"""A task and, after it, what it downloaded, what that downloaded, and so on: one after the other, with progress."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from malkoha.cli import terminal
from malkoha.cli.performing import perform
from malkoha.errors import MalkohaError

if TYPE_CHECKING:
    from malkoha.config import Settings
    from malkoha.model.task import Task
    from malkoha.store import Home


def follow(task: Task, home: Home, settings: Settings, *, new: bool = True) -> dict[str, Any]:
    """Run and process ``task`` and those of its chain; return its report, in which the chain stands.

    A download whose analysis fails is named and does not keep the others back.
    """
    from malkoha import chain

    report = perform(task, home, settings, new=new)
    waiting = _recorded(chain.extend(home, settings, task, report), home)
    while waiting:
        child = waiting.pop(0)
        more = f", {len(waiting)} more wait" if waiting else ""
        terminal.say(f"analysis {child.id}: {child.target}, which was downloaded{more}")
        try:
            found = perform(child, home, settings, new=False)
        except MalkohaError as error:
            terminal.error(f"analysis {child.id}: {error}", trace=True)
            chain.settle(home, child, None)
            continue
        chain.settle(home, child, found)
        waiting += _recorded(chain.extend(home, settings, child, found), home)
    if home.analysis(task.id).chain.exists():
        report = json.loads(home.analysis(task.id).report_json.read_bytes())
    return report


def _recorded(tasks: list[Task], home: Home) -> list[Task]:
    from malkoha.tasks import Tasks

    if tasks:
        with Tasks(home) as table:
            for task in tasks:
                table.add(task)
    return tasks
