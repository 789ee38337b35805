"""What ordinary samples do, as report.json tells it."""

from __future__ import annotations

import json
import re
import shutil
import time
from datetime import datetime
from pathlib import Path

import jsonschema
import pytest

from tests.live.commandline import ROOT, SAMPLES, Analysis, Malkoha, calls, compiled, script

pytestmark = pytest.mark.live


@pytest.fixture(scope="module")
def helloworld(shared: Malkoha) -> Analysis:
    return shared.analyze(SAMPLES / "helloworld.sh")


def test_the_tree_of_helloworld(helloworld: Analysis, malkoha: Malkoha) -> None:
    assert helloworld.tree() == [["bash", ["cat"], ["ping"]]]
    assert helloworld.one("cat")["command_line"] == "cat /etc/passwd"
    assert helloworld.one("ping")["command_line"] == "ping -c 4 www.360.com"
    assert helloworld.own["processes_total"] == 3
    assert helloworld.ended == "all processes gone"
    assert helloworld.own["trace"]["lost"] == helloworld.own["trace"]["not_understood"] == 0
    assert helloworld.own["errors"] == []


def test_cat_opens_the_file_and_writes_its_content(helloworld: Analysis) -> None:
    cat = helloworld.one("cat")
    (opened,) = [call for call in calls(cat, "openat") if call["named"]["pathname"] == "/etc/passwd"]
    assert opened["named"]["flags"].startswith("O_RDONLY")
    assert int(opened["return_value"]) >= 3
    (written,) = calls(cat, "write")
    assert written["named"]["fd"] == "1"
    assert written["named"]["buf"].startswith("root:x:0:0:root:/root:")
    assert "/etc/passwd" in helloworld.report["behavior"]["summary"]["file_read"]


def test_ping_resolves_the_name_and_gets_its_answers(helloworld: Analysis) -> None:
    ping = helloworld.one("ping")
    servers = [call for call in calls(ping, "connect") if call["named"]["addr"].get("sin_port") == "53"]
    assert {server["named"]["addr"]["sa_family"] for server in servers} == {"AF_INET"}
    questions = json.dumps([call["arguments"] for api in ("sendto", "sendmmsg") for call in calls(ping, api)])
    assert r"\u0003www\u0003360\u0003com" in questions
    assert helloworld.report["behavior"]["summary"]["resolves_host"][0] == "www.360.com"
    assert b"4 packets transmitted, 4 received" in helloworld.stdout
    assert ping["exit_code"] == 0


def test_the_output_and_the_exit_status_are_kept(helloworld: Analysis) -> None:
    assert helloworld.stdout.startswith(b"hello world!\nroot:x:0:0:")
    assert helloworld.own["output"]["stdout"] == helloworld.stdout.decode()
    assert helloworld.own["exit_status"] == 0
    assert helloworld.one("bash")["exit_code"] == 0


def test_the_report_fits_its_schema_and_the_task_says_reported(helloworld: Analysis, malkoha: Malkoha) -> None:
    jsonschema.validate(helloworld.report, json.loads((ROOT / "docs" / "report.schema.json").read_text()))
    assert json.loads(helloworld.store.report_json.read_bytes()) == helloworld.report
    (task,) = [task for task in malkoha.tasks() if str(task["id"]) == helloworld.id]
    assert (task["status"], task["error"]) == ("reported", "")


def test_a_warm_analysis_takes_seconds(
    helloworld: Analysis, malkoha: Malkoha, capsys: pytest.CaptureFixture[str]
) -> None:
    # On a machine that does something else as well, one of three may be slow; all three are not.
    figures = []
    for _ in range(3):
        began = time.time()
        found = malkoha.analyze(SAMPLES / "helloworld.sh")
        took = time.time() - began
        run = json.loads(found.store.run.read_bytes())
        first = datetime.fromisoformat(run["started_at"]).timestamp() + run["timings"]["first_event_s"] - began
        figures.append((took, first))
        with capsys.disabled():
            print(f"\n  first event after {first:.2f} s, all of it {took:.1f} s, {run['timings']}")
        if took < 15 and first < 2:
            return
    assert min(took for took, _ in figures) < 15
    # The benchmark tells whether it is 2 s, on a machine that does nothing else.
    assert min(first for _, first in figures) < 10


@pytest.mark.parametrize(
    ("name", "package", "tree", "greeting", "path"),
    [
        ("hello.py", "script", [["env", ["cat"]]], b"hello from python\nwritten by python\n", "/tmp/python.txt"),
        ("hello.pl", "script", [["perl", ["cat"]]], b"hello from perl\nwritten by perl\n", "/tmp/perl.txt"),
    ],
)
def test_a_script_of_another_language(
    malkoha: Malkoha, name: str, package: str, tree: list[object], greeting: bytes, path: str
) -> None:
    found = malkoha.analyze(SAMPLES / name)
    assert found.report["info"]["package"] == package
    assert [[_kind(node), *node[1:]] for node in found.tree()] == [[tree[0][0], *tree[0][1:]]]  # type: ignore[index]
    assert found.stdout == greeting
    assert path in found.report["behavior"]["summary"]["file_created"]
    assert path in found.report["behavior"]["summary"]["file_written"]
    assert (found.ended, found.own["exit_status"]) == ("all processes gone", 0)


def _kind(node: list[object]) -> str:
    return re.sub(r"[0-9.]+$", "", str(node[0]))


