"""image and machine."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import malkoha
from malkoha.errors import ImageError
from malkoha.machinery import cleanup
from malkoha.machinery import image as images
from malkoha.machinery.image import Image
from malkoha.store import Home

Call = Callable[..., Any]


@pytest.fixture
def image(home: Home) -> Image:
    return Image(
        name="default",
        id="0123456789abcdef",
        folder=Path("/x"),
        kernel_release="6.12",
        kernel_arguments="",
        packages=(),
        created_at=datetime(2026, 1, 2, tzinfo=UTC),
        sizes={"disk": 3 << 20, "kernel": 1 << 20, "disk_virtual": 1 << 40},
        sources=(),
        build_part="b",
        guest_part="g",
    )


def test_list(malkoha_: Call, image: Image, monkeypatch: pytest.MonkeyPatch) -> None:
    assert malkoha_("image", "list").out.count("\n") == 1
    monkeypatch.setattr(images, "list_images", lambda home: [image])
    assert malkoha_("image", "list").out.splitlines()[1] == "default\t0123456789ab\t6.12\t2026-01-02 00:00\t4 MiB"
    monkeypatch.setattr(images, "inspect", lambda home, name: {"name": name})
    assert json.loads(malkoha_("image", "list", "--json").out) == [{"name": "default"}]
    assert json.loads(malkoha_("image", "inspect").out) == {"name": "default"}


def test_what_is_not_there(malkoha_: Call) -> None:
    for command in ("inspect", "remove"):
        result = malkoha_("image", command, "nothing")
        assert result.status == ImageError.exit_status
        assert "nothing" in result.err
        assert result.err.count("\n") == 1


def test_remove(malkoha_: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(images, "remove", lambda home, name: 5 << 20)
    assert malkoha_("image", "remove", "web").out == "5 MiB freed\n"


def test_build_arms_the_default_engine(malkoha_: Call, image: Image, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Any] = []

    def build(home: Home, settings: Any, *, name: str, packages: list[str], files: Any, progress: Any) -> Image:
        asked.append((name, packages))
        progress.step("Installing packages", 10)
        return image

    fake = ModuleType("malkoha.arming")
    fake.__dict__["armed"] = lambda image, engine, home, settings, progress: asked.append(engine)
    monkeypatch.setitem(sys.modules, "malkoha.arming", fake)
    monkeypatch.setattr(malkoha, "arming", fake, raising=False)
    monkeypatch.setattr(images, "build", build)
    result = malkoha_("image", "build", "--name", "web", "--packages", "nginx, php-cli")
    assert (result.status, result.out) == (0, "default\t0123456789abcdef\t4 MiB\n")
    assert result.err == "malkoha: Installing packages\n"
    assert asked == [("web", ["nginx", "php-cli"]), "tracepoint"]


def test_machines(malkoha_: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    assert malkoha_("machine", "list").out == "pid\trun by\trunning\tmemory\n"
    found = [cleanup.RunningMachine(pid=7, owner=6, running_s=1.4, memory_mb=300)]
    monkeypatch.setattr(cleanup, "machines", lambda home: found)
    assert malkoha_("machine", "list").out.splitlines()[1] == "7\t6\t1 s\t300 MiB"
    assert json.loads(malkoha_("machine", "list", "--json").out)[0]["memory_mb"] == 300
