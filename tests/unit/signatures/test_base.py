"""What a signature is told of the scene."""

from __future__ import annotations

from malkoha.model.event import Event
from malkoha.model.process import Process
from malkoha.signatures.base import Evidence, Scene, Signature, writes
from malkoha.trace.descriptors import Tables


def call(api: str, *args: str, ret: int | None = 0) -> Event:
    return Event(
        seq=1,
        kind="syscall",
        time_ns=1,
        pid=1,
        tid=1,
        api=api,
        ret=ret,
        args={f"p{i}": value for i, value in enumerate(args)},
    )


def test_the_scene_resolves_paths_and_descriptors() -> None:
    process = Process(key=3, pid=9, name="x")
    tables = Tables([process])
    scene = Scene(tables, {3: process})
    scene.key = 3
    assert scene.process is process
    tables.feed(3, call("chdir", "/tmp"))
    assert scene.path(call("unlink", "a/../b"), 0) == "/tmp/b"
    assert scene.opened(call("openat", "AT_FDCWD", "b", "O_RDONLY", ret=3)) == "/tmp/b"
    assert scene.opened(call("open", "b", "O_RDONLY", ret=-2)) is None
    tables.feed(3, call("open", "b", "O_RDONLY", ret=7))
    item = scene.descriptor("7")
    assert item is not None
    assert item.path == "/tmp/b"
    assert scene.path(call("unlink", "0x7fff1234"), 0) is None


def test_a_scene_without_its_process() -> None:
    scene = Scene(Tables([]), {})
    scene.key = 99
    assert scene.process is None
    assert scene.descriptor("7") is None
    assert scene.exe == ""


def test_which_opens_write() -> None:
    assert writes(call("open", "/a", "O_WRONLY|O_CREAT"))
    assert writes(call("creat", "/a", "0644"))
    assert not writes(call("openat", "AT_FDCWD", "/a", "O_RDONLY|O_CLOEXEC"))


def test_a_signature_may_leave_out_either_method() -> None:
    signature = type("Nothing", (Signature,), {})()
    scene = Scene(Tables([]), {})
    assert signature.on_event(call("open"), scene) is None
    assert signature.on_text("x" * 300, scene) == Evidence("x" * 200, "text")
    assert list(signature.on_end({})) == []
    assert Evidence("a", "b").description == ""
