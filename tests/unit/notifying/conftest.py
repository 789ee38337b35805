"""A web server of our own that remembers what it was sent."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from malkoha.model.task import Options, Status, Task
from malkoha.notifying import base
from malkoha.notifying.base import Finished


class Listener:
    """``got`` has path, headers and body of each request; ``answers`` are the statuses to give, the last for ever."""

    def __init__(self) -> None:
        self.got: list[tuple[str, dict[str, str], bytes]] = []
        self.answers = [200]
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                outer.got.append((self.path, {k.lower(): v for k, v in self.headers.items()}, body))
                self.send_response(outer.answers.pop(0) if len(outer.answers) > 1 else outer.answers[0])
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, *arguments: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"http://127.0.0.1:{self.server.server_port}"


@pytest.fixture
def listener(monkeypatch: pytest.MonkeyPatch) -> Iterator[Listener]:
    monkeypatch.setattr(base, "PAUSE_S", 0.0)
    made = Listener()
    thread = threading.Thread(target=made.server.serve_forever)
    thread.start()
    yield made
    made.server.shutdown()
    thread.join()
    made.server.server_close()


@pytest.fixture
def done() -> Finished:
    from datetime import UTC, datetime

    task = Task(
        id=7, target="evil\n\x1b.sh", sample=None, options=Options(), added_at=datetime.now(UTC), status=Status.REPORTED
    )
    report = {
        "info": {"id": 7, "ended": 1780000000},
        "malkoha": {"verdict": {"level": "malicious", "score": 8.5}},
        "signatures": [{"name": "reads_shadow", "severity": 4, "description": "Reads"}],
    }
    return Finished(task=task, report=report)
