"""The tricks of tricks.c, one for each row of docs/evasion.md: what the trace shows of each, what the guest answers."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from malkoha.arming import MODULE_NAMES
from tests.live.commandline import Analysis, Malkoha, Process, compiled, script

pytestmark = pytest.mark.live
SOURCE = Path(__file__).with_name("tricks.c")
TABLE = Path(__file__).parents[2] / "docs" / "evasion.md"
ELSEWHERE = {"E20", "E52"}
"""E20 leaves nothing that could be seen; E52 ends the machine and is asserted by how the second run ends."""
OURS = re.compile(r"malkoha|sandbox|cuckoo|stap|analy[sz]er|tracer|intel_uncore_freq|tainting", re.IGNORECASE)


class Seen(NamedTuple):
    """One event that has to be there: its name (of the call, or its kind), a pattern in its arguments, its result."""

    api: str
    args: str = ""
    result: str | None = ""
    """errno, "" for success, None for whatever."""


SHOWN: dict[str, list[Seen]] = {
    "E01": [Seen("ptrace", "PTRACE_TRACEME")],
    "E02": [Seen("ptrace", "PTRACE_ATTACH"), Seen("ptrace", "PTRACE_DETACH")],
    "E03": [Seen("open", "/proc/self/status"), Seen("read", r"TracerPid:\\t0")],
    "E04": [Seen("rt_sigaction", "SIGTRAP"), Seen("signal", '"SIGTRAP".*"handled":true')],
    "E05": [Seen("prctl", "PR_SET_DUMPABLE"), Seen("prlimit64", "RLIMIT_CORE"), Seen("mlockall")],
    "E06": [Seen("readlink", "/proc/[0-9]+/exe"), Seen("open", "/proc/[0-9]+/cmdline")],
    "E07": [Seen("open", "/proc/self/exe"), Seen("open", "/proc/self/maps"), Seen("open", "/proc/self/mem")],
    "E08": [Seen("open", "/etc/ld.so.preload", "ENOENT"), Seen("open", "/proc/self/environ")],
    "E09": [Seen("open", "/sys/class/dmi/id/product_name"), Seen("open", "/sys/class/dmi/id/sys_vendor")],
    "E10": [Seen("open", "/proc/cpuinfo")],
    "E11": [Seen("ioctl", "SIOCGIFHWADDR"), Seen("open", "/sys/class/net/lo/address")],
    "E12": [Seen("open", "/sys/bus/virtio/devices"), Seen("getdents64"), Seen("open", "/proc/scsi/scsi", None)],
    "E13": [Seen("open", "/proc/modules"), Seen("open", "/sys/module"), Seen("open", "/proc/kallsyms")],
    "E14": [Seen("exec", "systemd-detect-virt"), Seen("statx", "/.dockerenv", "ENOENT")],
    "E15": [Seen("access", "/root/.cuckoo", "ENOENT"), Seen("open", "/proc/[0-9]+/comm")],
    "E16": [Seen("uname"), Seen("open", "/root/.bash_history"), Seen("getdents64")],
    "E17": [Seen("sysinfo"), Seen("statfs", '"/"'), Seen("sched_getaffinity"), Seen("open", "/proc/uptime")],
    "E18": [Seen("clock_nanosleep", '"tv_sec":"?600', None)],
    "E19": [Seen("getppid")],
    "E21": [Seen("clock_settime", '"tv_sec":"?31536000')],
    "E22": [Seen("exec", r'"exe":"/usr/bin/busybox".*kworker/0:1')],
    "E23": [Seen("prctl", "PR_SET_NAME.*dbus-helper")],
    "E24": [Seen("mount", "/proc/[0-9]+.*MS_BIND"), Seen("mount", "hidepid=2")],
    "E25": [Seen("setsid"), Seen("open", "/tmp/daemon-was-here")],
    "E26": [Seen("vfork"), Seen("exec", '"argv":."true".'), Seen("exec", '"argv":."sh","-c",("--",)?"exec true"')],
    "E27": [Seen("clone", "CLONE_UNTRACED"), Seen("clone", "CLONE_PARENT"), Seen("fork")],
    "E28": [Seen("open", "/proc/sys/kernel/ns_last_pid"), Seen("exit", '"code":2')],
    "E29": [Seen("exec", "from-a-thread")],
    "E30": [Seen("setresuid", "1000"), Seen("exec", '"uid":1000,"euid":1000')],
    "E31": [Seen("connect", "/run/(systemd/private|dbus/system_bus_socket)"), Seen("adopt", "run-")],
    "E32": [Seen("open", "/etc/rc.local"), Seen("open", "/root/.bashrc"), Seen("open", "/root/.ssh/authorized_keys")],
    "E33": [Seen("process_vm_writev"), Seen("open", "/proc/[0-9]+/mem"), Seen("ptrace", "PTRACE_POKEDATA")],
    "E34": [Seen("memfd_create", "hidden"), Seen("execveat", "AT_EMPTY_PATH"), Seen("exec", "/memfd:hidden")],
    "E35": [Seen("open", "O_TMPFILE"), Seen("linkat", "/dev/shm/.linked"), Seen("exec", "/dev/shm/.x")],
    "E36": [Seen("exec", "/tmp/deletes-itself"), Seen("unlink", "/tmp/deletes-itself")],
    "E37": [Seen("read", "echo from standard input"), Seen("write", "from standard input")],
    "E38": [Seen("exec", " {6800,}exec true"), Seen("exec", '"argv":."true".')],
    "E39": [Seen("mprotect", "PROT_EXEC")],
    "E40": [Seen("io_uring_setup"), Seen("io_uring_enter")],
    "E41": [Seen("open", "/etc/by-int80", "ENOENT")],
    "E42": [Seen("getppid", "", None)],
    "E43": [
        Seen("openat2", "/etc/hostname"), Seen("faccessat2", "/etc/shadow"), Seen("pidfd_open"),
        Seen("pidfd_send_signal"), Seen("pidfd_getfd"), Seen("fsopen", "tmpfs"), Seen("open_tree", "/tmp"),
        Seen("move_mount", "", None), Seen("mount_setattr", "", None), Seen("process_madvise", "", None),
        Seen("copy_file_range", "", None), Seen("renameat2", "/tmp/none", "ENOENT"), Seen("close_range"),
        Seen("clone3", "", "EINVAL"),
    ],
    "E44": [Seen("open", "/etc/[hs]hadow|/etc/[hs]adow", None)],
    "E45": [Seen("exec", r'"\\nMon Jan  1.*","\\u001b.2J"')],
    "E46": [Seen("prctl", "PR_SET_SECCOMP"), Seen("getppid", "", "EPERM")],
    "E47": [Seen("unshare", "CLONE_NEWPID"), Seen("chroot", "/tmp/jail"), Seen("open", "/inside")],
    "E48": [
        Seen("init_module", "", None), Seen("finit_module", "", None), Seen("kexec_load", "", None),
        Seen("bpf", "BPF_PROG_LOAD", None), Seen("open", "/dev/mem", None), Seen("open", "/proc/kcore", None),
    ],
    "E49": [Seen("kill", "SIGKILL")],
    "E50": [
        Seen("delete_module", "stap_1", "ENOENT"), Seen("open", "/proc/sys/kernel/ftrace_enabled", None),
        Seen("open", "/sys/kernel/tracing/tracing_on", None), Seen("open", "/mnt/kprobes/enabled", None),
        Seen("umount2", "/sys/kernel/tracing", None), Seen("exec", '"true"|"argv":."umount"'),
    ],
    "E51": [Seen("exec", "systemctl.*stop"), Seen("open", "auth.log.*O_TRUNC"), Seen("unlink", "syslog", None)],
    "E53": [Seen("ioctl", "SIOCSIFFLAGS"), Seen("open", "/etc/resolv.conf"), Seen("open", "/etc/hosts")],
    "E54": [Seen("socket", "AF_PACKET"), Seen("setsockopt", "SO_ATTACH_FILTER")],
    "E55": [Seen("sendto", r"qwerty.*8\.8\.8\.8", None)],
    "E56": [Seen("bind", "48101"), Seen("bind", "48101", "EADDRINUSE"), Seen("open", "/proc/net/tcp")],
    "E57": [Seen("exec", "/tmp/malformed")],
    "E58": [Seen("execve", "/tmp/for-arm", "ENOEXEC")],
    "E59": [Seen("exit", '"code":3')],
    "E60": [Seen("inotify_add_watch", "/var/log/wtmp", None), Seen("open", "/dev/input/event0", None)],
}  # fmt: skip
"""What the trace has to show of each trick, in the processes that the trick made or caused."""

SAME = {"open": {"open", "openat"}, "unlink": {"unlink", "unlinkat"}, "access": {"access", "faccessat"},
        "readlink": {"readlink", "readlinkat"}, "statx": {"statx", "stat", "lstat", "newfstatat"},
        "prlimit64": {"prlimit64", "setrlimit"}, "vfork": {"vfork", "clone"},
        "clock_nanosleep": {"clock_nanosleep", "nanosleep"}}  # fmt: skip
"""Libraries choose among these."""


class Run:
    """One run of tricks.c, taken apart by trick."""

    def __init__(self, found: Analysis) -> None:
        self.found = found
        query = "select process, kind, api, args, errno, seq, time_ns, pid, tid, abi, ret from events order by seq"
        self.events = found.sql(query)
        words = re.split(r"^== (E\d+)$", found.stdout.decode("utf-8", "replace"), flags=re.MULTILINE)
        self.answers = dict(zip(words[1::2], words[2::2], strict=True))

    def processes(self, trick: str) -> list[Process]:
        """Those that the trick made or caused."""
        keys = {p["key"] for p in self.found.processes if p["command_line"] == f"trick {trick}"}
        for process in sorted(self.found.processes, key=lambda each: int(each["key"])):
            if process["parent"] in keys or (process["cause"] or {}).get("by") in keys:
                keys.add(process["key"])
        return [process for process in self.found.processes if process["key"] in keys]

    def of(self, trick: str) -> list[Any]:
        keys = {process["key"] for process in self.processes(trick)}
        return [event for event in self.events if event[0] in keys]

    def shows(self, trick: str, wanted: Seen) -> list[Any]:
        names = SAME.get(wanted.api, {wanted.api})
        return [
            event
            for event in self.of(trick)
            if (event[2] or event[1]) in names
            and (wanted.result is None or event[4] == wanted.result)
            and re.search(wanted.args, event[3], re.DOTALL)
        ]


@pytest.fixture(scope="module")
def tricks(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return compiled(SOURCE, tmp_path_factory.mktemp("tricks") / "updater")


@pytest.fixture(scope="module")
def quiet(shared: Malkoha, tricks: Path) -> Run:
    """All tricks that leave the guest as it is."""
    return Run(shared.analyze(tricks, "--timeout", "240"))


@pytest.fixture(scope="module")
def fight(shared: Malkoha, tricks: Path) -> Run:
    """Those that fight it; the last one turns it off."""
    return Run(shared.analyze(tricks, "--timeout", "240", "--arguments", "all fights"))


FIGHTS = {"E49", "E50", "E51", "E53"}


@pytest.mark.parametrize("trick", sorted(SHOWN.keys() - FIGHTS))
def test_the_trace_shows_the_trick(quiet: Run, trick: str) -> None:
    missing = [wanted for wanted in SHOWN[trick] if not quiet.shows(trick, wanted)]
    assert missing == [], [event[1:5] for event in quiet.of(trick)][-40:]


@pytest.mark.parametrize("trick", sorted(FIGHTS))
def test_the_trace_shows_the_fight(fight: Run, trick: str) -> None:
    missing = [wanted for wanted in SHOWN[trick] if not fight.shows(trick, wanted)]
    assert missing == [], [event[1:5] for event in fight.of(trick)][-40:]


def test_what_was_seen_before_the_end_of_the_machine_is_there(fight: Run) -> None:
    assert fight.found.ended == "machine off"
    assert fight.found.own["trace"]["lost"] == 0
    (call,) = [event for event in fight.of("E52") if event[2] == "reboot"]
    assert "POWER_OFF" in call[3]
    lines = [entry["what"] for entry in fight.found.own["tampering"]]
    assert {"sent SIGKILL to the agent", "sent SIGKILL to the launcher"} <= set(lines)
    assert "opened /proc/sys/kernel/ftrace_enabled for writing" in lines
    assert "unmounted /sys/kernel/tracing" in lines
    assert lines[-1] == "turned the machine off or started it anew"


def test_the_run_is_whole(quiet: Run) -> None:
    assert quiet.found.ended == "all processes gone"
    assert quiet.found.own["trace"]["lost"] == quiet.found.own["trace"]["not_understood"] == 0
    times = [event[6] for event in quiet.events]
    assert times == sorted(times), "a sample that turns the clock back changes no order"


def test_calls_are_counted_one_by_one(quiet: Run) -> None:
    assert len(quiet.shows("E19", Seen("getppid"))) == 20_000
    (late,) = quiet.shows("E42", Seen("getppid", "", None))
    assert late[9] == "x32"
    (narrow,) = quiet.shows("E41", Seen("open", "/etc/by-int80", "ENOENT"))
    assert narrow[9] == "i386"


def test_names_and_pids_do_not_mix_processes(quiet: Run) -> None:
    (renamed,) = quiet.processes("E23")
    assert renamed["names"][-1] == "dbus-helper"
    pids = [process["pid"] for process in quiet.processes("E28")]
    assert len(pids) == 3
    assert len(set(pids)) == 2, "two processes bore one pid, and are two"
    thread = quiet.processes("E29")
    assert (len(thread), thread[0]["images"][-1]["command_line"]) == (1, "from-a-thread")
    (inner,) = [process for process in quiet.processes("E47") if process["parent"] == quiet.processes("E47")[0]["key"]]
    assert quiet.answers["E47"].strip() == "pid 1"
    assert inner["pid"] > 1
    daemon = quiet.processes("E25")
    assert len(daemon) == 3, "a daemon stays in the tree below the sample"


def test_a_debugger_check_finds_nothing(quiet: Run) -> None:
    assert quiet.answers["E01"].strip() == "0"
    assert "TracerPid:\t0" in quiet.answers["E03"]
    assert not OURS.search(quiet.answers["E06"])
    assert "sshd-session" in quiet.answers["E06"]


def test_the_machine_is_an_ordinary_one(quiet: Run) -> None:
    dmi = quiet.answers["E09"]
    assert "PowerEdge R640" in dmi
    assert not re.search("qemu|bochs|virtual|standard pc|kvm|seabios", dmi, re.IGNORECASE)
    assert not re.search("hypervisor|qemu|virtual cpu|tcg", quiet.answers["E10"], re.IGNORECASE)
    assert not re.search("52:54:00|08:00:27|00:0c:29", quiet.answers["E11"])
    assert quiet.answers["E14"].split() == ["none"]


def test_nothing_of_the_tracer_is_found(quiet: Run) -> None:
    assert MODULE_NAMES["tracepoint"] not in quiet.answers["E13"]
    assert not OURS.search(quiet.answers["E13"])
    names = re.sub(r"^/.* -1$", "", quiet.answers["E15"], flags=re.MULTILINE)
    assert not re.search(r"qemu|stap|cuckoo|sandbox|agent\.py|malkoha|vbox|vmtoolsd|spice", names, re.IGNORECASE)
    assert quiet.answers["E15"].count(" -1\n") == 7


AGE = r"""
cd /tmp
read -r uptime idle </proc/uptime
echo "uptime ${uptime%.*}"
echo "idle ${idle%.*}"
echo "booted $(($(date +%s) - $(sed -n 's/^btime //p' /proc/stat)))"
echo "who $(($(date +%s) - $(date -d "$(who -b | awk '{print $3, $4}')" +%s)))"
python3 -c 'import time; print("monotonic", int(time.monotonic())); print("raw", int(time.clock_gettime(4)))'
echo first $(ps -o etimes= 1)
echo session $(ps -o etimes= $PPID)
echo "log $(($(date +%s) - $(date -d "$(head -c 32 /var/log/syslog)" +%s)))"
echo "taint $(cat /proc/sys/kernel/tainted)"
grep -a -o -i -E 'BXPC|BOCHS|QEMU[0-9]*' /sys/firmware/acpi/tables/* /var/log/*.log /var/log/syslog /proc/ioports
find /sys -iname '*qemu*'
"""


def test_the_machine_has_run_for_weeks_and_bears_one_makers_name(shared: Malkoha, tmp_path: Path) -> None:
    found = shared.analyze(script(tmp_path, AGE))
    facts = {name: int(value) for name, value in re.findall(rb"^(\w+) (\d+)$", found.stdout, re.MULTILINE)}
    uptime = facts.pop(b"uptime")
    assert uptime > 9 * 86400
    assert facts.pop(b"taint") == 0
    assert facts.pop(b"session") < 3600
    assert facts.pop(b"idle") > uptime // 2
    # those of who and of the log in minutes, and the machine stood still between arming and this run
    stood = facts.pop(b"log") - uptime
    assert stood > -3600
    assert facts.keys() == {b"booted", b"who", b"monotonic", b"raw", b"first"}
    assert {name: age for name, age in facts.items() if abs(age - uptime) > 120} == {}
    assert len(found.stdout.splitlines()) == 10, found.stdout


def test_somebody_seems_to_use_the_machine(quiet: Run) -> None:
    answer = quiet.answers["E16"]
    assert "host web01" in answer
    assert "id_ed25519" in answer
    assert len(answer.split()) > 100
    facts = dict(re.findall(r"^(cpus|ram|disk|uptime) (\d+)$", quiet.answers["E17"], re.MULTILINE))
    assert int(facts["cpus"]) >= 2
    assert int(facts["ram"]) > 1900
    assert int(facts["disk"]) > 38_000
    assert int(facts["uptime"]) > 9 * 86400


def test_the_table_is_that_of_the_suite() -> None:
    rows = re.findall(r"^\| (E\d\d) \| ([^|]*) \| ([^|]*) \| (shown|partly|no) \|$", TABLE.read_text(), re.MULTILINE)
    assert [row[0] for row in rows] == [f"E{number:02}" for number in range(1, 61)]
    sources = SOURCE.read_text()
    for trick, sample, shown, state in rows:
        assert (trick in SHOWN) or trick in ELSEWHERE, trick
        assert f'"{trick}"' in sources or state == "no", trick
        assert sample.strip()
        names = {wanted.api for wanted in SHOWN.get(trick, [])}
        assert not names or any(f"`{name}`" in shown for name in names), f"{trick}: {names}"
    assert sum(state != "no" for *_, state in rows) >= 45
    assert json.dumps(sorted(SHOWN)) == json.dumps(sorted({row[0] for row in rows} - ELSEWHERE))
