"""Makes the pictures of docs/img from a real report: ``python -m docs.screenshots REPORT.json`` (``make screenshots``).

The page is made anew from report.json by the reporter of this checkout, and shown by Chromium. With the Debian packages
fonts-inter and fonts-jetbrains-mono the letters are those of the pictures in the repository.
"""

# ruff: noqa: INP001 - a script beside the documents, not a package

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import msgspec

from malkoha.reporting.html_report import render
from tests.browser.chromium import Chromium

FOLDER = Path(__file__).parent / "img"
PICTURES = (
    ("report.png", 1440, 1060, False, "0"),
    ("report-dark.png", 1440, 1060, True, "0"),
    ("calls-dark.png", 1440, 900, True, "document.getElementById('processes').offsetTop - 64"),
    ("report-phone.png", 390, 844, False, "0"),
)
"""Name, width, height, dark, and how far the page is scrolled."""

SEARCH = """
(async () => {
  const box = document.getElementById("call-search");
  await new Promise((done) => setTimeout(done, 300));
  box.value = "passwd";
  box.dispatchEvent(new Event("input"));
  await new Promise((done) => setTimeout(done, 300));
  const list = document.getElementById("call-list");
  const all = () => [...list.querySelectorAll(".cr")];
  const found = () => all().find((row) => row.textContent.includes('"/etc/passwd", flags'));
  for (; !found() && list.scrollTop + list.clientHeight < list.scrollHeight; list.scrollTop += 100) {
    await new Promise((done) => setTimeout(done, 60));
  }
  if (!found()) return;
  list.scrollTop = (Number(found().dataset.row) - 4) * found().offsetHeight;
  await new Promise((done) => setTimeout(done, 100));
  found().click();
})()
"""
"""Finds and opens the call that a reader of helloworld.sh looks for."""


def take(report: Path, folder: Path = FOLDER) -> list[Path]:
    """Write every picture of one report.json and return the files."""
    folder.mkdir(parents=True, exist_ok=True)
    page = render(msgspec.json.decode(report.read_bytes(), type=dict))
    made = []
    with tempfile.TemporaryDirectory() as scratch, Chromium() as browser:
        path = Path(scratch, "report.html")
        path.write_bytes(page.encode("utf-8", "backslashreplace"))
        for name, width, height, dark, offset in PICTURES:
            shown = browser.open(path, width, height, dark=dark, mobile=width < 500).ready()
            shown.resize(width, height, mobile=width < 500, scale=2 if width < 500 else 1.5)
            # the second process is what a reader looks for: the first one is the launcher's shell in most reports
            shown.evaluate(
                "document.querySelectorAll('.tr')[Math.min(1, document.querySelectorAll('.tr').length - 1)].click()"
            )
            shown.evaluate("document.documentElement.style.scrollBehavior = 'auto'")
            if name.startswith("calls"):
                shown.evaluate(SEARCH)
            shown.evaluate(f"scrollTo(0, {offset}); new Promise((done) => setTimeout(done, 300))")
            made.append(shown.screenshot(folder / name))
            shown.close()
    return made


if __name__ == "__main__":
    for picture in take(Path(sys.argv[1])):
        sys.stdout.write(f"{picture} {picture.stat().st_size:,} bytes\n")
