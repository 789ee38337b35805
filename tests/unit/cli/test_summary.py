"""The report on a terminal: fits every width, is plain in a pipe, and cannot be steered by the sample."""

from __future__ import annotations

import io
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len
from rich.console import Console

from malkoha.cli.summary import print_summary
from tests import reports

COLOUR = re.compile(r"\x1b\[[0-9;]*m")
ESCAPE = re.compile(r"\x1b(?!\[[0-9;]*m)")


class Ascii(io.StringIO):
    encoding = "ascii"


def printed(
    report: dict[str, Any],
    width: int | None = None,
    *,
    environment: dict[str, str] | None = None,
    stream: io.StringIO | None = None,
) -> str:
    """Print to a terminal of a width, or to a pipe when there is none."""
    stream = stream or io.StringIO()
    terminal = width is not None
    console = Console(
        file=stream,
        width=width or 80,
        force_terminal=terminal,
        color_system="truecolor" if terminal else None,
        soft_wrap=not terminal,
        highlight=False,
        _environ=environment or {},
    )
    print_summary(report, console)
    return stream.getvalue()


def lines(report: dict[str, Any], width: int | None = None) -> list[str]:
    return COLOUR.sub("", printed(report, width)).splitlines()


def test_the_whole_page_at_eighty_columns() -> None:
    assert (
        "\n".join(lines(reports.helloworld(), 80))
        == """
 CLEAN   0.0 of 10  no signature matched

  sample  helloworld.sh · 71.3 kB · Bourne-Again shell script, ASCII text execu…
  sha256  cb30d69b24245bf2ecdc9e7f53bbad19159999970b6d82c0c00c7d32d9e37aa4
  run     1.31 s · all processes gone · exit status 2 · default · tcg
  trace   39 events · none lost · 3 processes · engine tracepoint

Processes
      PID  EXIT        TIME       CALLS
      611  2        13.3 ms          11  /bin/bash /tmp/helloworld.sh
      612  0         4.3 ms          10  ├─ cat /etc/passwd
      613  2        3.89 ms           9  └─ ping -c 4 www.360.com

Files
  read        /tmp/helloworld.sh
              /etc/passwd

Network
  connected   10.0.2.3
  resolved    www.360.com

Output  93 B
  │ hello world!
  │ root:x:0:0:root:/root:/bin/bash
  │ daemon:x:1:1:daemon:/usr/sbin:/usr/sbin/nologin

Error output  56 B
  │ ping: www.360.com: Temporary failure in name resolution"""
    )


def test_signatures_loss_and_further_programs_are_told() -> None:
    page = "\n".join(lines(reports.busy(), 120))
    assert " MALICIOUS   8.7 of 10  persistence_cron, hides_as_kernel_thread" in page
    assert re.search(r"●●●●○  Writes a job of cron, which starts it again +T1053.003", page)
    assert "         persistence_cron, seen 2 times" in page
    assert "/tmp/.x/m -> /usr/bin/kworkerd" in page
    assert "SIGSEGV" in page
    assert "running" in page
    assert "! 12 events could not be delivered and are lost" in page
    assert "! the run stopped at the timeout, while the sample was still at work" in page
    assert "- 1,300 calls are not in the report, only in events.parquet" in page


@pytest.mark.parametrize("width", [20, 40, 80, 120, 200])
@pytest.mark.parametrize("poison", ["", reports.POISON, "x" * 100_000, "Ｗ" * 3000])
def test_no_line_is_wider_than_the_terminal(width: int, poison: str) -> None:
    for line in lines(reports.poisoned(reports.busy(), poison), width):
        assert cell_len(line) <= width


def test_nothing_of_a_sample_steers_the_terminal() -> None:
    page = printed(reports.poisoned(reports.busy()), 400)
    assert not ESCAPE.search(page)
    bare = COLOUR.sub("", page)
    assert all(c.isprintable() or c == "\n" for c in bare)
    assert "\\x1b" in bare
    assert "\\u202e" in bare


def test_markup_of_a_sample_is_text() -> None:
    assert "[bold]x[/bold]" in COLOUR.sub(
        "", printed(reports.poisoned(reports.helloworld(), "[bold]x[/bold]:smile:"), 200)
    )
    assert ":smile:" in printed(reports.poisoned(reports.helloworld(), ":smile:"), 200)


def test_a_pipe_gets_plain_and_whole_lines() -> None:
    report = reports.helloworld()
    report["target"]["file"]["name"] = "n" * 150
    page = printed(report)
    assert "\x1b" not in page
    assert f"  sample  {'n' * 150} · 71.3 kB · Bourne-Again shell script, ASCII text executable\n" in page


