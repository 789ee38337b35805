"""Samples that go for the tracer and its helpers: what was seen until then is there, and what was done."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest

from malkoha.machinery import buildroot
from malkoha.machinery.image import Image
from tests.live.commandline import Malkoha, script

pytestmark = pytest.mark.live
MARK = "cat /etc/debian_version\n"
HOLD = """
agent=$(pgrep -x irqbalance)
python3 - $agent <<'END'
import ctypes, os, sys
agent, libc = int(sys.argv[1]), ctypes.CDLL(None)
assert libc.ptrace(16, agent, 0, 0) == 0
os.waitpid(agent, 0)
assert libc.ptrace(17, agent, 0, 0) == 0
END
kill -STOP $agent
kill -CONT $agent
date -s 1999-01-01
mount -t tmpfs none /proc
for group in $(find /sys/fs/cgroup -name cgroup.freeze | grep -v user.slice); do echo 1 >$group; done
: >/tmp/after-all-others-were-frozen
echo 1 >/sys/fs/cgroup/user.slice/cgroup.freeze
: >/tmp/never
"""


def test_the_agent_is_held_and_everything_frozen(malkoha: Malkoha, tmp_path: Path) -> None:
    found = malkoha.analyze(script(tmp_path, MARK + HOLD), "--network", "none", "--timeout", "25")
    assert found.ended == "timeout"
    assert found.own["trace"]["lost"] == 0
    assert any(process["command_line"] == "cat /etc/debian_version" for process in found.named("cat"))
    created = found.report["behavior"]["summary"]["file_created"]
    assert "/tmp/after-all-others-were-frozen" in created
    assert "/tmp/never" not in created
    lines = [entry["what"] for entry in found.own["tampering"]]
    wanted = [
        "attached to the agent",
        "sent SIGSTOP to the agent",
        "set the clock",
        "mounted over /proc",
        "opened /sys/fs/cgroup/system.slice/cgroup.freeze for writing",
        "opened /sys/fs/cgroup/user.slice/cgroup.freeze for writing",
    ]
    assert [line for line in lines if line in wanted] == wanted, "all of it, in the order in which it was done"
    assert any("the agent in the guest was lost" in error for error in found.own["errors"])
    assert not any("sign of life" in line for line in lines), "the tracer cannot be frozen"


@pytest.fixture(scope="module")
def blinder(image: Image, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """The module of blinder.c, compiled for the guest's kernel."""
    work = tmp_path_factory.mktemp("blinder")
    (work / "blinder.c").write_bytes(Path(__file__).with_name("blinder.c").read_bytes())
    (work / "Makefile").write_text("obj-m := blinder.o\n")
    headers = f"/usr/src/linux-headers-{image.kernel_release}"
    buildroot.run(image, work, ["make", "-C", headers, "M=/tmp", "modules"])
    buildroot.run(image, work, ["strip", "--strip-debug", "blinder.ko"])
    return (work / "blinder.ko").read_bytes()


def test_a_module_of_the_sample_takes_the_tracer_off(malkoha: Malkoha, tmp_path: Path, blinder: bytes) -> None:
    load = "insmod /tmp/blinder.ko\nwhile :; do cat /etc/hostname; done\n"
    text = f"{MARK}base64 -d >/tmp/blinder.ko <<END\n{base64.encodebytes(blinder).decode()}END\n{load}"
    found = malkoha.analyze(script(tmp_path, text), "--network", "none", "--timeout", "120")
    assert found.ended == "tracer stopped"
    assert found.own["trace"]["lost"] == found.own["trace"]["not_understood"] == 0
    assert any(process["command_line"] == "cat /etc/debian_version" for process in found.named("cat"))
    # all until the module was there, and the moment from which on nothing more can be believed
    (loaded,) = found.sql("select time_ns, ret from events where api in ('finit_module', 'init_module')")
    told = {entry["what"]: entry["time"] for entry in found.own["tampering"] if entry["key"] == -1}
    assert told.keys() == {
        "the tracer was taken off the kernel's sys_enter",
        "the tracer was taken off the kernel's sys_exit",
    }
    assert all(0 <= time - loaded[0] / 1e9 < 60 for time in told.values())
    assert any("loaded a kernel module" in entry["what"] for entry in found.own["tampering"])
    assert (
        found.number(f"select count(*) from events where kind = 'syscall' and time_ns > {loaded[0]} + 60000000000") == 0
    )
