"""Bad input: one clear line, the right exit status, no task half-done, nothing left."""

from __future__ import annotations

import json
import os
import shutil
import stat
import struct
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from malkoha.store import Home
from malkoha.tasks import Tasks
from tests.live.commandline import SAMPLES, Done, Malkoha, Word, script

pytestmark = pytest.mark.live


@pytest.fixture
def refused(malkoha: Malkoha) -> Iterator[Malkoha]:
    """Whatever the test gives is refused before a task exists."""
    with Tasks(malkoha.home) as tasks:
        before, folders = tasks.all(), _folders(malkoha.home)
        yield malkoha
        assert tasks.all() == before
    assert _folders(malkoha.home) == folders


def _folders(home: Home) -> list[str]:
    return sorted(path.name for path in home.analyses.iterdir()) if home.analyses.is_dir() else []


def assert_says(done: Done, status: int, *words: str) -> None:
    """The status, and one line for people on standard error after those that tell the progress."""
    assert done.status == status, done.err
    assert done.out == b""
    assert "Traceback" not in done.err
    assert done.last_line.startswith("malkoha: "), done.err
    for word in words:
        assert word in done.last_line
    assert all(line.startswith("malkoha: ") for line in done.err.splitlines()), done.err


def test_a_file_that_is_not_there(refused: Malkoha, tmp_path: Path) -> None:
    done = refused.run("analyze", tmp_path / "missing")
    assert_says(done, 2, "missing cannot be analysed: there is no such file")
    assert len(done.err.splitlines()) == 1


def test_a_directory(refused: Malkoha, tmp_path: Path) -> None:
    assert_says(refused.run("analyze", tmp_path), 2, "is a directory")


def test_an_empty_file(refused: Malkoha, tmp_path: Path) -> None:
    (tmp_path / "empty").touch()
    assert_says(refused.run("analyze", tmp_path / "empty"), 2, "is empty")


def test_a_fifo(refused: Malkoha, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    assert_says(refused.run("analyze", tmp_path / "fifo"), 2, "is not a regular file: it is a FIFO")


def powerless() -> list[Word]:
    """Words that run a command without root's right to read and write everything."""
    if os.geteuid() != 0:
        return []
    return ["setpriv", "--bounding-set", "-dac_override,-dac_read_search", "--inh-caps=-all", "--"]


def of_nobody(path: Path, mode: int) -> Path:
    path.chmod(mode)
    if os.geteuid() == 0:
        os.chown(path, 65534, 65534)
    return path


def test_a_file_of_somebody_else(refused: Malkoha, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("#!/bin/sh\n")
    done = refused.run("analyze", of_nobody(secret, 0), before=powerless())
    assert_says(done, 2, "secret cannot be analysed: it is not readable for you")


def test_a_file_that_is_too_large(refused: Malkoha, tmp_path: Path) -> None:
    with (tmp_path / "large").open("wb") as file:
        file.truncate(300 << 20)
    done = refused.run("analyze", tmp_path / "large")
    assert_says(done, 2, "large is too large: it has 300.0 MiB, at most 256 are accepted", "analysis.max_sample_mb")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--no-such-option"], "no such option: --no-such-option"),
        (["--timeout", "-1"], "a timeout of -1 s is not possible"),
        (["--timeout", "soon"], "invalid value for '--timeout'"),
        (["--package", "dos"], "there is no package 'dos'"),
        (["--engine", "none"], "there is no engine 'none'"),
        (["--network", "open"], "there is no network mode 'open'"),
        (["--image", "missing"], "there is no image 'missing'"),
        (["--option", "x"], "the option 'x' has no value"),
        (["--arguments", "'"], "the arguments cannot be split"),
        (["--user", "../root"], "'../root' is not a name of a user"),
    ],
)
def test_an_option_that_cannot_be_right(refused: Malkoha, words: list[str], said: str) -> None:
    assert_says(refused.run("analyze", *words, SAMPLES / "helloworld.sh"), 2, said)