def test_no_color_is_honoured() -> None:
    page = printed(reports.busy(), 80, environment={"NO_COLOR": "1"})
    assert not re.search(r"\x1b\[[0-9;]*(?:3[0-7]|4[0-7]|38|48|9[0-7])", page)
    assert "MALICIOUS" in page


def test_a_terminal_without_unicode_gets_ascii() -> None:
    report = reports.poisoned(reports.busy(), "é→ ")
    page = printed(report, 100, stream=Ascii())
    assert page.isascii()
    assert "|- " in page
    assert "`- " in page
    assert "\\xe9\\u2192" in page


def test_long_lists_are_counted() -> None:
    maker = reports.Maker()
    root = maker.process(["/bin/root"], None)
    for number in range(60):
        maker.process([f"/bin/child{number}"], root)
    report = reports.assemble(maker, "many", {"file_written": [f"/tmp/{number}" for number in range(1000)]})
    report["malkoha"]["output"] = {"stdout": "line\n" * 100, "stdout_bytes": 500}
    page = "\n".join(lines(report, 80))
    assert "... and 21 processes more" in page
    assert "and 994 more" in page
    assert "... more in the report" in page


def test_a_deep_tree_neither_recurses_nor_leaves_the_page() -> None:
    maker = reports.Maker()
    parent = None
    for number in range(2000):
        parent = maker.process([f"/bin/p{number}"], parent)
    found = lines(reports.assemble(maker, "deep", {}), 80)
    assert all(len(line) <= 80 for line in found)
    assert any("p39" in line for line in found)


def test_a_path_keeps_its_end() -> None:
    report = reports.assemble(reports.Maker(), "x", {"file_written": ["/very" * 40 + "/the-end.so"]})
    line = next(line for line in lines(report, 60) if "wrote" in line)
    assert len(line) == 60
    assert line.startswith("  wrote       /very/very")
    assert line.endswith("/the-end.so")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
SECTIONS = ("info", "target", "behavior", "signatures", "malkoha", "debug", "network")


@given(st.dictionaries(st.sampled_from(SECTIONS), JSON), JSON)
def test_any_report_has_a_page(report: dict[str, Any], value: Any) -> None:
    own = dict.fromkeys(("verdict", "trace", "timings", "machine", "output", "omitted", "errors"), value)
    behavior = {"processes": [value], "processtree": [value], "summary": {"file_read": value, "command_line": value}}
    for candidate in (report, {"malkoha": own, "behavior": behavior, "signatures": [value], "target": {"file": value}}):
        assert "of 10" in printed(candidate, 80)


def test_what_makes_the_sample_run_again_is_named() -> None:
    assert any("cron: /etc/cron.d/.sysupdate · trigger: timer" in line for line in lines(reports.busy(), 120))


def test_a_network_that_led_out_or_was_another_one_is_named() -> None:
    report = reports.helloworld()
    assert not any(line.startswith("  network") for line in lines(report))
    facts = {"asked": "sim", "mode": "drop", "way": "no namespace, no answers"}
    report["malkoha"]["network"] = facts
    assert "  network drop · no namespace, no answers" in lines(report)
    egress = {"flows": 1, "sent": 1, "received": 2, "blocked": {}}
    report["malkoha"]["network"] = {"asked": "vpn", "mode": "vpn", "way": "through wg0", "egress": egress}
    assert "  network vpn · through wg0 · 1 B out, 2 B in · 1 conversation · nothing blocked" in lines(report)


def test_the_chain_shows_each_download_below_the_analysis_that_fetched_it() -> None:
    link = {"url": "http://c2/kit.zip", "via": 1, "depth": 1, "id": 2, "name": "bot", "level": "clean", "score": 0.5}
    second = {"url": "http://c2/y", "via": 1, "depth": 1, "id": 4, "name": "y", "status": "pending"}
    below = {"url": "http://c2/x", "via": 2, "depth": 2, "id": None, "name": "x", "why": "it ran here"}
    report = {"malkoha": {"chain": {"depth": 0, "links": [link, second, below]}}}
    found = [line for line in lines(report) if "http" in line]
    assert [line.split()[:3] for line in found] == [
        ["analysis", "2", "http://c2/kit.zip"],
        ["no", "analysis", "http://c2/x"],
        ["analysis", "4", "http://c2/y"],
    ]
    assert found[0].rstrip().endswith("clean 0.5")
    assert found[1].startswith("    no analysis")
    assert "downloaded by analysis 7" in "".join(lines({"malkoha": {"chain": {"parent": 7, "depth": 1}}}))
