import os
import resource
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from malkoha.errors import HostError
from malkoha.machinery import spawn

ROOT = Path(__file__).parents[3]


def started(command: list[str], limits: dict[int, int] | None = None) -> tuple[subprocess.Popen[bytes], int]:
    reading, writing = os.pipe()
    try:
        return spawn.spawn(command, stderr=writing, environment={"PATH": os.environ["PATH"]}, limits=limits), reading
    finally:
        os.close(writing)


def told(command: list[str], limits: dict[int, int] | None = None) -> str:
    process, reading = started(command, limits=limits)
    with open(reading, "rb") as file:
        text = file.read().decode()
    process.wait()
    return text


def test_a_child_has_its_own_session_and_nothing_of_our_environment() -> None:
    text = told(["sh", "-c", 'read -r a b c d e f rest </proc/self/stat; echo "$f $HOME" >&2'])
    session = text.split()[0]
    assert int(session) != os.getsid(0)
    assert len(text.split()) == 1


def test_limits_hold() -> None:
    process, reading = started(["sleep", "60"], limits={resource.RLIMIT_FSIZE: 12345})
    try:
        assert resource.prlimit(process.pid, resource.RLIMIT_FSIZE) == (12345, 12345)
    finally:
        process.kill()
        process.wait()
        os.close(reading)


def test_a_file_at_its_limit_is_an_error_and_not_the_end(tmp_path: Path) -> None:
    script = f"sleep 0.3; head -c 100000 /dev/zero >{tmp_path}/file; echo alive >&2"
    assert "alive" in told(["sh", "-c", script], limits={resource.RLIMIT_FSIZE: 4096})
    assert (tmp_path / "file").stat().st_size <= 4096


def test_a_child_outlives_the_thread_that_asked_for_it() -> None:
    result = []
    thread = threading.Thread(target=lambda: result.append(started(["sleep", "60"])))
    thread.start()
    thread.join()
    process, reading = result[0]
    time.sleep(0.1)
    try:
        assert process.poll() is None
    finally:
        process.kill()
        process.wait()
        os.close(reading)


@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_a_child_dies_with_us(end: signal.Signals) -> None:
    code = (
        "import os, time\n"
        "from malkoha.machinery.spawn import spawn\n"
        "r, w = os.pipe()\n"
        "p = spawn(['sleep', '60'], stderr=w, environment={'PATH': os.environ['PATH']})\n"
        "print(p.pid, flush=True)\n"
        "time.sleep(60)\n"
    )
    parent = subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, cwd=ROOT, text=True
    )
    assert parent.stdout is not None
    pid = int(parent.stdout.readline())
    parent.stdout.close()
    parent.send_signal(end)
    parent.wait()
    deadline = time.monotonic() + 5
    while lives(pid) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not lives(pid)


def lives(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def test_a_program_that_is_not_there_names_its_package(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(HostError, match="apt install nothing-such"):
        spawn.find("no-such-program", "nothing-such")
    monkeypatch.setenv("PATH", "/nonexistent")
    with pytest.raises(HostError, match="setpriv is not installed"):
        started(["sleep", "1"])


def test_a_forked_process_can_start_children_too() -> None:
    started(["true"])[0].wait()
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            status = started(["true"])[0].wait(5)
        finally:
            os._exit(status)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
