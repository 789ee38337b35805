"""What /api/v1 answers: the models that OpenAPI describes, with an example of each; and tasks in that shape."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from malkoha.log import printable
from malkoha.model.task import Status, Task

EXAMPLE_HASH = "695e154ae0f12d234258ddfcbac690b2f279dfad5f16daeb6eba44896719833c"
EXAMPLE_TASK: dict[str, Any] = {
    "id": 12,
    "category": "file",
    "target": "helloworld.sh",
    "status": "reported",
    "error": "",
    "priority": 1,
    "owner": "mailgate",
    "custom": "",
    "tags": [],
    "submit_id": 12,
    "added_at": "2026-11-25T14:02:11.120000Z",
    "started_at": "2026-11-25T14:02:11.640000Z",
    "completed_at": "2026-11-25T14:02:16.010000Z",
    "sample": {
        "name": "helloworld.sh",
        "size": 70,
        "type": "Bourne-Again shell script, ASCII text executable",
        "md5": "8a9ae0bd0f0aefb8b6b9d1d4b6b9b3a4",
        "sha1": "3f1a3b6d3c8e2c6d8f5b9c8b6d4c2a1f0e9d8c7b",
        "sha256": EXAMPLE_HASH,
    },
    "options": {"timeout_s": 120.0, "package": "shell", "network": "sim", "engine": "tracepoint"},
}


def example(**values: Any) -> ConfigDict:
    """Give a model's configuration with one example."""
    return ConfigDict(json_schema_extra={"example": values})


class Message(BaseModel):
    """What every refusal says."""

    model_config = example(message="There is no task 12")
    message: str


class SampleFacts(BaseModel):
    """The file that was analysed; ``name`` shows bytes that are no text as escapes."""

    name: str
    size: int
    type: str
    md5: str
    sha1: str
    sha256: str


class TaskFacts(BaseModel):
    """One task."""

    model_config = example(**EXAMPLE_TASK)
    id: int
    category: Literal["file", "url"]
    target: str
    status: Status
    error: str = Field(description="The one line that says why it failed; empty otherwise.")
    priority: int
    owner: str
    custom: str
    tags: list[str]
    submit_id: int | None
    added_at: datetime
    started_at: datetime | None
    completed_at: datetime | None
    sample: SampleFacts | None
    options: dict[str, Any]


class TaskList(BaseModel):
    """A part of the list, the newest first; ``total`` counts all tasks of the service."""

    model_config = example(tasks=[EXAMPLE_TASK], total=1)
    tasks: list[TaskFacts]
    total: int


class Submitted(BaseModel):
    """What a submission became; an archive becomes one task for each member that can be run."""

    model_config = example(tasks=[EXAMPLE_TASK], remarks=[])
    tasks: list[TaskFacts]
    remarks: list[str] = Field(description="What of an archive was left out, one line each.")


class EventFacts(BaseModel):
    """One event of a trace; docs/trace.md describes every field."""

    model_config = example(
        seq=118, kind="syscall", time_ns=1795615332000001000, duration_ns=8100, pid=1326, tid=1326, ppid=1325,
        process=2, index=40, comm="cat", api="openat",
        args={"dirfd": "AT_FDCWD", "pathname": "/etc/passwd", "flags": "O_RDONLY"},
        ret=3, ret_text="3", errno="",
    )  # fmt: skip
    seq: int
    kind: str
    time_ns: int
    duration_ns: int | None
    pid: int
    tid: int
    ppid: int
    process: int = Field(description="Key of the process; process ids are reused.")
    index: int | None = Field(description="Number of the call within its process.")
    comm: str
    api: str
    args: dict[str, Any]
    ret: int | None
    ret_text: str
    errno: str
    raw: str | None = Field(default=None, description="The original line of a text trace.")


class Events(BaseModel):
    """A page of events; ``more`` says that others follow."""

    events: list[EventFacts]
    more: bool


class Query(BaseModel):
    """A query of SQL on the view ``events``; docs/trace.md lists its columns."""

    model_config = example(sql="select api, count(*) n from events group by api order by n desc", limit=100)
    sql: str = Field(min_length=1, max_length=20_000)
    limit: int = Field(default=1000, ge=1, le=10_000)


class Answer(BaseModel):
    """The rows of a query; ``more`` says that others were left out."""

    model_config = example(columns=["api", "n"], rows=[["mmap", 120], ["openat", 44]], more=False)
    columns: list[str]
    rows: list[list[Any]]
    more: bool