def test_a_static_program_with_arguments(malkoha: Malkoha) -> None:
    busybox = shutil.which("busybox")
    assert busybox is not None, "the live tests need busybox-static"
    found = malkoha.analyze(Path(busybox), "--arguments", "sh -c 'cat /etc/hostname; exit 7'")
    assert found.report["info"]["package"] == "elf"
    first = found.processes[0]
    assert first["command_line"] == "/tmp/busybox sh -c cat /etc/hostname; exit 7"
    assert found.own["command"] == ["/tmp/busybox", "sh", "-c", "cat /etc/hostname; exit 7"]
    assert found.stdout.strip()
    assert (found.ended, found.own["exit_status"]) == ("all processes gone", 7 << 8)
    assert found.report["static"]["elf"]


def test_fifty_children_and_eight_threads(malkoha: Malkoha, tmp_path: Path) -> None:
    found = malkoha.analyze(compiled(SAMPLES / "forks.c", tmp_path / "forks"))
    (tree,) = found.tree()
    assert tree == ["forks", *[["forks"]] * 50]
    parent, *children = found.processes
    assert (parent["threads"], len(parent["tids"])) == (9, 9)
    assert {child["threads"] for child in children} == {1}
    assert sorted(child["exit_code"] for child in children) == list(range(50))
    created = found.report["behavior"]["summary"]["file_created"]
    assert {f"/tmp/child.{i}" for i in range(50)} | {f"/tmp/thread.{i}" for i in range(8)} <= set(created)
    threads = found.sql(
        "select tid, json_extract_string(args, '$.pathname') from events where api = 'openat' and tid <> pid"
    )
    assert sorted(path for _, path in threads) == [f"/tmp/thread.{i}" for i in range(8)]
    assert len({tid for tid, _ in threads}) == 8
    assert found.stdout == b"done\n"
    assert found.own["trace"]["lost"] == 0


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return compiled(SAMPLES / "daemon.c", tmp_path_factory.mktemp("daemon") / "daemon")


def _seconds(found: Analysis) -> list[str]:
    written = found.sql(
        "select json_extract_string(args, '$.buf') from events where api = 'write' and comm = 'daemon' order by seq"
    )
    return [text for (text,) in written]


def test_the_run_ends_when_the_daemon_ends(malkoha: Malkoha, daemon: Path) -> None:
    found = malkoha.analyze(daemon)
    assert found.tree() == [["daemon", ["daemon", ["daemon"]]]]
    assert _seconds(found) == [f"second {i}\n" for i in range(1, 6)]
    assert found.ended == "all processes gone"
    first, second, last = found.processes
    assert first["exit_code"] == second["exit_code"] == last["exit_code"] == 0
    assert last["ended"] - first["ended"] > 4.5
    assert found.own["timings"]["run_s"] > 5


def test_a_timeout_ends_the_run_of_a_daemon(malkoha: Malkoha, daemon: Path) -> None:
    found = malkoha.analyze(daemon, "--timeout", "3")
    assert found.ended == "timeout"
    assert 1 <= len(_seconds(found)) <= 3
    assert _seconds(found) == [f"second {i}\n" for i in range(1, 6)][: len(_seconds(found))]
    assert found.processes[-1]["ended"] is None


def test_a_user_of_the_guest(malkoha: Malkoha, tmp_path: Path) -> None:
    passwd = "awk -F: '$3 >= 1000 && $3 < 60000 {print $1; exit}' /etc/passwd; id -un; touch /root/x; pwd"
    name = malkoha.analyze(script(tmp_path, passwd)).stdout.split(b"\n")[0].decode()
    found = malkoha.analyze(script(tmp_path, passwd), "--user", name)
    assert found.stdout.decode() == f"{name}\n{name}\n/tmp\n"
    (denied,) = [call for call in calls(found.one("touch"), "openat") if call["named"]["pathname"] == "/root/x"]
    assert denied["status"] == "EACCES"


def test_a_user_that_the_guest_does_not_have(malkoha: Malkoha) -> None:
    done = malkoha.run("analyze", "--user", "nobody-here", SAMPLES / "helloworld.sh")
    assert done.status == 4
    assert "the guest has no user 'nobody-here' (it has: " in done.last_line
    assert malkoha.tasks()[0]["status"] == "failed_analysis"


def test_arguments_are_split_like_a_shell_does(malkoha: Malkoha, tmp_path: Path) -> None:
    sample = script(tmp_path, "printf '<%s>\\n' \"$@\"")
    found = malkoha.analyze(sample, "--arguments", "-d 'two words' \"it's\" '' '*'")
    assert found.stdout == b"<-d>\n<two words>\n<it's>\n<>\n<*>\n"


def test_a_package_can_be_forced(malkoha: Malkoha, tmp_path: Path) -> None:
    sample = tmp_path / "notes.txt"
    sample.write_text("import sys; print('in python', sys.version_info[0])\n")
    found = malkoha.analyze(sample, "--package", "python")
    assert found.report["info"]["package"] == "python"
    assert found.stdout == b"in python 3\n"


def test_what_is_analysed_can_be_read_again(helloworld: Analysis, malkoha: Malkoha) -> None:
    again = malkoha.run("process", helloworld.id)
    assert again.status == 0, again.err
    report = json.loads(malkoha.run("export", helloworld.id, "--format", "json").out)
    assert report["behavior"] == helloworld.report["behavior"]
    assert b"/etc/passwd" in malkoha.run("trace", helloworld.id, "--syscall", "openat").out
