"""A client of a malkoha service: files in, tasks, live events and reports out; it needs httpx2 and msgspec alone.

with Client("http://127.0.0.1:8090", token="mk_...") as client:
    task = client.submit("suspicious.bin", network="sim")
    for event in client.watch(task.id):
        print(event.kind, event.data)
    print(client.report(task.id)["malkoha"]["verdict"])
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

import httpx2 as httpx
import msgspec

ENDED = frozenset({"reported", "failed_analysis", "failed_processing", "failed_reporting", "recovered"})
"""States that a task does not leave by itself."""
PAUSE_S = 1.0
Answer = TypeVar("Answer")


class ServiceError(Exception):
    """Say what the service refused, or that it cannot be reached (``status`` 0)."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(f"{message} (status {status})" if status else message)
        self.status = status
        self.message = message


class Sample(msgspec.Struct, frozen=True):
    """The file of a task."""

    name: str
    size: int
    type: str
    md5: str
    sha1: str
    sha256: str


class Task(msgspec.Struct, frozen=True, kw_only=True):
    """One task as the service tells it."""

    id: int
    category: str
    target: str
    status: str
    error: str
    priority: int
    owner: str
    custom: str
    tags: list[str]
    submit_id: int | None
    added_at: datetime
    started_at: datetime | None
    completed_at: datetime | None
    sample: Sample | None
    options: dict[str, Any]

    @property
    def ended(self) -> bool:
        """Whether nothing more will happen with it."""
        return self.status in ENDED


class Event(msgspec.Struct, frozen=True):
    """One message of a live stream: ``state``, ``events``, ``console``, ``restart`` or ``end``, and what it tells."""

    kind: str
    data: dict[str, Any]
    id: str = ""


class Table(msgspec.Struct, frozen=True):
    """The answer to a query; ``more`` says that rows were left out."""

    columns: list[str]
    rows: list[list[Any]]
    more: bool


class _Tasks(msgspec.Struct):
    tasks: list[Task]


