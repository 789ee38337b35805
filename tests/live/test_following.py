"""Work that a sample hands to others: who does it is traced, marked, and says who was the cause."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.live.commandline import Analysis, Malkoha, Process, compiled, script

pytestmark = pytest.mark.live

LIBRARY = """
#include <unistd.h>
__attribute__((constructor)) static void begin(void)
{
	if (access("/tmp/by-library", F_OK))
		return;
}
"""
INJECT = r"""
import ctypes, glob, os

libc = ctypes.CDLL(None, use_errno=True)


def pid_of(name):
    for folder in glob.glob("/proc/[0-9]*"):
        if open(folder + "/comm").read().strip() == name:
            return int(folder[6:])


logger, bus = pid_of("rsyslogd"), pid_of("dbus-daemon")
assert libc.ptrace(16, logger, 0, 0) == 0
os.waitpid(logger, 0)
assert libc.ptrace(17, logger, 0, 0) == 0
os.close(os.open(f"/proc/{bus}/mem", os.O_RDWR))
"""
HANDED = f"""
echo '* * * * * echo x >/tmp/by-cron' | crontab -
echo 'echo x >/tmp/by-at' | at now
cat >/etc/systemd/system/cache.service <<X
[Service]
Type=oneshot
ExecStart=/bin/sh -c 'echo x >/tmp/by-unit'
X
systemctl daemon-reload
systemctl start cache
systemd-run --quiet --wait /bin/sh -c 'echo x >/tmp/by-transient'
printf '#!/bin/sh\\necho x >/tmp/by-script\\n' >/tmp/job
chmod 755 /tmp/job
mv /tmp/job /usr/local/bin/job
cp /bin/true /usr/local/bin/dropped
echo '|/usr/local/bin/job' >/proc/sys/kernel/core_pattern
ulimit -c unlimited
sh -c 'kill -SEGV $$'
cat >/tmp/inject.py <<X
{INJECT}
X
python3 /tmp/inject.py
logger hello
"""


@pytest.fixture(scope="module")
def handed(shared: Malkoha, tmp_path_factory: pytest.TempPathFactory) -> Analysis:
    return shared.analyze(script(tmp_path_factory.mktemp("handed"), HANDED), "--timeout", "180")


def indirect(found: Analysis, why: str) -> list[Process]:
    return [process for process in found.processes if (process["cause"] or {}).get("why") == why]


def below(found: Analysis, process: Process) -> list[Process]:
    """The process and all that it made."""
    keys, result = {process["key"]}, [process]
    for other in found.processes:
        if other["parent"] in keys:
            keys.add(other["key"])
            result.append(other)
    return result


def ran(found: Analysis, why: str) -> set[str]:
    """The command lines of what was done for one reason."""
    return {
        image["command_line"]
        for process in indirect(found, why)
        for each in below(found, process)
        for image in each["images"]
    }


def caused_by(found: Analysis, process: Process) -> str:
    (cause,) = [other for other in found.processes if other["key"] == process["cause"]["by"]]
    return str(cause["process_name"])


def test_the_run_waits_for_the_cron_job(handed: Analysis) -> None:
    assert handed.ended == "all processes gone"
    assert handed.own["trace"]["unexercised"] == []
    assert handed.own["trace"]["lost"] == 0
    assert "/bin/sh -c echo x >/tmp/by-cron" in ran(handed, "cron")
    assert {caused_by(handed, process) for process in indirect(handed, "cron")} == {"crontab"}


def test_a_job_of_at(handed: Analysis) -> None:
    assert "sh" in ran(handed, "at")
    assert {caused_by(handed, process) for process in indirect(handed, "at")} == {"at"}


def test_units_that_were_written_and_those_of_one_command(handed: Analysis) -> None:
    units = {process["cause"]["what"].partition(".")[2]: process for process in indirect(handed, "unit")}
    assert len(indirect(handed, "unit")) == 2
    assert set(units) == {"service"}
    assert ran(handed, "unit") == {"/bin/sh -c echo x >/tmp/by-unit", "/bin/sh -c echo x >/tmp/by-transient"}
    assert {caused_by(handed, process) for process in indirect(handed, "unit")} == {"cat", "systemd-run"}


def test_the_kernel_runs_a_script_of_the_sample(handed: Analysis) -> None:
    (process,) = indirect(handed, "script")
    assert process["command_line"] == "/bin/sh /usr/local/bin/job"
    assert process["cause"]["what"] == "/usr/local/bin/job"


def test_processes_that_were_written_into(handed: Analysis) -> None:
    (logger,), (bus,) = indirect(handed, "ptrace"), indirect(handed, "memory")
    assert (logger["process_name"], bus["process_name"]) == ("rsyslogd", "dbus-daemon")
    assert caused_by(handed, logger).startswith("python3")
    # what rsyslogd did afterwards is there, and neither of them kept the run open
    assert logger["calls_total"] > 0
    assert (logger["ended"], bus["ended"]) == (None, None)


def test_what_they_wrote_is_in_the_summary_and_in_the_tree(handed: Analysis) -> None:
    created = handed.report["behavior"]["summary"]["file_created"]
    assert {f"/tmp/by-{way}" for way in ("cron", "at", "unit", "transient", "script")} <= set(created)
    assert len(handed.report["behavior"]["processtree"]) == 1
    # cron runs the job once more for each minute that a slow machine takes
    ways = [process["cause"]["why"] for process in handed.processes if process["cause"]]
    assert sorted(set(ways)) == ["at", "cron", "memory", "ptrace", "script", "unit"]
    assert handed.own["trace"]["indirect"] == len(ways)


def test_following_can_be_switched_off(malkoha: Malkoha, tmp_path: Path) -> None:
    text = "echo 'echo x >/tmp/by-at' | at now\nsystemd-run --quiet --wait /bin/true\n"
    found = malkoha.analyze(script(tmp_path, text), "--option", "follow=no")
    assert found.ended == "all processes gone"
    assert found.own["trace"]["indirect"] == 0
    assert not any(process["cause"] for process in found.processes)


def test_a_library_in_everybodys_programs_and_work_that_is_never_done(malkoha: Malkoha, tmp_path: Path) -> None:
    library = compiled(LIBRARY, tmp_path / "library.so", "-shared", "-fPIC")
    sample = tmp_path / "sample.py"
    sample.write_text(
        "import os, subprocess\n"
        f"open('/usr/lib/libnice.so', 'wb').write({library.read_bytes()!r})\n"
        "open('/etc/ld.so.preload', 'w').write('/usr/lib/libnice.so')\n"
        "subprocess.run(['systemctl', 'kill', '-s', 'KILL', 'rsyslog'])\n"
        "subprocess.run(['systemctl', 'restart', 'rsyslog'])\n"
        "open('/etc/cron.d/later', 'w').write('0 0 1 1 * root true\\n')\n"
    )
    found = malkoha.analyze(sample, "--timeout", "20")
    assert "/usr/sbin/rsyslogd" in {process["exe"] for process in indirect(found, "library")}
    # it goes on running, and keeps nobody waiting
    assert found.ended == "timeout"
    assert found.own["trace"]["unexercised"] == ["cron"]
    assert any("work that was not run" in error and "cron" in error for error in found.own["errors"])
