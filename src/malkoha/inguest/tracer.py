"""Load the tracer's module into the guest's kernel, with the launcher as its target, and leave nothing else of it.

The loader (staprun(8)) and the module are put on a tmpfs in a mount namespace that only this process is in, and only
until the module is loaded: nobody else in the guest ever sees those files or mounts, and leaving it removes them.
"""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
import time
from datetime import datetime, timedelta

from . import protocol, starting
from .refused import Refused

Head = protocol.Head

FOLDER = "/run/fsck"
"""The host puts the loader and the module here, between ``stage`` and ``arm``."""
LOGS = ("/var/log/syslog", "/var/log/kern.log", "/var/log/auth.log", "/var/log/cron.log")
MODULES = "/sys/module"
LOADER_FOLDER = "/proc/systemtap"
DEBUGFS = "/sys/kernel/debug"
POLL_S = 0.1
DETACH_S = 60.0
HIDDEN_S = 60.0
COMPILER = ("BXPC", "INTL")
"""The compiler of the firmware's tables, which names the emulator, and what the tracer's module has made of it."""
AGED_S = 30.0
"""How long the kernel may take to show its new age; by the wall clock, which stays."""
LOGGED_S = 5.0
"""How long the system's logger may take to write down what the kernel said when the module was loaded."""
SAID = 12
"""How many lines of the loader's standard error an error shows."""


def stage(starter: starting.Starter) -> Head:
    """Start the launcher, then enter a mount namespace of our own with an empty tmpfs in it."""
    starter.start_launcher()
    enter()
    run("mount", "--make-rprivate", "/")
    os.makedirs(FOLDER, exist_ok=True)
    run("mount", "-t", "tmpfs", "tmpfs", FOLDER)
    if not os.path.ismount(DEBUGFS):
        run("mount", "-t", "debugfs", "debugfs", DEBUGFS)
    return {}


def enter() -> None:
    """Make a mount namespace of our own."""
    if sys.version_info >= (3, 12):
        os.unshare(os.CLONE_NEWNS)
    else:
        raise Refused("the guest's Python cannot make a mount namespace")


def leave() -> None:
    """Go back to the mounts of everybody; ours vanish with all that they hold."""
    if sys.version_info >= (3, 12):
        everybody = os.open("/proc/1/ns/mnt", os.O_RDONLY | os.O_CLOEXEC)
        try:
            os.setns(everybody, os.CLONE_NEWNS)
        finally:
            os.close(everybody)
    with contextlib.suppress(OSError):
        os.rmdir(FOLDER)


def arm(starter: starting.Starter, head: Head) -> Head:
    """Load module ``name`` and return the line with which it announces itself; at most ``deadline_s``."""
    end = time.monotonic() + head["deadline_s"]
    try:
        line = load(starter.launcher, head["name"], head.get("arguments", []), end)
    finally:
        leave()
    # the clocks that the watchdogs of systemd go by are about to jump
    run("systemctl", "service-watchdogs", "no")
    return {"line": line, "launcher": starter.launcher}


def settle(head: Head) -> Head:
    """Wait until the guest is ``age_s`` old by its own clocks, then forget how module ``name`` got here."""
    end = time.time() + AGED_S
    while time.clock_gettime(time.CLOCK_BOOTTIME) < head["age_s"]:
        if time.time() > end:
            raise Refused("the guest's clocks were not set ahead")
        time.sleep(POLL_S)
    forget_messages(head["name"], head["age_s"])
    forget_files()
    run("systemctl", "service-watchdogs", "yes")
    return {}


