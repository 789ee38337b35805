"""The kprobe engine: the same run, in the text form that other tools read. Its module takes minutes to compile."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from malkoha import arming, config
from malkoha.machinery.image import Image
from malkoha.store import Home
from malkoha.trace import stap
from tests.live.commandline import SAMPLES, Analysis, Malkoha, calls, lines_of

pytestmark = [pytest.mark.live, pytest.mark.slow, pytest.mark.timeout(3600)]

LINE = re.compile(
    r"(Mon|Tue|Wed|Thu|Fri|Sat|Sun) (Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec) [ 0-3][0-9] "
    r"[0-9]{2}:[0-9]{2}:[0-9]{2} [0-9]{4}\.[0-9]{6} [^ @\[\]()]+@[0-9a-f]+\[[0-9]+\] "
    r"\w+\([ -~]*\)( = -?\w+( \([A-Z0-9]+\))?)?"
)
"""The grammar of Cuckoo's SystemTap log, as docs/trace.md has it."""


@pytest.fixture(scope="module")
def helloworld(image: Image, real: Home, shared: Malkoha) -> Analysis:
    # without a network card: it takes minutes to load, so it is armed once only
    arming.armed(image, "kprobe", real, config.load(real, {}))
    return shared.analyze(SAMPLES / "helloworld.sh", "--engine", "kprobe", "--network", "none")


def test_the_tree_is_the_same(helloworld: Analysis) -> None:
    assert helloworld.tree() == [["bash", ["cat"], ["ping"]]]
    assert helloworld.own["trace"]["engine"] == "kprobe"
    assert helloworld.ended == "all processes gone"
    assert helloworld.stdout.startswith(b"hello world!\nroot:x:0:0:")
    assert helloworld.own["exit_status"] == 2 << 8


def test_the_calls_are_there(helloworld: Analysis) -> None:
    cat = helloworld.one("cat")
    assert any("/etc/passwd" in call["arguments"].values() for call in calls(cat, "openat"))
    assert any("root:x:0:0:" in str(call["arguments"]) for call in calls(cat, "write"))
    assert {call["api"] for call in helloworld.one("ping")["calls"]} & {"connect", "sendto", "sendmmsg"}


def test_losses_are_counted_and_all_else_is_understood(helloworld: Analysis) -> None:
    trace = helloworld.own["trace"]
    assert trace["not_understood"] == 0
    assert trace["lost"] >= 0
    assert trace["events"] == helloworld.number("select count(*) from events")


def test_every_line_follows_the_grammar(helloworld: Analysis) -> None:
    lines = list(lines_of(helloworld.store.stap.read_bytes()))
    assert len(lines) > 300
    assert [line for line in lines if not LINE.fullmatch(line)] == []


def test_the_export_reads_back(helloworld: Analysis, malkoha: Malkoha, tmp_path: Path) -> None:
    file = tmp_path / "all.stap"
    done = malkoha.run("export", helloworld.id, "--format", "stap", "--output", file)
    assert done.status == 0, done.err
    lines = list(lines_of(file.read_bytes()))
    assert [line for line in lines if not LINE.fullmatch(line)] == []
    events = list(stap.parse(file))
    assert {event.kind for event in events} == {"syscall"}
    assert len(events) == helloworld.number("select count(*) from events where kind = 'syscall'") == len(lines)
    opened = [event for event in events if event.comm == "cat" and event.api == "openat"]
    assert any("/etc/passwd" in map(str, event.args.values()) for event in opened)
