import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from malkoha.machinery import cleanup
from malkoha.store import Home


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path / "home")


@pytest.fixture
def gone() -> str:
    """Identity of a process that has ended."""
    child = subprocess.Popen(["sleep", "60"])
    owner = cleanup.identity(child.pid)
    child.kill()
    child.wait()
    return owner


def test_we_are_alive() -> None:
    assert cleanup.alive(cleanup.identity())


def test_an_ended_process_is_dead(gone: str) -> None:
    assert not cleanup.alive(gone)


def test_a_zombie_is_dead() -> None:
    child = subprocess.Popen(["true"])
    owner = cleanup.identity(child.pid)
    deadline = time.monotonic() + 5
    while cleanup.alive(owner) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not cleanup.alive(owner)
    child.wait()


def test_a_number_that_was_given_away_is_not_the_owner() -> None:
    boot, namespace, pid, started = cleanup.identity().split()
    assert not cleanup.alive(f"{boot} {namespace} {pid} {int(started) - 1}")


def test_an_owner_of_an_earlier_boot_is_dead() -> None:
    words = cleanup.identity().split()
    assert not cleanup.alive(" ".join(["00000000-0000-0000-0000-000000000000", *words[1:]]))


def test_an_owner_in_another_container_is_believed_for_a_day() -> None:
    boot, _, pid, started = cleanup.identity().split()
    owner = f"{boot} 1 {pid} {started}"
    assert cleanup.alive(owner, age_s=60)
    assert not cleanup.alive(owner, age_s=2 * 86_400)


@pytest.mark.parametrize("owner", ["nonsense", "a b c d", "a b 1 2 3", "\0"])
def test_nonsense_is_no_owner(owner: str) -> None:
    assert not cleanup.alive(owner)


def test_scratch_is_private_and_goes_with_the_block(home: Home) -> None:
    with cleanup.scratch(home) as folder:
        assert folder.parent == home.run
        assert folder.stat().st_mode & 0o777 == 0o700
        assert cleanup.sweep(home) == []
        assert folder.is_dir()
    assert not folder.exists()


def test_folders_of_the_dead_are_removed_and_those_of_the_living_kept(home: Home, gone: str) -> None:
    mine = cleanup.claim(home.run / "mine")
    left = cleanup.claim(home.run / "left")
    (left / cleanup.OWNER).write_text(gone)
    making = cleanup.partial(home.snapshots / "abc")
    (making / cleanup.OWNER).write_text(gone)
    finished = home.snapshots / "def"
    finished.mkdir()
    told = cleanup.sweep(home)
    assert mine.is_dir()
    assert finished.is_dir()
    assert not left.exists()
    assert not making.exists()
    assert len(told) == 2


def test_a_nameless_folder_is_left_alone_while_it_is_new(home: Home) -> None:
    fresh = home.run / "fresh"
    fresh.mkdir(parents=True)
    old = home.run / "old"
    old.mkdir()
    os.utime(old, (0, 0))
    cleanup.sweep(home)
    assert fresh.is_dir()
    assert not old.exists()


def test_a_link_is_not_followed(home: Home, tmp_path: Path) -> None:
    treasure = tmp_path / "treasure"
    treasure.mkdir()
    os.utime(treasure, (0, 0))
    home.run.mkdir(parents=True)
    (home.run / "link").symlink_to(treasure)
    cleanup.sweep(home)
    assert treasure.is_dir()


def test_processes_of_the_dead_are_ended_and_others_not(home: Home, gone: str) -> None:
    def start(owner: str, run: Path) -> subprocess.Popen[bytes]:
        environment = {cleanup.OWNER_VARIABLE: owner, cleanup.RUN_VARIABLE: str(run)}
        code = "import time; print(flush=True); time.sleep(60)"
        child = subprocess.Popen([sys.executable, "-ISc", code], env=environment, stdout=subprocess.PIPE)
        assert child.stdout is not None
        child.stdout.read(1)
        child.stdout.close()
        return child

    orphan = start(gone, home.run)
    mine = start(cleanup.identity(), home.run)
    elsewhere = start(gone, home.root / "other")
    try:
        told = cleanup.sweep(home)
        assert orphan.wait(5) == -9
        assert mine.poll() is None
        assert elsewhere.poll() is None
        assert [line for line in told if str(orphan.pid) in line]
    finally:
        for child in (orphan, mine, elsewhere):
            child.kill()
            child.wait()


def test_a_home_that_does_not_exist_needs_no_sweeping(home: Home) -> None:
    assert cleanup.sweep(home) == []
    assert not home.root.exists()
