"""An analysis with a trace, made without a machine."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from malkoha.store import Store
from malkoha.tasks import Tasks
from malkoha.trace.decode import Decoder
from malkoha.trace.store import write_batches
from tests.records import Recording, blob
from tests.unit.web.conftest import finish

SHA = "ab" * 32


def recording() -> Recording:
    """A shell that opens two files, the second in vain."""
    made = Recording().fork(101).exec(b"/bin/sh", b"sh", b"-c", b"cat")
    made.call("openat", (0, 0x1000), 3, blob(1, b"/etc/passwd")).call("openat", (0, 0x1000), -2, blob(1, b"/nothing"))
    return made.task_exit()


@pytest.fixture
def reported(submitted: Callable[..., int], tasks: Tasks) -> Store:
    """Task 1, reported, with two calls and one file that the sample wrote."""
    number = submitted()
    finish(tasks, number)
    store = tasks.home.analysis(number)
    recording().write(store.records)
    write_batches(Decoder(store.records).batches(), store.events)
    store.dropped.mkdir()
    (store.dropped / SHA).write_bytes(b"dropped")
    store.stdout.write_bytes("grüße\n".encode())
    return store