class FileFacts(BaseModel):
    """A file of an analysis that can be had."""

    model_config = example(kind="dropped", name="/root/.x", size=18, sha256=EXAMPLE_HASH)
    kind: Literal["sample", "dropped", "payload", "unpacked"]
    name: str
    size: int
    sha256: str


class Files(BaseModel):
    """The files of an analysis."""

    files: list[FileFacts]


class SignatureFacts(BaseModel):
    """A signature that every analysis is held against."""

    model_config = example(
        name="reads_shadow", description="Reads the hashes of passwords", severity=4, attack=["T1003.008"], families=[]
    )
    name: str
    description: str
    severity: int
    attack: list[str]
    families: list[str]


class RuleSetFacts(BaseModel):
    """A set of YARA or Sigma rules."""

    model_config = example(name="malkoha", files={"yara": 3})
    name: str
    files: dict[str, int]
    updated_at: datetime | None = None


class Rules(BaseModel):
    """Everything that analyses are held against."""

    signatures: list[SignatureFacts]
    sets: list[RuleSetFacts]


class Statistics(BaseModel):
    """What the queue has done."""

    model_config = example(
        total=240, statuses={"reported": 238, "pending": 2}, waiting=2, running=0, oldest_waiting_s=3.1,
        days=[{"day": "2026-11-25", "added": 40, "completed": 38}], run_s={"median": 6.2, "p95": 121.0}, hour=31,
        disk={"used": 81604378624, "free": 912680550400},
    )  # fmt: skip
    total: int
    statuses: dict[str, int]
    waiting: int
    running: int
    oldest_waiting_s: float | None
    days: list[dict[str, Any]] = Field(description="For each of the last thirty days: added, completed.")
    run_s: dict[str, float] = Field(description="Median and 95th percentile of how long the last thousand runs took.")
    hour: int = Field(description="Runs that were completed within the last hour.")
    disk: dict[str, int]


class MachineFacts(BaseModel):
    """A guest image that a task can ask for."""

    model_config = example(name="default", id="3f1a3b6d3c8e", kernel="6.12.48+deb13-cloud-amd64", packages=[])
    name: str
    id: str
    kernel: str
    packages: list[str]


class Abilities(BaseModel):
    """What a task can ask for here."""

    model_config = example(
        version="0.1.0", machines=[], packages=["elf", "shell"], networks=["none", "sim", "drop"],
        engines=["tracepoint", "kprobe"], formats=["json", "html"], max_sample_mb=256,
    )  # fmt: skip
    version: str
    machines: list[MachineFacts]
    packages: list[str]
    networks: list[str]
    engines: list[str]
    formats: list[str]
    max_sample_mb: int


REFUSALS: dict[int | str, dict[str, Any]] = {
    400: {"model": Message, "description": "A parameter cannot be right"},
    401: {"model": Message, "description": "A token has to be shown"},
    403: {"model": Message, "description": "The token, or the page, may not do this"},
    404: {"model": Message, "description": "There is no such thing"},
    409: {"model": Message, "description": "Not in this state of the task"},
    413: {"model": Message, "description": "The request is too large"},
    429: {"model": Message, "description": "Too many requests: see Retry-After"},
    507: {"model": Message, "description": "The disk is full"},
    500: {"model": Message, "description": "The service or its machine has a fault"},
}
"""What every operation may answer in place of its own."""


def task_facts(task: Task) -> dict[str, Any]:
    """Return a task as the model TaskFacts has it."""
    sample = task.sample
    options: Mapping[str, Any] = {name: getattr(task.options, name) for name in task.options.__struct_fields__}
    return {
        "id": task.id,
        "category": task.category,
        "target": task.target,
        "status": task.status.value,
        "error": task.error,
        "priority": task.priority,
        "owner": task.owner,
        "custom": task.custom,
        "tags": task.tags,
        "submit_id": task.submit_id,
        "added_at": task.added_at,
        "started_at": task.started_at,
        "completed_at": task.completed_at,
        "sample": None
        if sample is None
        else {
            "name": printable(sample.name.decode("utf-8", "backslashreplace")),
            "size": sample.size,
            "type": sample.type,
            "md5": sample.md5,
            "sha1": sample.sha1,
            "sha256": sample.sha256,
        },
        "options": dict(options),
    }
