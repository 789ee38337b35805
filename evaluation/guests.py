"""Run cases in guests, several at once, and keep their analyses: a second run takes up where the first one ended.

Everything stands in one folder outside the checkout: ``home``, a MALKOHA_HOME with the images and armed snapshots of
the user's own, and ``runs``, one note for each run, named by case and image, with the number of its analysis.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from typing import Any

import malkoha
from evaluation.cases import WORD, Case
from malkoha.store import Home

Told = Callable[[Case, str], None]
"""Called after each run, with one line on what failed; empty when nothing did."""


class Guests:
    """The runs of one folder."""

    def __init__(self, folder: Path, real: Home) -> None:
        self.home = Home(folder / "home")
        self._runs = folder / "runs"
        self._images: dict[str, str] = {}
        for path in (self.home.root, self._runs, real.images, real.snapshots, real.cache):
            path.mkdir(parents=True, exist_ok=True)
        for ours, theirs in (
            (self.home.images, real.images),
            (self.home.snapshots, real.snapshots),
            (self.home.cache, real.cache),
        ):
            ours.unlink(missing_ok=True)
            ours.symlink_to(theirs)
        if real.config.exists():
            shutil.copyfile(real.config, self.home.config)

    def command(self, *words: str) -> subprocess.CompletedProcess[bytes]:
        """Run ``malkoha`` on the home of the evaluation."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith("MALKOHA_")}
        return subprocess.run(
            [sys.executable, "-m", "malkoha.cli", *words],
            env=kept | {"MALKOHA_HOME": str(self.home.root), "PYTHONPATH": str(Path(malkoha.__file__).parent.parent)},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=False,
        )

    def images(self) -> dict[str, str]:
        """Give name -> id of the images that there are."""
        if not self._images:
            listed = json.loads(self.command("image", "list", "--json").stdout or b"[]")
            self._images = {image["name"]: image["id"] for image in listed}
        return self._images

    def build(self, image: str, packages: Sequence[str]) -> str:
        """Build an image where it is missing or out of date; give a line on what failed."""
        done = self.command("image", "build", "--name", image, "--packages", ",".join(packages))
        self._images = {}
        return "" if done.returncode == 0 else _last(done)

    def folder(self, case: Case) -> Path | None:
        """Give the folder of a case's analysis; None when there is none with a report."""
        try:
            number = int(self._note(case).read_text())
        except (OSError, ValueError):
            return None
        store = self.home.analysis(number)
        return store.root if (store.root / "report.json").is_file() else None

    def report(self, case: Case) -> dict[str, Any] | None:
        """Give the report of a case; None when there is none."""
        folder = self.folder(case)
        return json.loads((folder / "report.json").read_bytes()) if folder else None

    def run(self, cases: Sequence[Case], jobs: int, told: Told) -> None:
        """Run cases, several at once."""
        self.images()
        _all(self._analyze, cases, jobs, told)

    def judge(self, cases: Sequence[Case], jobs: int, told: Told) -> None:
        """Make the reports of cases that were run anew, with the rules of today."""
        _all(self._process, [case for case in cases if self.folder(case)], jobs, told)

    def _note(self, case: Case) -> Path:
        return self._runs / f"{case.key}-{self.images().get(case.image, 'none')[:20]}"

    def _analyze(self, case: Case) -> str:
        with tempfile.TemporaryDirectory() as folder:
            sample = Path(folder) / "job.sh"
            sample.write_text(case.script, encoding="utf-8")
            options = ["--image", case.image, "--timeout", str(case.timeout_s), "--package", "script"]
            options += ["--network", case.network] if case.network else []
            done = self.command("analyze", "--json", "--no-open", *options, "--arguments", WORD, "--", str(sample))
        if done.returncode != 0:
            return _last(done)
        part = self._note(case).with_suffix(".part")
        part.write_text(str(json.loads(done.stdout)["info"]["id"]))
        part.replace(self._note(case))
        return ""

    def _process(self, case: Case) -> str:
        folder = self.folder(case)
        assert folder is not None
        done = self.command("process", folder.name)
        return "" if done.returncode == 0 else _last(done)


def _all(work: Callable[[Case], str], cases: Sequence[Case], jobs: int, told: Told) -> None:
    with ThreadPoolExecutor(max_workers=jobs) as pool:
        waiting = {pool.submit(work, case): case for case in cases}
        try:
            for future in as_completed(waiting):
                told(waiting[future], future.result())
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


def _last(done: subprocess.CompletedProcess[bytes]) -> str:
    lines = done.stderr.decode("utf-8", "replace").strip().splitlines()
    return lines[-1][:300] if lines else f"it ended with status {done.returncode} and said nothing"
