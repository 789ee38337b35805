"""The pages of a home of its own, served on a free port, for a browser."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import uvicorn

from malkoha.config import Settings
from malkoha.tasks import Tasks
from malkoha.web.app import application


@contextmanager
def served(tasks: Tasks, settings: Settings | None = None) -> Iterator[str]:
    """Serve what ``malkoha serve`` does, without workers; yield the address."""
    listener = socket.create_server(("127.0.0.1", 0))
    app = application(tasks.home, settings or Settings(), tasks)
    server = uvicorn.Server(uvicorn.Config(app, log_config=None, access_log=False, lifespan="off"))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join()
        listener.close()
