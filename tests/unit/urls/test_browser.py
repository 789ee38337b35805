"""The browser's program against a stand-in that speaks the DevTools protocol, and a real Chromium where it is."""

from __future__ import annotations

import shutil
import subprocess
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from malkoha import urls
from malkoha.urls import browser

CHROMIUM = shutil.which("chromium")

STAND_IN = """#!/usr/bin/python3
import json, os, sys
folder = "."
def say(message):
    os.write(4, json.dumps(message).encode() + b"\\0")
buffer = b""
while True:
    block = os.read(3, 65536)
    if not block:
        sys.exit()
    buffer += block
    while b"\\0" in buffer:
        text, _, buffer = buffer.partition(b"\\0")
        asked = json.loads(text)
        method, params = asked["method"], asked["params"]
        result = {"Browser.getVersion": {"userAgent": "HeadlessChrome/1"}, "Target.createTarget": {"targetId": "T"},
                  "Target.attachToTarget": {"sessionId": "S"}, "Runtime.evaluate": {"result": {"value": "<p>page</p>"}},
                  "Page.captureScreenshot": {"data": "iVBORw=="}}.get(method, {})
        if method == "Browser.setDownloadBehavior":
            folder = params["downloadPath"]
        if method == "Network.setUserAgentOverride":
            open(os.path.join(folder, "agent"), "w").write(params["userAgent"])
        if method == "Page.navigate":
            with open(os.path.join(folder, "run.sh"), "w") as file:
                file.write("#!/bin/sh\\necho stage two\\n")
            guid = {"guid": "g", "suggestedFilename": "../../run.sh"}
            say({"method": "Browser.downloadWillBegin", "params": guid})
            say({"method": "Browser.downloadProgress", "params": {"guid": "g", "state": "completed"}})
        say({"id": asked["id"], "result": result})
        if method == "Browser.close":
            sys.exit()
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the program makes its own folders, and what is current afterwards."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(browser, "QUIET_S", 0.2)
    monkeypatch.setattr("malkoha.urls.browser.tempfile.mkdtemp", partial(made, tmp_path))
    return tmp_path


def made(root: Path, **words: Any) -> str:
    path = root / f"folder{len(list(root.iterdir()))}"
    path.mkdir()
    return str(path)


def kept(folder: Path, name: str) -> Path:
    (found,) = folder.rglob(name)
    return found


def test_page_picture_and_downloads_are_kept_and_run(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    program = folder / "chromium"
    program.write_text(STAND_IN)
    program.chmod(0o755)
    monkeypatch.setattr(browser, "PROGRAM", str(program))
    assert browser.main() == 0
    assert kept(folder, urls.PAGE).read_text() == "<p>page</p>"
    assert kept(folder, urls.PICTURE).read_bytes() == b"\x89PNG"
    assert kept(folder, "agent").read_text() == "Chrome/1"
    # the name that the server suggested leads nowhere else
    assert kept(folder, "run.sh").parent == kept(folder, urls.PAGE).parent
    assert capfd.readouterr().out == "stage two\n"


def test_without_a_browser_it_says_so(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(browser, "PROGRAM", "/no/such/chromium")
    assert browser.main() == 127
    assert "not installed" in capsys.readouterr().err


def test_a_browser_that_ends_is_no_success(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(browser, "PROGRAM", "/bin/true")
    assert browser.main() == 1
    assert "not opened" in capsys.readouterr().err


@pytest.mark.browser
@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium: apt-get install chromium")
def test_a_real_chromium_shows_a_page_of_this_machine(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "site").mkdir()
    (folder / "site" / "index.html").write_text("<h1>hello</h1><script>document.body.append('by script')</script>")

    class Handler(SimpleHTTPRequestHandler):
        def log_message(self, *arguments: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=str(folder / "site")))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        monkeypatch.setattr(browser, "PROGRAM", CHROMIUM)
        monkeypatch.setattr(browser, "URL", f"http://127.0.0.1:{server.server_port}/")
        assert browser.main() == 0
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
    assert "by script" in kept(folder, urls.PAGE).read_text()
    assert kept(folder, urls.PICTURE).read_bytes().startswith(b"\x89PNG\r\n")


def test_what_cannot_be_run_is_left_alone(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "page").write_text("text")
    (tmp_path / "script").write_text("#!/bin/sh\necho ran\n")
    browser.run([str(tmp_path / "page"), str(tmp_path / "none"), str(tmp_path / "script")])
    assert capfd.readouterr().out == "ran\n"
    assert subprocess.run(["test", "-x", str(tmp_path / "page")], check=False).returncode == 1
