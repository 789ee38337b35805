"""/metrics for Prometheus: what the queue holds, what is on the disk, and how requests are answered."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from datetime import UTC, datetime

from fastapi import APIRouter, Request, Response
from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

import malkoha
from malkoha.model.task import Status
from malkoha.store import Home
from malkoha.tasks import Tasks
from malkoha.web.service import needs
from malkoha.web.tokens import Role

router = APIRouter(tags=["service"], dependencies=[needs(Role.READ)])
TEXT = "text/plain; version=0.0.4; charset=utf-8"
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS"})
BUCKETS = (0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 30.0)
NEWEST = 1000


@router.get(
    "/metrics", response_class=Response, responses={200: {"content": {"text/plain": {"schema": {"type": "string"}}}}}
)
def metrics(request: Request) -> Response:
    """Give all metrics in the text format of Prometheus."""
    found: Metrics = request.app.state.metrics
    return Response(generate_latest(found.registry), media_type=TEXT)


class Metrics:
    """The metrics of one application; ``observe`` counts a request."""

    def __init__(self, home: Home, tasks: Tasks) -> None:
        self.registry = CollectorRegistry()
        self.registry.register(_Queue(home, tasks))
        self._requests = Counter("malkoha_requests", "Requests answered", ("method", "status"), registry=self.registry)
        self._seconds = Histogram(
            "malkoha_request_seconds", "Time to an answer's end", buckets=BUCKETS, registry=self.registry
        )

    def observe(self, method: str, status: int, seconds: float) -> None:
        """Count one request; what a client calls its method is its own invention, so unknown ones are one."""
        self._requests.labels(method if method in METHODS else "other", str(status)).inc()
        self._seconds.observe(seconds)


class _Queue(Collector):
    """Looks at the table of tasks and at the disk whenever somebody asks."""

    def __init__(self, home: Home, tasks: Tasks) -> None:
        self._home, self._tasks = home, tasks

    def describe(self) -> Iterator[Metric]:
        return iter(())

    def collect(self) -> Iterator[Metric]:
        info = GaugeMetricFamily("malkoha_info", "The version", labels=["version"])
        info.add_metric([malkoha.__version__], 1)
        yield info
        states = GaugeMetricFamily("malkoha_tasks", "Tasks by state", labels=["status"])
        for status, number in self._tasks.counts().items():
            states.add_metric([status.value], number)
        yield states
        waiting = self._tasks.all(statuses=[Status.PENDING], limit=NEWEST)
        oldest = min((task.added_at for task in waiting), default=None)
        age = (datetime.now(UTC) - oldest).total_seconds() if oldest else 0.0
        yield GaugeMetricFamily("malkoha_oldest_waiting_seconds", "How long the oldest task has waited", value=age)
        usage = shutil.disk_usage(self._home.root)
        disk = GaugeMetricFamily("malkoha_disk_bytes", "The disk of MALKOHA_HOME", labels=["kind"])
        for kind, size in (("used", usage.used), ("free", usage.free), ("total", usage.total)):
            disk.add_metric([kind], size)
        yield disk