def load(target: int, name: str, arguments: list[str], end: float) -> str:
    """Run the loader until the module has announced itself, then have it detach: the module stays, no process does."""
    output, errors = f"{FOLDER}/out", f"{FOLDER}/err"
    command = [f"{FOLDER}/staprun", "-v", "-x", str(target), "-o", output, f"{FOLDER}/{name}.ko", *arguments]
    environment = {
        "PATH": starting.PATH,
        "LD_LIBRARY_PATH": f"{FOLDER}/lib",
        "SYSTEMTAP_STAPRUN": f"{FOLDER}/staprun",
        "SYSTEMTAP_STAPIO": f"{FOLDER}/stapio",
    }
    with open(errors, "wb") as stderr:
        loader = subprocess.Popen(
            command, env=environment, stdin=subprocess.DEVNULL, stdout=stderr, stderr=stderr, start_new_session=True
        )
    try:
        line = wait_for_line(loader, output, end)
        if not line:
            why = "in time" if loader.poll() is None else f"(its loader ended with {loader.returncode})"
            raise Refused(f"the tracer did not load {why}: {last_words(errors)}")
        # SIGQUIT detaches (staprun.8); whoever of the two processes it reaches tells the other
        os.killpg(loader.pid, signal.SIGQUIT)
        try:
            loader.wait(DETACH_S)
        except subprocess.TimeoutExpired:
            raise Refused(f"the tracer's loader did not detach: {last_words(errors)}") from None
    finally:
        with contextlib.suppress(OSError):
            os.killpg(loader.pid, signal.SIGKILL)
        loader.wait()
    until_hidden(name, time.monotonic() + HIDDEN_S)
    return line


def until_hidden(name: str, end: float) -> None:
    """Wait until the module has taken itself off all lists."""
    while any(os.path.exists(folder) for folder in (f"{MODULES}/{name}", LOADER_FOLDER)):
        if time.monotonic() > end:
            raise Refused("the tracer can still be seen in the guest")
        time.sleep(POLL_S)


def wait_for_line(loader: subprocess.Popen[bytes], output: str, end: float) -> str:
    """Wait for the whole line that begins with ``ring``; empty when the loader ends or time is over."""
    while True:
        over = loader.poll() is not None or time.monotonic() > end
        with contextlib.suppress(FileNotFoundError), open(output, errors="replace") as file:
            for line in file.read(65536).splitlines(keepends=True):
                if line.startswith("ring ") and line.endswith("\n"):
                    return line.strip()
        if over:
            return ""
        time.sleep(POLL_S)


def last_words(errors: str) -> str:
    """Return the last lines that the loader wrote."""
    with open(errors, errors="replace") as file:
        lines = [line.strip() for line in file.read(65536).splitlines() if line.strip()]
    return " / ".join(lines[-SAID:]) or "it said nothing"


def forget_messages(name: str, age_s: int) -> None:
    """Clear what the kernel has said, take the lines about the module and ourselves out of the system's logs.

    What stays there was written ``age_s`` seconds ago.
    """
    drop_caches("4")  # from now on that is not logged any more
    unwanted = re.compile(rf"\b{re.escape(name)}\b|taint|drop_caches|atchdog|kprobes?: ")
    end = time.monotonic() + LOGGED_S
    while time.monotonic() < end and not any(name in text(path) for path in LOGS[:2]):
        time.sleep(POLL_S)
    run("dmesg", "--clear")
    for path in LOGS:
        lines = text(path).splitlines(keepends=True)
        kept = "".join(earlier(line.replace(*COMPILER), age_s) for line in lines if not unwanted.search(line))
        with contextlib.suppress(OSError), open(path, "r+") as file:
            file.write(kept)
            file.truncate()


def earlier(line: str, seconds: int) -> str:
    """Set the time at the beginning of a line of a log back; a line without one stays as it is."""
    stamp, blank, rest = line.partition(" ")
    try:
        moment = datetime.fromisoformat(stamp) - timedelta(seconds=seconds)
    except ValueError:
        return line
    return f"{moment.isoformat()}{blank}{rest}"


def drop_caches(what: str) -> None:
    """Tell the kernel what to drop (proc_sys_vm(5))."""
    with open("/proc/sys/vm/drop_caches", "w") as file:
        file.write(what)


def text(path: str) -> str:
    """Read a log; empty when there is none."""
    try:
        with open(path, errors="replace") as file:
            return file.read()
    except OSError:
        return ""


def forget_files() -> None:
    """Write everything back and drop what was read: the saved machine is smaller and its disk is whole."""
    os.sync()
    drop_caches("3")


def run(*command: str) -> None:
    """Run one program of the system; Refused with what it said."""
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    if done.returncode:
        raise Refused(f"{' '.join(command)}: {done.stderr.strip() or done.returncode}")
