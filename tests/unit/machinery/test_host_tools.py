import os
import secrets
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from malkoha.errors import HostError
from malkoha.machinery import host_tools


def _alive(pid: int) -> bool:
    try:
        return "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except FileNotFoundError:
        return False


def _gone(pid: int) -> bool:
    deadline = time.monotonic() + 5
    while _alive(pid) and time.monotonic() < deadline:
        time.sleep(0.02)
    return not _alive(pid)


def test_output_comes_line_by_line() -> None:
    seen: list[str] = []
    assert host_tools.run(["sh", "-c", "echo one; echo two >&2"], on_line=seen.append) == ["one", "two"]
    assert seen == ["one", "two"]


def test_a_bad_end_tells_tool_status_and_last_lines() -> None:
    with pytest.raises(host_tools.FailedError) as caught:
        host_tools.run(["sh", "-c", "seq 1000; exit 3"])
    assert (caught.value.tool, caught.value.status) == ("sh", 3)
    assert caught.value.lines[-1] == "1000"
    assert len(caught.value.lines) == 400


def test_bytes_that_are_no_text_are_shown_escaped() -> None:
    assert host_tools.run(["printf", r"a\377b\n"]) == [r"a\xffb"]


def test_when_one_fails_the_others_end() -> None:
    pids: list[int] = []
    with pytest.raises(host_tools.FailedError):
        _run_until_one_fails(pids)
    assert _gone(*pids)


def _run_until_one_fails(pids: list[int]) -> None:
    with host_tools.Jobs() as jobs:
        jobs.start("long", ["sh", "-c", "echo $$; exec sleep 60"])
        pids.append(int(next(jobs.lines())[1]))
        jobs.start("bad", ["false"])
        list(jobs.lines())


def test_an_interrupt_ends_the_tools() -> None:
    pids: list[int] = []
    with pytest.raises(KeyboardInterrupt):
        _interrupted(["sh", "-c", "echo $$; exec sleep 60"], lambda line: pids.append(int(line)))
    assert _gone(*pids)


def _interrupted(argv: list[str], at_first_line: Callable[[str], None]) -> None:
    with host_tools.Jobs() as jobs:
        jobs.start("tool", argv)
        at_first_line(next(jobs.lines())[1])
        raise KeyboardInterrupt


def test_missing_programs_are_named_with_their_packages() -> None:
    with pytest.raises(HostError, match=r"qemu-nothing, no-such-tool not found \(.*no-such-tool qemu-nothing"):
        host_tools.need("sh", "qemu-nothing", "no-such-tool")


def test_system_directories_are_searched(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/usr/bin")
    assert host_tools.path_with_sbin() == "/usr/bin:/usr/local/sbin:/usr/sbin:/sbin"


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
def test_mounts_and_grandchildren_vanish_with_the_tool(tmp_path: Path) -> None:
    mark = _mark()
    inside = f"mount -t tmpfs none {tmp_path} && touch {tmp_path}/inside; sleep {mark} & echo ready; sleep {mark}; :"
    with pytest.raises(KeyboardInterrupt):
        _interrupted(host_tools.isolated(["sh", "-c", inside]), lambda _: _wait_for_sleepers(mark, 2))
    _wait_for_sleepers(mark, 0)
    assert list(tmp_path.iterdir()) == []


def _mark() -> str:
    """Return a time to sleep that no other process sleeps."""
    return f"60.{secrets.randbelow(10**9):09}"


def _wait_for_sleepers(mark: str, expected: int) -> None:
    deadline = time.monotonic() + 10
    while (found := _sleepers(mark)) != expected and time.monotonic() < deadline:
        time.sleep(0.02)
    assert found == expected


def _sleepers(mark: str) -> int:
    found = 0
    for process in Path("/proc").glob("[0-9]*"):
        try:
            found += (process / "cmdline").read_bytes() == f"sleep\0{mark}\0".encode()
        except OSError:
            continue
    return found


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
def test_tools_die_with_malkoha_itself() -> None:
    mark = _mark()
    code = (
        "from malkoha.machinery import host_tools\n"
        "with host_tools.Jobs() as jobs:\n"
        f"    jobs.start('x', host_tools.isolated(['sh', '-c', 'echo up; sleep {mark}; :']))\n"
        "    for _, line in jobs.lines(): print(line, flush=True)\n"
    )
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    with process.stdout:
        assert process.stdout.readline() == "up\n"
        _wait_for_sleepers(mark, 1)
        process.kill()
    process.wait()
    _wait_for_sleepers(mark, 0)


def test_without_user_namespaces_the_mend_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.setattr(shutil, "which", lambda tool, path: None)
    with pytest.raises(HostError, match="newuidmap is not installed.*sudo"):
        host_tools.isolated(["true"])


def test_sigterm_lets_clean_up_run() -> None:
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(KeyboardInterrupt), host_tools.sigterm_interrupts():
        signal.raise_signal(signal.SIGTERM)
    assert signal.getsignal(signal.SIGTERM) == before


def test_other_threads_leave_signals_alone() -> None:
    seen = []

    def work() -> None:
        with host_tools.sigterm_interrupts():
            seen.append(signal.getsignal(signal.SIGTERM))

    thread = threading.Thread(target=work)
    before = signal.getsignal(signal.SIGTERM)
    thread.start()
    thread.join()
    assert seen == [before]
