"""report.html in a real browser: what it shows, how it is used, that hostile reports stay text."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from malkoha.reporting.html_report import render
from tests import reports
from tests.browser.chromium import Chromium, Page

pytestmark = pytest.mark.browser

ROWS = "[...document.querySelectorAll('#call-list .cr')]"
COUNT = "document.getElementById('call-count').textContent"


@pytest.fixture(scope="module")
def browser() -> Iterator[Chromium]:
    with Chromium() as running:
        yield running


def show(browser: Chromium, folder: Path, report: dict[str, Any], width: int = 1440, *, dark: bool = False) -> Page:
    path = folder / "report.html"
    path.write_bytes(render(report).encode("utf-8", "backslashreplace"))
    return browser.open(path, width, 900, dark=dark, mobile=width < 500).ready()


def text(page: Page, selector: str) -> str:
    return str(page.evaluate(f"document.querySelector({selector!r}).innerText"))


def type_into(page: Page, selector: str, words: str) -> None:
    page.evaluate(f"document.querySelector({selector!r}).focus(); document.querySelector({selector!r}).select()")
    page.write(words)


def in_sight(page: Page, selector: str) -> bool:
    box = f"document.querySelector({selector!r}).getBoundingClientRect()"
    return bool(page.evaluate(f"(b => b.height > 0 && b.top < innerHeight && b.bottom > 0)({box})"))


def test_it_shows_the_run(browser: Chromium, tmp_path: Path) -> None:
    page = show(browser, tmp_path, reports.helloworld())
    assert page.evaluate("document.title") == "clean 0.0 · helloworld.sh · malkoha"
    assert text(page, "h1") == "helloworld.sh"
    tree = page.evaluate(
        "[...document.querySelectorAll('.tr')].map(r => [r.ariaLevel, r.querySelector('.what').innerText])"
    )
    assert [(level, " ".join(what.split())) for level, what in tree] == [
        ("1", "bash /tmp/helloworld.sh"),
        ("2", "cat /etc/passwd"),
        ("2", "ping -c 4 www.360.com"),
    ]
    assert "hello world!" in text(page, "#output")
    assert "Temporary failure in name resolution" in text(page, "#output")
    assert page.complaints() == []
    assert page.requests() == []


def test_a_chosen_process_shows_its_calls_with_named_arguments(browser: Chromium, tmp_path: Path) -> None:
    page = show(browser, tmp_path, reports.helloworld())
    page.evaluate("document.querySelectorAll('.tr')[1].click()")
    page.wait(f"{COUNT} === '10'")
    lines = page.evaluate(f"{ROWS}.map(r => r.innerText.split('\\n').join(' '))")
    found = next(line for line in lines if "passwd" in line and "openat" in line)
    assert 'dirfd=AT_FDCWD, pathname="/etc/passwd", flags=O_RDONLY 3' in found
    assert text(page, "#process-card b") == "cat"
    assert "/usr/bin/cat" in text(page, ".card-top")


def test_calls_are_found_by_name_argument_error_and_without(browser: Chromium, tmp_path: Path) -> None:
    page = show(browser, tmp_path, reports.busy())
    page.evaluate("document.querySelectorAll('.tr')[1].click()")
    page.wait(f"{COUNT} === '50'")
    for words, number in (
        ("cron", "1 of 50"),
        ("err:enoent", "41 of 50"),
        ("name:openat -enoent", "2 of 50"),
        ("arg:proc arg:exe ret:-2", "40 of 50"),
        ('"root /usr/bin"', "1 of 50"),
        ("nowhere", "0 of 50"),
    ):
        type_into(page, "#call-search", words)
        page.wait(f"{COUNT} === {number!r}")
    assert "No call fits" in text(page, "#call-list")
    page.key("Escape")
    page.wait(f"{COUNT} === '50'")


def test_chips_choose_failed_marked_and_kinds(browser: Chromium, tmp_path: Path) -> None:
    page = show(browser, tmp_path, reports.busy())
    page.evaluate("document.querySelectorAll('.tr')[1].click()")
    page.wait(f"{COUNT} === '50'")
    page.key("f")
    page.wait(f"{COUNT} === '41 of 50'")
    assert page.evaluate("document.querySelector('[data-value=\"!failed\"]').ariaPressed") == "true"
    assert page.evaluate(f"{ROWS}.every(r => r.classList.contains('failed'))")
    page.key("f")
    page.evaluate("document.querySelector('[data-value=\"!marked\"]').click()")
    page.wait(f"{COUNT} === '36 of 50'")
    page.evaluate("document.querySelector('#tops [data-value=\"write\"]').click()")
    page.wait(f"{COUNT} === '1 of 50'")


def test_a_mark_of_a_signature_leads_to_its_call(browser: Chromium, tmp_path: Path) -> None:
    page = show(browser, tmp_path, reports.busy())
    page.evaluate("document.querySelector('button.jump').click()")
    page.wait("!document.getElementById('detail').hidden")
    assert "/etc/cron.d/.sysupdate" in text(page, "#detail")
    assert "Writes a job of cron" in text(page, "#detail .sigline")
    assert page.evaluate("document.querySelector('.cr.chosen .args').innerText").count(".sysupdate") == 1
    page.key("Escape")
    assert page.evaluate("document.getElementById('detail').hidden")


def test_the_whole_page_is_used_by_keys(browser: Chromium, tmp_path: Path) -> None:
    page = show(browser, tmp_path, reports.busy())
    page.key("p")
    page.wait("document.activeElement.id === 'tree'")
    page.key("ArrowDown")
    page.wait("document.querySelector('.tr.chosen .name').innerText === 'update.bin'")
    page.key("ArrowLeft")
    page.wait("document.querySelectorAll('.tr').length === 2")
    page.key("ArrowRight")
    page.wait("document.querySelectorAll('.tr').length === 5")
    page.key("Enter")
    page.wait("document.activeElement.id === 'call-list'")
    page.key("ArrowDown")
    page.key("j")
    page.key("Enter")
    page.wait("document.querySelector('#detail h3').innerText === 'brk'")
    assert page.evaluate("document.getElementById('call-list').getAttribute('aria-activedescendant')") == "call-list-1"
    page.key("/")
    page.wait("document.activeElement.id === 'call-search'")
    page.key("t")
    assert page.evaluate("document.activeElement.value") == "t"
    assert not page.evaluate("document.documentElement.dataset.theme")


def test_the_theme_follows_the_system_until_it_is_switched(browser: Chromium, tmp_path: Path) -> None:
    page = show(browser, tmp_path, reports.helloworld(), dark=True)
    background = "getComputedStyle(document.body).backgroundColor"
    assert page.evaluate(background) == "rgb(15, 21, 20)"
    page.key("t")
    assert page.evaluate(background) == "rgb(245, 246, 244)"
    page.evaluate("localStorage.removeItem('malkoha-theme')")


def test_processes_are_found_and_all_calls_stand_in_one_list(browser: Chromium, tmp_path: Path) -> None:
    page = show(browser, tmp_path, reports.busy())
    type_into(page, "#process-search", "exploit")
    page.wait("document.querySelectorAll('.tr').length === 3")
    page.evaluate("document.getElementById('all-calls').click()")
    page.wait(f"{COUNT}.startsWith('260')")
    times = page.evaluate(f"{ROWS}.map(r => Number(r.querySelector('.t').innerText))")
    assert times == sorted(times)


def test_lists_unpack_what_they_hold_back(browser: Chromium, tmp_path: Path) -> None:
    page = show(browser, tmp_path, reports.busy())
    page.evaluate("document.querySelector('[data-more]').click()")
    page.wait("[...document.querySelectorAll('#touched li')].some(l => l.textContent === '/proc/119/exe')")
    type_into(page, "#touched-search", "kworkerd")
    page.wait("[...document.querySelectorAll('#touched .list')].filter(l => !l.hidden).length === 5")


@pytest.mark.parametrize("poison", ["", reports.POISON, "A" * 100_000, "Ｗ" * 5_000, "\u0489" * 3000, "שלום " * 2000])
def test_no_text_breaks_the_layout(browser: Chromium, tmp_path: Path, poison: str) -> None:
    page = show(browser, tmp_path, reports.poisoned(reports.busy(), poison))
    page.evaluate("document.querySelector('button.jump').click()")
    page.wait("!document.getElementById('detail').hidden")
    for width in (320, 390, 768, 1024, 1440, 1600):
        page.resize(width, 900)
        page.wait(f"innerWidth === {width}")
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        wide = page.evaluate(
            "[...document.querySelectorAll('main *')].filter(e => e.getBoundingClientRect().width > innerWidth "
            "&& !e.closest('svg, .chips, .sr, .scroll, .cr > *, .tr > *')).map(e => e.outerHTML.slice(0, 80))"
        )
        assert wide == []
    page.close()


def test_a_hostile_report_stays_text(browser: Chromium, tmp_path: Path) -> None:
    page = show(browser, tmp_path, reports.poisoned(reports.busy()))
    for number in range(5):
        page.evaluate(f"document.querySelectorAll('.tr')[{number}]?.click()")
        page.wait("document.querySelectorAll('.cr').length > 0")
        page.evaluate("document.querySelector('.cr').click()")
    page.evaluate("document.querySelectorAll('details').forEach(d => d.open = true)")
    page.evaluate("document.querySelectorAll('[data-more]').forEach(b => b.click())")
    page.wait("!document.querySelector('[data-more]')")
    assert page.evaluate("document.title").startswith("malicious 8.7 · <script>document.title='owned'")
    assert page.evaluate("document.querySelectorAll('img, iframe, object, main script').length") == 0
    hidden = r"/[\p{C}\p{Zl}\p{Zp}]/u.test(document.body.innerText.replace(/[\n\t]/g, ''))"
    assert page.evaluate(hidden) is False
    assert "<script>document.title='owned'</script>" in text(page, "h1")
    assert page.complaints() == []
    assert page.requests() == []


def test_injected_elements_would_not_run_anyway(browser: Chromium, tmp_path: Path) -> None:
    """The policy holds even if an escape were forgotten: a page with a live script in it runs nothing of it."""
    path = tmp_path / "report.html"
    live = "<script>document.title='owned'</script><img src=x onerror=\"document.title='owned'\">"
    path.write_text(render(reports.helloworld()).replace("</main>", live + "</main>"))
    page = browser.open(path).ready()
    assert "owned" not in page.evaluate("document.title")
    assert any("Content Security Policy" in complaint for complaint in page.complaints())
    with pytest.raises(RuntimeError, match="Trusted"):
        page.evaluate("document.body.innerHTML = '<b>x</b>'")


def test_fifty_thousand_calls_stay_quick(browser: Chromium, tmp_path: Path) -> None:
    page = show(browser, tmp_path, reports.large(50_000))
    painted = page.evaluate("performance.getEntriesByName('first-contentful-paint')[0].startTime")
    page.evaluate("document.getElementById('all-calls').click()")
    page.wait(f"{COUNT}.startsWith('50,0')")
    assert page.evaluate(f"{ROWS}.length") < 100
    page.evaluate("document.getElementById('call-list').scrollTop = 1e9")
    page.wait(f"{ROWS}.some(r => r.ariaRowIndex === '50034')")
    type_into(page, "#call-search", "file-49993")
    page.wait(f"{COUNT} === '1 of 50,034'")
    # a second is what people notice; three leave room for a machine that is busy with other tests
    assert painted < 3000


def test_it_prints_without_its_tools(browser: Chromium, tmp_path: Path) -> None:
    page = show(browser, tmp_path, reports.busy())
    page.send("Emulation.setEmulatedMedia", media="print")
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert not in_sight(page, ".bar")
    page.resize(794, 1123)
    page.evaluate("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
    assert page.evaluate("document.querySelectorAll('.tr.printed').length") == 5
    assert page.evaluate("document.querySelectorAll('.tr').length") == 5
    assert page.evaluate("getComputedStyle(document.querySelector('.tools')).display") == "none"
    page.evaluate("dispatchEvent(new Event('afterprint'))")
    assert page.evaluate("document.querySelectorAll('.printed').length") == 0
    assert page.evaluate("document.querySelectorAll('.tr').length") == 5
    assert page.pdf().startswith(b"%PDF")


def test_without_script_the_facts_still_stand(browser: Chromium, tmp_path: Path) -> None:
    path = tmp_path / "report.html"
    path.write_text(render(reports.busy()))
    page = browser.open(path)
    page.send("Emulation.setScriptExecutionDisabled", value=True)
    page.send("Page.reload")
    page.wait("document.readyState === 'complete' && !document.documentElement.dataset.ready")
    shown = text(page, "main")
    assert "Malicious" in shown
    assert "Writes a job of cron" in shown
    assert "need JavaScript" in shown


CONTRAST = """
(() => {
  const channels = (c) => { const m = c.match(/[\\d.]+/g).map(Number); return c.startsWith('color(') ? m.slice(0, 4).map((v, i) => i < 3 ? v * 255 : v) : m; };
  const linear = (v) => (v /= 255) <= .03928 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4;
  const light = (c) => .2126 * linear(c[0]) + .7152 * linear(c[1]) + .0722 * linear(c[2]);
  const behind = (e) => {
    const layers = [];
    for (; e; e = e.parentElement) {
      const c = channels(getComputedStyle(e).backgroundColor);
      if ((c[3] ?? 1) > 0) { layers.push(c); if ((c[3] ?? 1) === 1) break; }
    }
    return layers.reverse().reduce((under, c) => { const a = c[3] ?? 1; return [0, 1, 2].map((i) => c[i] * a + under[i] * (1 - a)); }, [255, 255, 255]);
  };
  const bad = [];
  for (const e of document.querySelectorAll('body *')) {
    if (![...e.childNodes].some((n) => n.nodeType === 3 && n.data.trim()) || !e.checkVisibility() || e.closest('svg, script, .sr, .skip, noscript')) continue;
    const [a, b] = [light(channels(getComputedStyle(e).color)), light(behind(e))].sort((x, y) => y - x);
    const ratio = (a + .05) / (b + .05);
    if (ratio < 4.5) bad.push(`${e.tagName}.${e.className} ${ratio.toFixed(2)} ${e.textContent.slice(0, 30)}`);
  }
  return [...new Set(bad)];
})()
"""  # noqa: E501


@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("make", [reports.helloworld, reports.busy])
def test_every_text_has_contrast(browser: Chromium, tmp_path: Path, dark: bool, make: Any) -> None:
    page = show(browser, tmp_path, make(), dark=dark)
    page.evaluate("document.querySelector('.cr.failed, .cr').click()")
    assert page.evaluate(CONTRAST) == []


def test_everything_that_is_used_has_a_name(browser: Chromium, tmp_path: Path) -> None:
    page = show(browser, tmp_path, reports.busy())
    nodes = page.send("Accessibility.getFullAXTree")["nodes"]
    roles = {"button", "link", "searchbox", "textbox", "treegrid", "grid", "region", "navigation", "image", "dialog"}
    nameless = [
        node
        for node in nodes
        if not node.get("ignored")
        and node.get("role", {}).get("value") in roles
        and not str(node.get("name", {}).get("value", "")).strip()
    ]
    assert nameless == []
    landmarks = {node.get("role", {}).get("value") for node in nodes}
    assert {"banner", "main", "navigation", "contentinfo"} <= landmarks


@pytest.mark.parametrize("width", [390, 1440])
def test_the_behaviour_stands_at_a_glance(browser: Chromium, tmp_path: Path, width: int) -> None:
    report = reports.busy()
    report["behavior"]["summary"]["environment"] = [{"name": f"V{number}", "value": "1"} for number in range(9)]
    report["malkoha"]["noise"] = {"file_opened": ["/etc/ld.so.cache"]}
    page = show(browser, tmp_path, report)
    page.resize(width, 900, mobile=width < 500)
    titles = page.evaluate("[...document.querySelectorAll('.theme h3')].map(e => e.firstChild.textContent.trim())")
    assert titles[0] == "Persistence"
    assert {"Hidden programs", "Network", "Time"} <= set(titles)
    assert "cron: /etc/cron.d/.sysupdate · trigger: timer" in text(page, ".theme")
    links = page.evaluate("[...document.querySelectorAll('.theme a')].map(e => !!document.querySelector(e.hash))")
    assert links
    assert all(links)
    assert page.evaluate("document.getElementById('noise').open") is False
    assert "/etc/ld.so.cache" in page.evaluate("document.getElementById('noise').textContent")
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    page.close()
