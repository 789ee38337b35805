"""The launcher and the set-up, in checkouts that hold nothing but them; apt-get and sudo are stand-ins."""

from __future__ import annotations

import hashlib
import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]
LIST = "run  present-package  cmd:sh  is there\nrun  some-package  cmd:no-such-command-at-all  is not\n"


class Checkout:
    """A checkout whose ``.venv`` and tools tell what they were asked."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.tools = root.parent / "tools"
        self.asked = root.parent / "asked"
        self.tools.mkdir(parents=True)
        shutil.copytree(REPOSITORY / "scripts", root / "scripts")
        shutil.copy(REPOSITORY / "malkoha", root / "malkoha")
        (root / "src" / "malkoha" / "cli").mkdir(parents=True)
        (root / "src" / "malkoha" / "__init__.py").write_text("")
        (root / "src" / "malkoha" / "cli" / "__init__.py").write_text("import sys\ndef main(): print(sys.argv[1:])\n")
        (root / "src" / "malkoha" / "cli" / "__main__.py").write_text("from malkoha.cli import main\nmain()\n")
        (root / "requirements.lock").write_text("# nothing\n")
        (root / "requirements-dev.lock").write_text("# nothing more\n")
        self.packages("run  present-package  cmd:sh  is there\n")

    def packages(self, text: str) -> None:
        (self.root / "src" / "malkoha" / "system-packages.txt").write_text("# a comment\n" + text)

    def tool(self, name: str, body: str) -> None:
        path = self.tools / name
        path.write_text(f'#!/bin/sh\necho "{name} $*" >>"{self.asked}"\n{body}\n')
        path.chmod(0o755)

    def log(self) -> list[str]:
        return self.asked.read_text().splitlines() if self.asked.exists() else []

    def fake_environment(self, group: str = "run") -> None:
        """Put an environment there that prints how it is called."""
        folder = self.root / ".venv" / "bin"
        folder.mkdir(parents=True)
        (folder / "python").write_text('#!/bin/sh\necho "python $*"\n')
        (folder / "python").chmod(0o755)
        lock = "requirements-dev.lock" if group == "dev" else "requirements.lock"
        digest = hashlib.sha256((self.root / lock).read_bytes()).hexdigest()
        (self.root / ".venv" / "malkoha-stamp").write_text(f"{group} {digest} {self.root}/src\n")

    def start(self, *arguments: str, path: Path | None = None, **environment: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [path or self.root / "malkoha", *arguments],
            capture_output=True,
            text=True,
            check=False,
            stdin=subprocess.DEVNULL,
            env={**os.environ, "PATH": f"{self.tools}:{os.environ['PATH']}", **environment},
        )


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    return Checkout(tmp_path / "check out")  # with a space, as people have


def no_setup(checkout: Checkout) -> None:
    (checkout.root / "scripts" / "setup.sh").write_text("echo setup >&2; exit 3\n")


def test_a_warm_start_goes_straight_to_the_command(checkout: Checkout, tmp_path: Path) -> None:
    no_setup(checkout)
    checkout.fake_environment()
    done = checkout.start("analyze", "a b", "--", "-x")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "python -I -m malkoha.cli analyze a b -- -x\n"
    link = tmp_path / "link"
    link.symlink_to(checkout.root / "malkoha")
    assert checkout.start("x", path=link).stdout == "python -I -m malkoha.cli x\n"


@pytest.mark.parametrize("change", ["lock", "stamp", "moved", "python", "package"])
def test_what_makes_a_start_cold(checkout: Checkout, change: str) -> None:
    no_setup(checkout)
    checkout.fake_environment()
    if change == "lock":
        (checkout.root / "requirements.lock").write_text("# something\n")
    elif change == "stamp":
        (checkout.root / ".venv" / "malkoha-stamp").unlink()
    elif change == "moved":
        checkout.root = checkout.root.rename(checkout.root.with_name("moved"))
    elif change == "python":
        (checkout.root / ".venv" / "bin" / "python").unlink()
    else:
        checkout.packages(LIST)
    done = checkout.start("x")
    assert (done.returncode, done.stdout, done.stderr) == (3, "", "setup\n")


def test_missing_packages_can_be_accepted(checkout: Checkout) -> None:
    no_setup(checkout)
    checkout.fake_environment()
    checkout.packages(LIST)
    assert checkout.start("x", MALKOHA_NO_INSTALL="1").returncode == 0


def test_only_what_is_missing_is_installed_and_lists_are_fetched_when_needed(checkout: Checkout) -> None:
    checkout.fake_environment()
    checkout.packages(LIST)
    checkout.tool("apt-get", f'grep -q "apt-get.* update" "{checkout.asked}" || exit 100')
    checkout.tool("sudo", 'while [ "$1" = -n ]; do shift; done; exec "$@"')
    done = checkout.start("x")
    assert done.returncode == 0, done.stderr
    asked = [line.split("Use-Pty=0 ")[1] for line in checkout.log() if line.startswith("apt-get")]
    install = "install -y --no-install-recommends some-package"
    assert asked == [install, "update", install]
    news = done.stderr.splitlines()
    assert news[0].startswith("malkoha: installing Debian packages")
    assert news[0].endswith(": some-package")
    assert "present-package" not in done.stderr


def test_packages_that_cannot_be_installed_do_not_stop_the_command(checkout: Checkout) -> None:
    checkout.fake_environment()
    checkout.packages(LIST)
    checkout.tool("apt-get", 'echo "E: Unable to locate package some-package" >&2; exit 100')
    checkout.tool("sudo", 'while [ "$1" = -n ]; do shift; done; exec "$@"')
    done = checkout.start("x")
    assert done.returncode == 0
    assert "could not install some-package: E: Unable to locate package some-package" in done.stderr


def test_the_environment_is_made_whole_and_serves_both_groups(checkout: Checkout) -> None:
    for attempt in range(2):
        done = checkout.start("a", "b")
        assert done.returncode == 0, done.stderr
        assert done.stdout == "['a', 'b']\n"
        assert ("making the virtual environment" in done.stderr) == (attempt == 0)
    environment = (checkout.root / ".venv").resolve()
    setup: list[str | Path] = ["sh", checkout.root / "scripts" / "setup.sh", "dev"]
    subprocess.run(setup, check=True, capture_output=True)
    assert (checkout.root / ".venv").resolve() != environment
    assert checkout.start("c").stderr == ""
    shim = subprocess.run(
        [checkout.root / ".venv" / "bin" / "malkoha", "d"], capture_output=True, text=True, check=True
    )
    assert shim.stdout == "['d']\n"


def test_two_at_once_wait_for_each_other(checkout: Checkout) -> None:
    started = [subprocess.Popen([checkout.root / "malkoha"], stderr=subprocess.PIPE, text=True) for _ in range(2)]
    news = [process.communicate()[1] for process in started]
    assert [process.returncode for process in started] == [0, 0], news
    assert sum("making the virtual environment" in each for each in news) == 1
    assert len(list(checkout.root.glob(".venv-*"))) == 1


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_set_up_leaves_nothing(checkout: Checkout, number: signal.Signals) -> None:
    started = subprocess.Popen(
        [checkout.root / "malkoha"],
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        text=True,
        start_new_session=True,
    )
    deadline = time.monotonic() + 20
    while not list(checkout.root.glob(".venv-run-*")) and time.monotonic() < deadline:
        time.sleep(0.02)
    os.killpg(started.pid, number)
    started.communicate(timeout=20)
    deadline = time.monotonic() + 20
    while list(checkout.root.glob(".venv-run-*")) and time.monotonic() < deadline:
        time.sleep(0.02)  # the shell that cleans up may outlive the one that was started
    assert started.returncode != 0
    assert sorted(path.name for path in checkout.root.glob(".venv*")) in ([], [".venv.lock"])
    assert checkout.start("again").stdout == "['again']\n"


def test_no_python(checkout: Checkout) -> None:
    text = (checkout.root / "scripts" / "setup.sh").read_text()
    candidates = '"${MALKOHA_PYTHON:-}" /usr/bin/python3 python3 python3.13 python3.12 python3.11'
    assert candidates in text
    (checkout.root / "scripts" / "setup.sh").write_text(text.replace(candidates, '"${MALKOHA_PYTHON:-}"'))
    done = checkout.start("x", MALKOHA_NO_INSTALL="1", MALKOHA_PYTHON="/no/such/python")
    assert done.returncode == 3
    assert "no usable Python 3.11" in done.stderr.splitlines()[-1]


def test_usage_of_the_set_up(checkout: Checkout) -> None:
    done = subprocess.run(
        ["sh", checkout.root / "scripts" / "setup.sh", "odd"], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (2, "usage: setup.sh run|dev\n")
