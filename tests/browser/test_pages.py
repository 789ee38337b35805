"""The pages in a real browser: clicked through, used by keys, at the width of a phone, with hostile names."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from malkoha.model.task import Status
from malkoha.store import Home
from malkoha.tasks import Tasks
from malkoha.web.pages.frame import TABS
from tests import reports
from tests.browser.chromium import Chromium, Page
from tests.browser.serving import served
from tests.pages import dropped, queued, reported, rich
from tests.records import Recording

pytestmark = pytest.mark.browser

HOSTILE = "<script>document.title='owned'</script>\n\u202egpj.exe " + "long" * 2500
CONTENT = b"#!/bin/sh\n<b>curl</b>\n" * 20
ROWS = "[...document.querySelectorAll('[data-row]')].map(r => r.dataset.row).join()"


def settled(page: Page) -> None:
    """Wait until htmx has asked, put in place and brought to life what it was about to."""
    page.wait("!document.querySelector('.htmx-request, .htmx-swapping, .htmx-settling, .htmx-added')")


class Site:
    """A served home, and the browser that looks at it."""

    def __init__(self, browser: Chromium, tasks: Tasks, address: str) -> None:
        self.browser, self.tasks, self.address = browser, tasks, address

    def visit(self, path: str, width: int = 1440, *, dark: bool = False) -> Page:
        return self.browser.visit(self.address + path, width, 900, dark=dark, mobile=width < 500).ready()

    def check(self, page: Page) -> None:
        """Nothing was complained of, nothing was asked of others, nothing is wider than the page."""
        settled(page)
        assert page.complaints() == []
        assert [url for url in page.requests() if not url.startswith(self.address)] == []
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), page.evaluate("location.href")
        assert "owned" not in page.evaluate("document.title").replace("title='owned'", "")


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
    with tempfile.TemporaryDirectory() as folder, Tasks(Home(Path(folder))) as tasks:
        poisoned = reports.poisoned(rich(), reports.POISON.replace("\ud800", "") * 3)
        dropped(tasks, 1, CONTENT)
        reported(tasks, 1, rich(CONTENT), "dropper.sh")
        reported(tasks, 2, poisoned, HOSTILE[:220], target=HOSTILE, owner=HOSTILE, tags=[HOSTILE], custom=HOSTILE)
        reported(tasks, 3, reports.large(3000, 40), "flood")
        queued(tasks, 4, "waits.sh")
        queued(tasks, 5, HOSTILE[:220], status=Status.FAILED_ANALYSIS, error=HOSTILE)
        with served(tasks) as address, Chromium() as browser:
            yield Site(browser, tasks, address)


PATHS = (
    "/", "/submit", "/login", "/analysis/4", "/analysis/5", "/analysis/99", "/search?q=script", "/search?near=2",
    "/compare?first=2", "/compare?first=1&second=2", "/statistics?days=366", "/rules", "/machines",
)  # fmt: skip
REPORT = tuple(f"/analysis/2/{place}".rstrip("/") for place, _ in TABS)


@pytest.mark.parametrize("width", [1440, 390])
@pytest.mark.parametrize("path", [*PATHS, *REPORT])
def test_hostile_names_are_harmless_at_every_width(site: Site, path: str, width: int) -> None:
    page = site.visit(path, width, dark=width < 500)
    if path == "/analysis/99":  # the browser itself says that there is no such page
        assert [text for text in page.complaints() if "404" not in text] == []
    else:
        site.check(page)
    assert page.evaluate("document.querySelectorAll('main script, main img, main style, main iframe').length") == 0
    assert "\u202e" not in page.evaluate("document.body.innerText")
    page.close()


def test_tabs_are_loaded_when_they_are_opened(site: Site) -> None:
    page = site.visit("/analysis/1")
    for place, title in (*TABS[1:], TABS[0]):
        asked = len(page.requests())
        page.evaluate(f"[...document.querySelectorAll('#tabs a')].find(a => a.innerText === {title!r}).click()")
        page.wait(f"document.querySelector('#tabs [aria-current]').innerText === {title!r}")
        settled(page)
        assert page.evaluate("location.pathname") == f"/analysis/1/{place}".rstrip("/")
        assert len(page.requests()) > asked
        site.check(page)
    page.evaluate("history.back()")
    page.wait("location.pathname.endsWith('/run') && document.querySelector('#tab .stages, #tab .facts')")
    site.check(page)
    page.close()


def test_the_pages_are_used_by_keys(site: Site) -> None:
    page = site.visit("/")
    assert page.evaluate(ROWS) == "5,4,3,2,1"
    for key in "jjjjjk":
        page.key(key)
    page.wait("document.querySelector('[data-row].at')?.dataset.row === '2'")
    page.key("j")
    page.key("Enter")
    page.wait("location.pathname === '/analysis/1' && document.documentElement?.dataset.ready")
    page.key("3")
    page.wait("document.querySelectorAll('a.pr').length === 5")
    page.key("j")
    page.key("j")
    page.key("Enter")
    page.wait("location.search === '?process=2' && document.documentElement?.dataset.ready")
    page.key("/")
    page.wait("document.activeElement.name === 'q'")
    page.write("cron")
    page.key("Enter")
    page.wait("document.querySelectorAll('.cl').length === 1")
    settled(page)
    page.key("Escape")
    page.key("j")
    page.key("Enter")
    page.wait("document.querySelector('.cl.open .call-whole')")
    assert "/etc/cron.d/.sysupdate" in page.evaluate("document.querySelector('.call-whole').innerText")
    page.key("?")
    page.wait("document.querySelector('#keys').open")
    page.key("Escape")
    page.wait("!document.querySelector('#keys').open")
    page.key("t")
    page.wait("document.documentElement.dataset.theme === 'dark'")
    page.key("t")
    page.key("a")
    page.wait("location.pathname === '/' && document.documentElement?.dataset.ready")
    site.check(page)
    page.close()


def test_a_chosen_row_stays_chosen_when_the_queue_moves(site: Site) -> None:
    page = site.visit("/")
    page.key("j")
    page.key("j")
    page.wait("document.querySelector('[data-row].at')?.dataset.row === '4'")
    site.tasks.move(4, Status.RUNNING)
    page.wait("document.querySelector('.status.st-running')")
    page.wait("document.querySelector('[data-row].at')?.dataset.row === '4'")
    site.tasks.move(4, Status.FAILED_ANALYSIS, error="no machine")
    page.wait("document.querySelector('[data-row=\"4\"] .bad')")
    site.check(page)
    page.close()


def test_the_list_is_filtered_while_one_types(site: Site) -> None:
    page = site.visit("/")
    page.evaluate("document.querySelector('#queue-find').focus()")
    page.write("flood")
    page.wait(f"{ROWS} === '3'")
    assert page.evaluate("location.search") == "?q=flood"
    site.check(page)
    page.close()


def test_a_run_is_followed_until_its_report(site: Site) -> None:
    queued(site.tasks, 6, "lives.sh")
    page = site.visit("/analysis/6")
    site.tasks.move(6, Status.RUNNING)
    store = site.tasks.home.analysis(6)
    recording = Recording(pid=90).fork(100).exec(b"/bin/sh", b"sh", HOSTILE.encode()[:300], pid=100)
    recording.write(store.records)
    page.wait("document.querySelectorAll('#stream li').length === 2 && document.querySelectorAll('a.pr').length === 1")
    recording.fork(101, pid=100).exec(b"/bin/cat", b"cat", pid=101).write(store.records)
    store.stdout.write_bytes(HOSTILE.encode())
    page.wait("document.querySelectorAll('#stream li').length === 4 && document.querySelectorAll('a.pr').length === 2")
    page.wait("document.querySelector('#live-console pre').innerText.includes('</script>')")
    settled(page)
    page.resize(390, 900, mobile=True)
    site.check(page)
    store.run.write_text("{}")
    store.report_json.write_text("{}")
    site.tasks.move(6, Status.COMPLETED)
    site.tasks.move(6, Status.REPORTED)
    page.wait("document.documentElement?.dataset.ready && document.querySelector('#tab .hero')")
    site.check(page)
    site.tasks.delete(6)
    page.close()


def test_everything_is_found_from_everywhere(site: Site) -> None:
    page = site.visit("/machines")
    page.key("/")
    page.write("198.51.100.7")
    page.key("Enter")
    page.wait("location.pathname === '/search' && document.documentElement?.dataset.ready")
    assert "1" in page.evaluate(ROWS).split(",")
    site.check(page)
    page.close()


def test_a_file_is_looked_into(site: Site) -> None:
    page = site.visit("/analysis/1/files")
    page.evaluate("document.querySelector('.file2[data-row] summary').click()")
    page.wait("document.querySelector('.file2[data-row] .hex')?.innerText.includes('<b>curl</b>')")
    settled(page)
    page.evaluate("[...document.querySelectorAll('.view-tools button')].find(b => b.innerText === 'Hex').click()")
    page.wait("document.querySelector('.file2[data-row] .hex').innerText.includes('23 21 2f 62 69 6e')")
    site.check(page)
    page.close()


def test_a_long_list_of_calls_grows_as_one_scrolls(site: Site) -> None:
    page = site.visit("/analysis/3/calls?q=file")
    page.wait("document.querySelectorAll('.cl').length === 200")
    page.evaluate("document.querySelector('.more-rows').scrollIntoView()")
    page.wait("document.querySelectorAll('.cl').length >= 400")
    site.check(page)
    page.close()


def test_files_are_handed_in(site: Site, tmp_path: Path) -> None:
    page = site.visit("/submit")
    for name in ("one.sh", "two.sh"):
        (tmp_path / name).write_text(f"#!/bin/sh\necho {name}\n")
    page.files("#files", tmp_path / "one.sh", tmp_path / "two.sh")
    page.wait("document.querySelectorAll('#chosen li').length === 2")
    page.evaluate("document.querySelector('[name=timeout]').value = '33'")
    page.evaluate("document.querySelector('[name=urls]').value = 'nonsense'")
    page.evaluate("document.querySelector('#send').click()")
    page.wait("document.querySelectorAll('#submitted .made li').length === 2")
    assert "nonsense" in page.evaluate("document.querySelector('#submitted .gaps').innerText")
    made = site.tasks.all(limit=2)
    assert [task.target for task in made] == ["two.sh", "one.sh"]
    assert made[0].options.timeout_s == 33
    site.check(page)
    for task in made:
        site.tasks.delete(task.id)
    page.close()


def test_a_file_is_dropped(site: Site) -> None:
    page = site.visit("/submit")
    page.evaluate(
        "(() => { const t = new DataTransfer(); t.items.add(new File(['#!/bin/sh\\necho x\\n'], 'dropped.sh'));"
        "document.querySelector('#drop').dispatchEvent(new DragEvent('drop', {dataTransfer: t, bubbles: true})); })()"
    )
    page.wait("document.querySelector('#chosen b')?.textContent === 'dropped.sh'")
    page.evaluate("document.querySelector('#send').click()")
    page.wait("location.pathname.startsWith('/analysis/') && document.documentElement?.dataset.ready")
    assert page.evaluate("document.querySelector('h1').innerText") == "dropped.sh"
    site.check(page)
    site.tasks.delete(site.tasks.all(limit=1)[0].id)
    page.close()
