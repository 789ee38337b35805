"""One task from its folder to its reports, with every outcome written down: what ``analyze`` and ``run`` share."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from malkoha import log
from malkoha.cli import terminal
from malkoha.cli.ledger import Ledger
from malkoha.errors import ReportError
from malkoha.model.task import Status

if TYPE_CHECKING:
    from malkoha.config import Settings
    from malkoha.model.task import Task
    from malkoha.progress import Progress
    from malkoha.store import Home


def perform(task: Task, home: Home, settings: Settings, *, new: bool = True) -> dict[str, Any]:
    """Run and process ``task``, keep its state in the table, and return the report."""
    store = home.analysis(task.id)
    with Ledger(home, task, new=new) as ledger, log.analysis_log(store.log, task.id), terminal.progress() as progress:
        _run(task, home, settings, progress, ledger)
        return _process(task, home, settings, progress, ledger)


def reprocess(task: Task, home: Home, settings: Settings) -> dict[str, Any]:
    """Process an analysis again from its folder, keep its state in the table, and return the report."""
    from malkoha.tasks import Tasks

    store = home.analysis(task.id)
    with Tasks(home) as tasks, log.analysis_log(store.log, task.id), terminal.progress() as progress:
        return _process(task, home, settings, progress, _Direct(tasks, task.id))


class _Direct:
    def __init__(self, tasks: Any, task_id: int) -> None:
        self._tasks, self._task_id = tasks, task_id

    def state(self, to: Status, error: str = "") -> None:
        self._tasks.move(self._task_id, to, error=error)


def _run(task: Task, home: Home, settings: Settings, progress: Progress, ledger: Ledger | _Direct) -> None:
    from malkoha import analysis

    try:
        analysis.run(task, home, settings, progress)
    except BaseException as error:
        line = _line(error)
        if home.analysis(task.id).run.exists():
            # it was cut off after the sample's start
            hint = f"malkoha process {task.id} reports what was recorded"
            terminal.say(hint)
            line += f" ({hint})"
        ledger.state(Status.FAILED_ANALYSIS, line)
        raise
    ledger.state(Status.COMPLETED)


def _process(
    task: Task, home: Home, settings: Settings, progress: Progress, ledger: Ledger | _Direct
) -> dict[str, Any]:
    from malkoha import analysis

    try:
        report: dict[str, Any] = analysis.process(home.analysis(task.id), settings, progress)
    except BaseException as error:
        failed = Status.FAILED_REPORTING if isinstance(error, ReportError) else Status.FAILED_PROCESSING
        ledger.state(failed, _line(error))
        raise
    ledger.state(Status.REPORTED)
    return report


def _line(error: BaseException) -> str:
    return "interrupted" if isinstance(error, KeyboardInterrupt) else str(error) or type(error).__name__
