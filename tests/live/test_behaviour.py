"""What the summary says of a sample that does much at once: one run, looked at from all sides."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from tests.live.commandline import Analysis, Malkoha

pytestmark = pytest.mark.live

SAMPLE = r"""#!/usr/bin/python3
import mmap, os, signal, socket, subprocess, threading, time

os.makedirs("/tmp/.x")
with open("/etc/cron.d/update", "w") as job:
    job.write("# nothing\n")
subprocess.run("cd /tmp/.x; cp /bin/sleep kworker; chmod 4755 kworker; touch -d 2001-01-01Z kworker", shell=True)
subprocess.run("head -c 3000 /dev/zero | cat >/tmp/.x/zeros", shell=True)
subprocess.run("mount --bind /etc /mnt; cat /mnt/hostname; umount /mnt", shell=True)
subprocess.run(["true"], env={**os.environ, "LD_PRELOAD": "/tmp/.x/nothing.so"})

ours, theirs = socket.socketpair()
if os.fork() == 0:
    socket.send_fds(ours, [b"x"], [os.open("/etc/shadow", os.O_RDONLY)])
    os._exit(0)
_, (passed,), _, _ = socket.recv_fds(theirs, 10, 1)
os.read(passed, 100)
os.wait()

program = os.memfd_create("x")
os.write(program, open("/bin/true", "rb").read())
if os.fork() == 0:
    os.execv(f"/proc/self/fd/{program}", ["[kworker/0:0]"])
os.wait()

listening = socket.create_server(("127.0.0.1", 4444))
def serve():
    with listening.accept()[0] as client:
        client.recv(100)
        client.sendall(b"z" * 50)
server = threading.Thread(target=serve)
server.start()
with socket.create_connection(("127.0.0.1", 4444)) as client:
    client.sendall(b"GET /stage2 HTTP/1.1\r\nHost: evil.example\r\n\r\n")
    client.recv(100)
server.join()

mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
victim = os.fork()
if victim == 0:
    signal.pause()
os.kill(victim, signal.SIGKILL)
os.wait()
for _ in range(6000):
    os.getppid()
time.sleep(1.5)
"""


@pytest.fixture(scope="module")
def busy(shared: Malkoha, tmp_path_factory: pytest.TempPathFactory) -> Analysis:
    path = tmp_path_factory.mktemp("busy") / "busy.py"
    path.write_text(SAMPLE)
    return shared.analyze(path)


@pytest.fixture(scope="module")
def summary(busy: Analysis) -> dict[str, list[Any]]:
    assert busy.own["exit_status"] == 0, busy.own["output"]["stderr"]
    found: dict[str, list[Any]] = busy.report["behavior"]["summary"]
    return found


def test_what_lasts_and_what_lends_rights(summary: dict[str, list[Any]]) -> None:
    assert {"path": "/etc/cron.d/update", "mechanism": "cron", "trigger": "timer"} in summary["persistence"]
    modes = {entry["path"]: entry for entry in summary["permissions"]}
    assert "set-user-ID" in modes["/tmp/.x/kworker"]["means"]
    assert {"path": "/tmp/.x/kworker", "modified": "978307200"} in summary["timestamps"]
    assert {"name": "LD_PRELOAD", "value": "/tmp/.x/nothing.so"} in summary["environment"]


def test_paths_are_those_behind_mounts_and_descriptors(summary: dict[str, list[Any]]) -> None:
    assert {"/etc/hostname", "/etc/shadow"} <= set(summary["file_read"])
    assert "/mnt/hostname" not in summary["file_read"]
    sizes = {entry["path"]: entry for entry in summary["file_traffic"]}
    assert sizes["/tmp/.x/zeros"] == {"path": "/tmp/.x/zeros", "read": 0, "written": 3000}
    assert sizes["/etc/shadow"]["read"] > 0


def test_who_talked_to_whom(summary: dict[str, list[Any]]) -> None:
    talks = [(entry["via"], re.sub(r" \d+", "", f"{entry['from']}>{entry['to']}"), entry["bytes"])
             for entry in summary["conversations"]]  # fmt: skip
    assert ("pipe", "head>cat", 3000) in talks
    assert any(via == "unix" and size == 1 for via, _, size in talks)


def test_the_network_inside_the_guest(summary: dict[str, list[Any]]) -> None:
    assert {"endpoint": "127.0.0.1:4444", "protocol": "tcp", "what": "listens"} in summary["listens"]
    ways = {entry["direction"]: entry for entry in summary["connections"] if entry["endpoint"] == "127.0.0.1:4444"}
    assert (ways["out"]["sent"], ways["out"]["received"]) == (44, 50)
    assert (ways["in"]["sent"], ways["in"]["received"]) == (50, 44)
    assert "http://evil.example/stage2" in summary["fetches_url"]


def test_what_hides_and_what_it_does_to_others(summary: dict[str, list[Any]]) -> None:
    ran = {entry["what"]: entry for entry in summary["fileless"]}
    assert ran["program in a memfd"]["command"] == "[kworker/0:0]"
    assert ran["memfd made"]["path"] == "/memfd:x"
    assert "mapped writable and executable" in [entry["what"] for entry in summary["memory_executable"]]
    assert ("SIGKILL", "done") in [(entry["signal"], entry["result"]) for entry in summary["signals"]]
    assert [(entry["api"], entry["calls"]) for entry in summary["hammering"]] == [("getppid", 6000)]
    slept = next(entry for entry in summary["timing"] if entry["by"] == "clock_nanosleep")
    assert slept["asked_s"] == pytest.approx(1.5, abs=0.1)


def test_the_noise_stands_apart(busy: Analysis, summary: dict[str, list[Any]]) -> None:
    assert "/etc/ld.so.cache" in busy.own["noise"]["file_opened"]
    assert not [path for path in summary["file_opened"] if Path(path).match("*.so.*") or path == "/etc/ld.so.cache"]