class Client:
    """Speaks to one service; a context manager. Every method raises ServiceError for what is refused."""

    def __init__(self, address: str = "http://127.0.0.1:8090", token: str = "", *, timeout_s: float = 60.0) -> None:
        headers = {"authorization": f"Bearer {token}"} if token else {}
        self._http = httpx.Client(base_url=address.rstrip("/"), headers=headers, timeout=timeout_s)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def submit(self, *targets: str | Path, **options: Any) -> Task:
        """Put one file or URL into the queue and return its task; of an archive, the first of its tasks.

        ``options`` are those of POST /api/v1/tasks: timeout_s, package, arguments, network, priority, tags, ...
        """
        return self.submit_all(targets, **options)[0]

    def submit_all(self, targets: Iterable[str | Path], **options: Any) -> list[Task]:
        """Put files, or one URL, into the queue and return all their tasks."""
        wanted = list(targets)
        form = {name: _form(value) for name, value in options.items() if value is not None}
        if len(wanted) == 1 and "://" in str(wanted[0]):
            return self._tasks("POST", "/api/v1/tasks", data=form | {"url": str(wanted[0])})
        with ExitStack() as stack:
            files = [("files", (Path(each).name, stack.enter_context(Path(each).open("rb")))) for each in wanted]
            return self._tasks("POST", "/api/v1/tasks", data=form, files=files)

    def task(self, task_id: int) -> Task:
        """Return one task as it is now."""
        return self._task("GET", f"/api/v1/tasks/{task_id}")

    def tasks(self, *, status: str | None = None, limit: int = 50, offset: int = 0) -> list[Task]:
        """Return tasks, the newest first."""
        wanted: dict[str, Any] = {"limit": limit, "offset": offset} | ({"status": status} if status else {})
        return self._tasks("GET", "/api/v1/tasks", params=wanted)

    def wait(self, task_id: int, *, timeout_s: float = 600.0) -> Task:
        """Wait until a task has ended and return it; raise TimeoutError when that takes too long."""
        deadline = time.monotonic() + timeout_s
        while not (task := self.task(task_id)).ended:
            if time.monotonic() > deadline:
                raise TimeoutError(f"task {task_id} is still {task.status}")
            time.sleep(PAUSE_S)
        return task

    def watch(self, task_id: int, *, calls: bool = True, after: str = "") -> Iterator[Event]:
        """Yield what happens in an analysis while it happens, up to its end; ``after`` is an earlier event's id."""
        headers = {"last-event-id": after} if after else {}
        path = f"/api/v1/tasks/{task_id}/live"
        try:
            with self._http.stream("GET", path, params={"calls": calls}, headers=headers) as answer:
                if answer.status_code != 200:
                    answer.read()
                    raise _refused(answer)
                yield from _events(answer.iter_lines())
        except httpx.HTTPError as error:
            raise ServiceError(0, f"the service cannot be reached: {error}") from error

    def report(self, task_id: int) -> dict[str, Any]:
        """Return report.json."""
        return self._decoded("GET", f"/api/v1/tasks/{task_id}/report", dict[str, Any])

    def events(self, task_id: int, **filters: Any) -> list[dict[str, Any]]:
        """Return events of the trace: pid, process, syscall, kind, failed, text, after, before, limit, offset."""
        found: list[dict[str, Any]] = self._decoded(
            "GET", f"/api/v1/tasks/{task_id}/events", dict[str, Any], params=filters
        )["events"]
        return found

    def query(self, task_id: int, sql: str, *, limit: int = 1000) -> Table:
        """Run one SELECT on the view ``events`` of an analysis."""
        wanted = {"sql": sql, "limit": limit}
        return self._decoded("POST", f"/api/v1/tasks/{task_id}/query", Table, json=wanted)

    def files(self, task_id: int) -> list[dict[str, Any]]:
        """List the files of an analysis that can be had."""
        found: list[dict[str, Any]] = self._decoded("GET", f"/api/v1/tasks/{task_id}/files", dict[str, Any])["files"]
        return found

    def file(self, task_id: int, sha256: str) -> bytes:
        """Return the bytes of one of those files."""
        return self._send("GET", f"/api/v1/tasks/{task_id}/files/{sha256}").content

    def export(self, task_id: int, form: str) -> bytes:
        """Return an analysis in another format: stix, misp, navigator, iocs-csv, stap, ..."""
        return self._send("GET", f"/api/v1/tasks/{task_id}/export/{form}").content

    def compare(self, first: int, second: int) -> dict[str, Any]:
        """Tell how two analyses differ."""
        return self._decoded("GET", "/api/v1/compare", dict[str, Any], params={"first": first, "second": second})

    def cancel(self, task_id: int) -> Task:
        """End a task: one that runs reports what it recorded until then."""
        return self._task("POST", f"/api/v1/tasks/{task_id}/cancel")

    def delete(self, task_id: int) -> None:
        """Delete a task with all that it made."""
        self._send("DELETE", f"/api/v1/tasks/{task_id}")

    def _task(self, method: str, path: str) -> Task:
        return self._decoded(method, path, Task)

    def _tasks(self, method: str, path: str, **more: Any) -> list[Task]:
        return self._decoded(method, path, _Tasks, **more).tasks

    def _decoded(self, method: str, path: str, form: type[Answer], **more: Any) -> Answer:
        try:
            return msgspec.json.decode(self._send(method, path, **more).content, type=form)
        except msgspec.MsgspecError as error:
            raise ServiceError(0, f"the service answered something else: {error}") from error

    def _send(self, method: str, path: str, **more: Any) -> httpx.Response:
        try:
            answer = self._http.request(method, path, **more)
        except httpx.HTTPError as error:
            raise ServiceError(0, f"the service cannot be reached: {error}") from error
        if not answer.is_success:
            raise _refused(answer)
        return answer


def _form(value: Any) -> Any:
    if isinstance(value, bool):
        return str(value).lower()
    return [str(each) for each in value] if isinstance(value, list | tuple) else str(value)


def _refused(answer: httpx.Response) -> ServiceError:
    try:
        message = str(msgspec.json.decode(answer.content, type=dict[str, Any])["message"])
    except (msgspec.MsgspecError, KeyError):
        message = answer.text[:200]
    return ServiceError(answer.status_code, message)


def _events(lines: Iterable[str]) -> Iterator[Event]:
    """Read a stream of server-sent events (HTML standard, 9.2.6): an empty line ends an event."""
    fields: dict[str, str] = {}
    for line in lines:
        if line:
            name, _, value = line.partition(":")
            fields[name] = value.removeprefix(" ")
        elif fields:
            if "data" in fields:
                data = msgspec.json.decode(fields["data"], type=dict[str, Any])
                yield Event(fields.get("event", "message"), data, fields.get("id", ""))
            fields = {}