def test_an_argument_too_few_and_one_too_many(refused: Malkoha) -> None:
    assert_says(refused.run("analyze"), 2, "missing argument 'TARGET'")
    assert_says(refused.run("analyze", "a", "b"), 2, "unexpected extra argument")


def test_a_wrong_setting(refused: Malkoha) -> None:
    done = refused.run("analyze", SAMPLES / "helloworld.sh", MALKOHA_ANALYSIS_TIMEOUT_S="long")
    assert_says(done, 2, "MALKOHA_ANALYSIS_TIMEOUT_S")


@pytest.mark.parametrize(
    "name",
    [
        b'it\'s "quoted" $(reboot) `x`\ntwo\n\n',
        b"--help",
        b"caf\xe9 \xff\xfe\x1b[31mred\x1b[0m " + "\u202etxt.sh".encode(),
    ],
    ids=["spaces-quotes-newlines", "option", "not-utf-8-escapes"],
)
def test_a_strange_name_works(malkoha: Malkoha, tmp_path: Path, name: bytes) -> None:
    folder = os.fsencode(tmp_path)
    path = folder + b"/" + name
    with open(path, "wb") as file:
        file.write(b'#!/bin/sh\nprintf "<%s>" "$0"\n')
    found = malkoha.analyze(path)
    assert found.stdout == b"</tmp/" + name + b">"
    assert found.ended == "all processes gone"
    shown = malkoha.run("tasks", "--limit", "1")
    assert len(shown.out.splitlines()) == 2
    assert b"\x1b" not in shown.out
    shown.out.decode("utf-8")


def test_a_name_with_a_leading_dash_as_it_is_typed(malkoha: Malkoha, tmp_path: Path) -> None:
    (tmp_path / "-rf").write_text("#!/bin/sh\necho works\n")
    done = subprocess.run(
        [os.fspath(word) for word in malkoha.command("analyze", "--json", "--", "-rf")],
        cwd=tmp_path,
        env=malkoha.environment(),
        capture_output=True,
        stdin=subprocess.DEVNULL,
        check=False,
    )
    assert malkoha.told(Done(done.returncode, done.stdout, done.stderr.decode())).stdout == b"works\n"


# -- what only the guest can tell: the task is there, and says why it failed ------------------------------------------


def elf(*, machine: int = 62, kind: int = 2, loader: bytes = b"") -> bytes:
    """Return a 64-bit ELF file with one program header and nothing to run."""
    offset, size = 64 + 56, max(len(loader), 1)
    header = b"\x7fELF\x02\x01\x01" + bytes(9)
    header += struct.pack("<HHIQQQIHHHHHH", kind, machine, 1, 0x400000, 64, 0, 0, 64, 56, 1, 0, 0, 0)
    segment = struct.pack("<IIQQQQQQ", 3 if loader else 1, 4, offset, 0x400000, 0x400000, size, size, 1)
    return header + segment + (loader or b"\0")


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("half", elf()[:40], "this ELF file is corrupt"),
        ("arm", elf(machine=183), "wrong architecture: it needs an arm64 guest"),
        (
            "mips",
            b"\x7fELF\x01\x02" + bytes(10) + struct.pack(">HH", 2, 8) + bytes(40),
            "it needs a mips guest, big-endian",
        ),
        ("object", elf(kind=1), "this ELF file is no program"),
        ("loader", elf(loader=b"/lib/ld-uClibc.so.0\0"), "it needs the loader /lib/ld-uClibc.so.0"),
        ("fish.sh", b"#!/usr/bin/fish\necho\n", "there is no interpreter /usr/bin/fish in the guest"),
        ("env.sh", b"#!/usr/bin/env lua\nprint()\n", "there is no interpreter lua in the guest"),
        ("dos.sh", b"#!/bin/sh\r\necho\r\n", "its first line ends in CR LF"),
        ("page.php", b"<?php echo 1;\n", "there is no interpreter php in the guest"),
        ("noise", bytes(range(128, 256)) * 8, "the sample could not be executed: Exec format error (ENOEXEC)"),
    ],
)
def test_a_sample_that_the_guest_cannot_run(
    malkoha: Malkoha, tmp_path: Path, name: str, content: bytes, said: str
) -> None:
    (tmp_path / name).write_bytes(content)
    done = malkoha.run("analyze", tmp_path / name)
    assert_says(done, 4, said)
    task = malkoha.tasks()[0]
    assert (task["status"], said in task["error"]) == ("failed_analysis", True)


