"""What is installed: a wheel that is whole and runs, and units that systemd understands."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path

import pytest

import malkoha
from malkoha.cli import app

ROOT = Path(__file__).parents[2]
UNITS = sorted((ROOT / "packaging").glob("*.service"))


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the wheel from what git knows, so that nothing of a working copy gets into it."""
    folder = tmp_path_factory.mktemp("wheel")
    done = subprocess.run(
        ["git", "-C", str(ROOT), "ls-files", "-z", "-co", "--exclude-standard"], capture_output=True, check=True
    )
    for name in filter(None, done.stdout.decode().split("\0")):
        if (ROOT / name).is_file():
            (folder / "source" / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(ROOT / name, folder / "source" / name)
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "-w", str(folder), str(folder / "source")]
    subprocess.run(command, check=True, capture_output=True)
    (made,) = folder.glob("*.whl")
    return made


def test_the_wheel_holds_every_file(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        packed = {name for name in archive.namelist() if name.startswith("malkoha/")}
    done = subprocess.run(
        ["git", "-C", str(ROOT), "ls-files", "-co", "--exclude-standard", "src"],
        capture_output=True,
        text=True,
        check=True,
    )
    known = {name.removeprefix("src/") for name in done.stdout.splitlines() if (ROOT / name).is_file()}
    assert sorted(known - packed) == []
    assert [name for name in packed if "/tests/" in name] == []


def test_it_runs_where_it_is_installed(wheel: Path, tmp_path: Path) -> None:
    """In an environment of its own, which borrows the libraries of this one."""
    venv.create(tmp_path / "venv", with_pip=False)
    python = tmp_path / "venv" / "bin" / "python"
    command = [sys.executable, "-m", "pip", f"--python={python}", "install", "--quiet", "--no-deps", str(wheel)]
    subprocess.run(command, check=True, capture_output=True)
    (place,) = (tmp_path / "venv" / "lib").glob("python*/site-packages")
    (place / "borrowed.pth").write_text(sysconfig.get_path("purelib") + "\n")
    environment = {"MALKOHA_HOME": str(tmp_path / "home"), "PATH": "/usr/bin:/bin"}

    def call(*words: str | Path) -> str:
        done = subprocess.run(words, capture_output=True, text=True, check=False, cwd=tmp_path, env=environment)
        assert done.returncode == 0, done.stderr
        return done.stdout

    assert call(python, "-c", "import malkoha; print(malkoha.__file__)").startswith(str(tmp_path))
    command_ = tmp_path / "venv" / "bin" / "malkoha"
    assert call(command_, "--version").strip() == f"malkoha {malkoha.__version__}"
    assert call(command_, "token", "add", "alice").startswith("mk_")
    assert "malkoha" in call(command_, "rules", "list")
    call(command_, "init", "--force")


@pytest.mark.parametrize("unit", UNITS, ids=lambda path: path.name)
def test_units(unit: Path, tmp_path: Path) -> None:
    text = unit.read_text()
    words = re.findall(r"^ExecStart=\S+/malkoha (.*)$", text, re.MULTILINE)[0].split()
    command = app.command(words[0]).commands[words[0]]
    known = {name for parameter in command.params for name in parameter.opts}
    assert {word for word in words if word.startswith("--")} <= known
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd-analyze is not installed")
    # the program and its user are made by whoever installs it
    copy = tmp_path / unit.name.replace("@", "@1")
    copy.write_text(re.sub(r"^ExecStart=\S+", "ExecStart=/bin/true", text, flags=re.MULTILINE))
    done = subprocess.run(["systemd-analyze", "verify", str(copy)], capture_output=True, text=True, check=False)
    told = [line for line in done.stderr.splitlines() if unit.stem.rstrip("@") in line]
    assert told == [], done.stderr
