"""Opens a URL in a headless Chromium as a person would: keeps page, picture and downloads, runs what can be run.

This is the sample of a URL's analysis: it runs in the guest, with nothing but the standard library.
"""

from __future__ import annotations

import base64
import json
import os
import select
import subprocess
import sys
import tempfile
import time
from typing import Any

URL = ""
PROGRAM = "/usr/bin/chromium"
FLAGS = (
    "--headless=new --remote-debugging-pipe --no-sandbox --no-first-run --disable-gpu --disable-dev-shm-usage "
    "--disable-extensions --disable-background-networking --disable-component-update --disable-sync --no-pings "
    "--disable-blink-features=AutomationControlled --ignore-certificate-errors --window-size=1280,900"
)
START_S = 180.0
"""How long the browser may take to answer for the first time: without KVM it is slow."""
LOAD_S = 90.0
QUIET_S = 4.0
"""How long nothing may have happened for a page to be complete, so that scripts have had their time."""


class Browser:
    """A browser behind a pair of pipes that carry messages of the DevTools protocol, each ended by NUL."""

    def __init__(self, folder: str) -> None:
        to_read, self._write = os.pipe()
        self._read, to_write = os.pipe()

        def place() -> None:
            # first away from 3 and 4, since each may be the other's place
            reading, writing = os.dup(to_read), os.dup(to_write)
            os.dup2(reading, 3)
            os.dup2(writing, 4)

        self.process = subprocess.Popen(
            [PROGRAM, *FLAGS.split(), f"--user-data-dir={folder}", "about:blank"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            close_fds=False,
            preexec_fn=place,  # noqa: PLW1509 - there is one thread
        )
        os.close(to_read)
        os.close(to_write)
        self._buffer = b""
        self._number = 0
        self.events: list[dict[str, Any]] = []

    def send(
        self, method: str, session: str = "", params: dict[str, Any] | None = None, limit: float = 60.0
    ) -> dict[str, Any]:
        """Give a command and return its result; events that come meanwhile are kept."""
        self._number += 1
        message: dict[str, Any] = {"id": self._number, "method": method, "params": params or {}}
        if session:
            message["sessionId"] = session
        os.write(self._write, json.dumps(message).encode() + b"\0")
        end = time.monotonic() + limit
        while True:
            answer = self.next(end)
            if answer is None:
                raise TimeoutError(f"{method}: the browser does not answer")
            if answer.get("id") == self._number:
                if "error" in answer:
                    raise RuntimeError(f"{method}: {answer['error'].get('message')}")
                result: dict[str, Any] = answer.get("result", {})
                return result
            self.events.append(answer)

    def next(self, end: float) -> dict[str, Any] | None:
        """Return the next message; None when there is none before ``end``."""
        while b"\0" not in self._buffer:
            ready = select.select([self._read], [], [], max(0.0, end - time.monotonic()))[0]
            if not ready:
                return None
            block = os.read(self._read, 1 << 20)
            if not block:
                raise EOFError("the browser ended")
            self._buffer += block
        message, _, self._buffer = self._buffer.partition(b"\0")
        found: dict[str, Any] = json.loads(message)
        return found


def visit(browser: Browser, folder: str, url: str) -> list[str]:
    """Open the URL, write page.html and page.png, and return the paths of what was downloaded."""
    version = browser.send("Browser.getVersion", limit=START_S)["userAgent"]
    browser.send(
        "Browser.setDownloadBehavior", "", {"behavior": "allow", "downloadPath": folder, "eventsEnabled": True}
    )
    target = browser.send("Target.createTarget", "", {"url": "about:blank"})["targetId"]
    session = browser.send("Target.attachToTarget", "", {"targetId": target, "flatten": True})["sessionId"]
    browser.send("Page.enable", session)
    browser.send("Network.enable", session)
    # a server that tells browsers from machines is to see a browser
    browser.send("Network.setUserAgentOverride", session, {"userAgent": version.replace("Headless", "")})
    said = browser.send("Page.navigate", session, {"url": url}, limit=LOAD_S)
    names = wait(browser)
    if said.get("errorText") and not names:
        print("not opened:", said["errorText"], file=sys.stderr)
    for name, method, params, key in (
        ("page.html", "Runtime.evaluate", {"expression": "document.documentElement.outerHTML"}, "result"),
        ("page.png", "Page.captureScreenshot", {"format": "png"}, "data"),
    ):
        try:
            found = browser.send(method, session, params)[key]
        except (RuntimeError, KeyError, TimeoutError) as error:
            print("no", name, error, file=sys.stderr)
            continue
        content = base64.b64decode(found) if key == "data" else str(found.get("value", "")).encode()
        with open(os.path.join(folder, name), "wb") as file:
            file.write(content)
    return [os.path.join(folder, os.path.basename(name)) for name in names]


def wait(browser: Browser) -> list[str]:
    """Take events until the page and its downloads are done and quiet; return the names of the downloads."""
    names: dict[str, str] = {}
    running: set[str] = set()
    loaded = False
    end = time.monotonic() + LOAD_S
    pending = list(browser.events)
    while time.monotonic() < end:
        event = pending.pop(0) if pending else browser.next(min(end, time.monotonic() + QUIET_S))
        if event is None:
            if (loaded or names) and not running:
                break
            continue
        method, params = event.get("method"), event.get("params", {})
        if method == "Browser.downloadWillBegin":
            names[params["guid"]] = params.get("suggestedFilename") or params["guid"]
            running.add(params["guid"])
        elif method == "Browser.downloadProgress" and params.get("state") != "inProgress":
            running.discard(params["guid"])
        elif method == "Page.loadEventFired":
            loaded = True
    return list(names.values())


def run(paths: list[str]) -> None:
    """Run what can be run, one after the other."""
    for path in paths:
        try:
            with open(path, "rb") as file:
                head = file.read(4)
        except OSError:
            continue
        if head == b"\x7fELF" or head.startswith(b"#!"):
            os.chmod(path, 0o755)
            subprocess.call([path])


def main() -> int:
    """Do all of it; 127 without a browser, 1 when the URL could not be opened."""
    if not os.path.exists(PROGRAM):
        print(f"{PROGRAM} is not installed", file=sys.stderr)
        return 127
    folder = tempfile.mkdtemp()
    os.chdir(folder)
    browser = Browser(tempfile.mkdtemp(dir="/var/tmp"))
    try:
        paths = visit(browser, folder, URL)
        browser.send("Browser.close", limit=20.0)
        browser.process.wait(30)
    except (OSError, EOFError, RuntimeError, TimeoutError, KeyError, subprocess.TimeoutExpired) as error:
        print("not opened:", error, file=sys.stderr)
        browser.process.kill()
        browser.process.wait()
        return 1
    run(paths)
    return 0


if __name__ == "__main__":
    sys.exit(main())