def test_a_program_whose_head_only_is_right(malkoha: Malkoha, tmp_path: Path) -> None:
    # the kernel takes the header, maps the one page and the program dies at once: that is a run, with a report
    (tmp_path / "dies").write_bytes(elf())
    done = malkoha.run("analyze", "--json", tmp_path / "dies")
    if done.status == 4:
        assert_says(done, 4, "the sample could not be executed")
    else:
        found = malkoha.told(done)
        assert found.ended == "all processes gone"
        assert found.own["exit_status"] & 0x7F, "it was not ended by a signal"


# -- what the host cannot do -----------------------------------------------------------------------------------------


def test_no_qemu(malkoha: Malkoha) -> None:
    done = malkoha.run("analyze", SAMPLES / "helloworld.sh", MALKOHA_MACHINE_QEMU="qemu-that-is-not-there")
    assert_says(done, 3, "qemu-that-is-not-there is not installed", "apt install qemu-system-x86")
    assert malkoha.tasks()[0]["status"] == "failed_analysis"


def test_a_qemu_that_fails(malkoha: Malkoha) -> None:
    done = malkoha.run("analyze", SAMPLES / "helloworld.sh", MALKOHA_MACHINE_QEMU="/bin/false", timeout_s=120)
    assert done.status in (3, 4)
    assert "Traceback" not in done.err
    assert malkoha.tasks()[0]["status"] == "failed_analysis"


