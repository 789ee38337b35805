"""One task from its folder to its reports, with every outcome written down: what ``analyze`` and ``run`` share."""

from __future__ import annotations

import contextlib
import logging
from typing import TYPE_CHECKING, Any

from malkoha import log
from malkoha.cli import terminal
from malkoha.cli.ledger import Ledger
from malkoha.errors import LeaseLostError, MalkohaError, ReportError, UsageError
from malkoha.model.task import Status
from malkoha.progress import SILENT

if TYPE_CHECKING:
    from malkoha.config import Settings
    from malkoha.model.task import Task
    from malkoha.progress import Progress
    from malkoha.queue import Queue
    from malkoha.store import Home, Store
    from malkoha.tasks import Tasks


INTERRUPTED = "interrupted"

_log = logging.getLogger(__name__)


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


def perform_taken(task: Task, home: Home, settings: Settings, queue: Queue) -> None:
    """Run and process a task that this process has taken; only process one whose run is done.

    Each attempt writes in a folder of its own, and what one comes to after another has begun is not taken. What the
    sample downloaded goes into the queue. An interruption gives the task back, as if it had never been taken, and is
    raised.
    """
    tasks, ledger = queue.tasks, _Leased(queue, task)
    store = _own_folder(task, home, tasks)
    with log.analysis_log(store.log, task.id):
        try:
            if task.status is Status.RUNNING:
                store.clear()
                _run(task, home, settings, SILENT, ledger, store)
            report = _process(task, home, settings, SILENT, ledger, store)
            _go_on(task, home, settings, tasks, report)
        except KeyboardInterrupt:
            if tasks.get(task.id).status is Status.RUNNING:
                store.discard(home.folder(task.id))  # else a half run could be taken for a whole one
            queue.give_back(task)
            raise
        except LeaseLostError as error:
            _log.warning("task %d: %s", task.id, error)
            return
        except MalkohaError as error:
            _log.warning("task %d: %s", task.id, error)
            _go_on(task, home, settings, tasks, None)
        except Exception:  # noqa: BLE001 - the next task must not suffer for what this one met
            _log.exception("task %d: internal error", task.id)
        _tell(task.id, home, settings, tasks)


def _tell(task_id: int, home: Home, settings: Settings, tasks: Tasks) -> None:
    """Notify whoever wants to know what a task came to."""
    from malkoha import notifying

    with contextlib.suppress(UsageError):  # it may have been deleted meanwhile
        notifying.finished(tasks.get(task_id), home.analysis(task_id), settings)


def _own_folder(task: Task, home: Home, tasks: Tasks) -> Store:
    """Return where this attempt writes: not where one wrote whose worker died, as that may only have been slow."""
    store = home.attempt(task.id, task.attempts)
    ran = task.status is Status.COMPLETED
    if ran and not tasks.deaths(task.id):
        return home.analysis(task.id)
    store.follow(home.analysis(task.id), ran=ran)
    return store


def _go_on(task: Task, home: Home, settings: Settings, tasks: Tasks, report: dict[str, Any] | None) -> None:
    """Tell the analyses above what came of this one, and put what it downloaded into the queue."""
    from malkoha import chain

    try:
        chain.settle(home, task, report)
        for child in chain.extend(home, settings, task, report) if report is not None else ():
            tasks.add(child)
    except MalkohaError as error:
        _log.warning("task %d: its chain goes no further: %s", task.id, error)


class _Direct:
    def __init__(self, tasks: Any, task_id: int) -> None:
        self._tasks, self._task_id = tasks, task_id

    def state(self, to: Status, error: str = "") -> None:
        self._tasks.move(self._task_id, to, error=error)


class _Leased:
    def __init__(self, queue: Queue, task: Task) -> None:
        self._queue, self._task = queue, task

    def state(self, to: Status, error: str = "") -> None:
        if not error.startswith(INTERRUPTED):
            self._queue.tell(self._task, to, error)


def _run(
    task: Task,
    home: Home,
    settings: Settings,
    progress: Progress,
    ledger: Ledger | _Direct | _Leased,
    store: Store | None = None,
) -> None:
    from malkoha import analysis

    store = store or home.analysis(task.id)
    try:
        analysis.run(task, home, settings, progress, store)
    except BaseException as error:
        line = _line(error)
        if store.run.exists():
            # it was cut off after the sample's start
            hint = f"malkoha process {task.id} reports what was recorded"
            terminal.say(hint)
            line += f" ({hint})"
        ledger.state(Status.FAILED_ANALYSIS, line)
        raise
    ledger.state(Status.COMPLETED)


def _process(
    task: Task,
    home: Home,
    settings: Settings,
    progress: Progress,
    ledger: Ledger | _Direct | _Leased,
    store: Store | None = None,
) -> dict[str, Any]:
    from malkoha import analysis

    try:
        report: dict[str, Any] = analysis.process(store or home.analysis(task.id), settings, progress)
    except BaseException as error:
        failed = Status.FAILED_REPORTING if isinstance(error, ReportError) else Status.FAILED_PROCESSING
        ledger.state(failed, _line(error))
        raise
    ledger.state(Status.REPORTED)
    _catalogue(task, home)
    return report


def _catalogue(task: Task, home: Home) -> None:
    """Make the analysis one that is found; what fails here is made up for by the next search."""
    from malkoha.catalogue import Catalogue
    from malkoha.tasks import Tasks

    try:
        with Tasks(home) as tasks:
            Catalogue(tasks).record(task.id, home.analysis(task.id))
    except Exception:  # noqa: BLE001 - the analysis is done, whatever becomes of this
        _log.exception("task %d was not taken into the catalogue", task.id)


def _line(error: BaseException) -> str:
    return INTERRUPTED if isinstance(error, KeyboardInterrupt) else str(error) or type(error).__name__