def test_a_home_that_cannot_be_written(real: Home, tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    closed.mkdir()
    of_nobody(closed, 0o555)
    malkoha = Malkoha(tmp_path / "home", real)
    done = malkoha.run("analyze", SAMPLES / "helloworld.sh", before=powerless(), MALKOHA_HOME=str(closed / "home"))
    assert_says(done, 3, "cannot be written", "Permission denied", "set MALKOHA_HOME")


@pytest.fixture
def small(real: Home, tmp_path: Path) -> list[Word]:
    """Words that run a command where the home of ``tmp_path`` is a file system of a few megabytes."""
    alone = ["unshare", "--mount", *(["--map-root-user"] if os.geteuid() else [])]
    if subprocess.run([*alone, "true"], capture_output=True, check=False).returncode:
        pytest.skip("this system allows no mount namespace of one's own")
    return [*alone, "--", "sh", "-c"]


INSIDE = (
    'mount -t tmpfs -o size="$0" none "$MALKOHA_HOME" && cp -a "$MALKOHA_HOME.links/." "$MALKOHA_HOME" || exit 99; '
)
AFTER = 'status=$?; find "$MALKOHA_HOME" -mindepth 1 -not -path "*/analyses/*" -printf "%P\\n"; '
LIST = 'ls -R "$MALKOHA_HOME/analyses"; exit $status'


def on_small_disk(malkoha: Malkoha, small: list[Word], size: str, *words: Word) -> Done:
    links = malkoha.home.root.with_name(malkoha.home.root.name + ".links")
    shutil.copytree(malkoha.home.root, links, symlinks=True)
    text = INSIDE + '"$@" >&2; ' + AFTER + LIST
    return malkoha.run(*words, before=[*small, text, size])


def test_a_disk_too_full_for_the_sample(fresh: Malkoha, small: list[Word], tmp_path: Path) -> None:
    with (tmp_path / "sample").open("wb") as file:
        file.write(b"#!/bin/sh\n" + bytes(12 << 20))
    done = on_small_disk(fresh, small, "8m", "analyze", tmp_path / "sample")
    assert done.status == 3, done.err
    assert "no space is left under" in done.last_line
    assert done.out.decode().split("analyses:\n")[1] == ""


def test_a_disk_too_full_for_a_machine(fresh: Malkoha, small: list[Word]) -> None:
    done = on_small_disk(fresh, small, "32m", "analyze", SAMPLES / "helloworld.sh")
    assert done.status == 3, done.err
    assert "Traceback" not in done.err
    assert "space" in done.last_line
    assert "run/" not in done.out.decode()


def test_a_disk_that_fills_up_while_the_sample_runs(fresh: Malkoha, small: list[Word], tmp_path: Path) -> None:
    sample = script(tmp_path, "while :; do dd if=/dev/zero of=/dev/null bs=1 count=100000; done")
    done = on_small_disk(fresh, small, "80m", "analyze", sample)
    assert done.status in (3, 4), done.err
    assert "Traceback" not in done.err
    assert "No space left on device" in done.last_line
    assert "run/" not in done.out.decode()


def _own_image(malkoha: Malkoha, real: Home) -> Path:
    """Give this home an images folder of its own whose files are links to the real ones; return the image's."""
    malkoha.home.images.unlink()
    (malkoha.home.images / "names").mkdir(parents=True)
    name = os.readlink(real.images / "names" / "default")
    (malkoha.home.images / "names" / "default").symlink_to(name)
    folder = malkoha.home.images / Path(name).name
    folder.mkdir()
    for path in (real.images / folder.name).iterdir():
        (folder / path.name).symlink_to(path)
    (malkoha.home.images / "parts").symlink_to(real.images / "parts")
    return folder


def test_an_image_that_is_removed_while_it_runs(fresh: Malkoha, real: Home, tmp_path: Path) -> None:
    folder = _own_image(fresh, real)
    sample = script(tmp_path, "echo before; sleep 3; cat /etc/hostname; ls -R /usr/share/doc | wc -l; echo after")
    running = fresh.begin("analyze", "--json", sample)
    running.until_recording()
    shutil.rmtree(folder)
    (fresh.home.images / "names" / "default").unlink()
    found = fresh.told(running.end())
    assert found.stdout.startswith(b"before\n")
    assert found.stdout.endswith(b"after\n")
    assert found.ended == "all processes gone"


def test_a_named_image_that_is_removed_before_its_task_runs(fresh: Malkoha, real: Home) -> None:
    _own_image(fresh, real)
    names = fresh.home.images / "names"
    (names / "mine").symlink_to(os.readlink(names / "default"))
    assert fresh.run("submit", "--image", "mine", SAMPLES / "helloworld.sh").status == 0
    (names / "mine").unlink()
    done = fresh.run("run")
    assert done.status == 4
    assert "there is no image mine" in done.last_line
    (task,) = fresh.tasks()
    assert (task["status"], "there is no image mine" in task["error"]) == ("failed_analysis", True)


def test_an_image_without_its_files(fresh: Malkoha, real: Home) -> None:
    folder = _own_image(fresh, real)
    names = fresh.home.images / "names"
    (names / "mine").symlink_to(os.readlink(names / "default"))
    (folder / "disk.qcow2").unlink()
    done = fresh.run("analyze", "--image", "mine", SAMPLES / "helloworld.sh")
    assert_says(done, 2, "there is no image 'mine'")
    assert fresh.tasks() == []


def test_nothing_of_it_was_executable_on_the_host(malkoha: Malkoha, tmp_path: Path) -> None:
    sample = script(tmp_path, "exit 0\n")
    sample.chmod(0o755)
    found = malkoha.analyze(sample)
    assert stat.S_IMODE(found.store.sample.stat().st_mode) == 0o600
    assert json.loads(found.store.task.read_bytes())["status"] == "pending"
