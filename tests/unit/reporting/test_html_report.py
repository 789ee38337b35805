"""report.html as a file: one, closed in itself, and safe whatever the sample wrote."""

from __future__ import annotations

import base64
import hashlib
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from malkoha.model.report import Report
from malkoha.reporting.html_report import ESCAPES, HtmlReporter, render, shown
from malkoha.store import Store
from tests import reports

VOID = {"meta", "input", "br", "img", "link", "hr"}


class Reader(HTMLParser):
    """Keeps elements with their attributes, and the texts of scripts and styles."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.bodies: dict[str, list[str]] = {"script": [], "style": []}
        self.text = ""
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open, f"</{tag}> closes nothing"
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] in self.bodies:
            if self.elements[-1][1].get("type") != "application/gzip":
                self.bodies[self.open[-1]].append(data)
        else:
            self.text += data


@pytest.mark.parametrize("make", [reports.helloworld, reports.busy, dict])
def test_elements_are_nested_and_closed(make: Any) -> None:
    assert Reader(render(make())).open == []


def test_the_policy_allows_its_own_scripts_and_style_only() -> None:
    reader = Reader(render(reports.busy()))
    policy = next(a["content"] for t, a in reader.elements if a.get("http-equiv") == "Content-Security-Policy")
    assert policy is not None
    assert policy.startswith("default-src 'none'; ")
    assert "unsafe" not in policy
    assert "require-trusted-types-for 'script'" in policy
    for body in reader.bodies["script"] + reader.bodies["style"]:
        assert f"'sha256-{base64.b64encode(hashlib.sha256(body.encode()).digest()).decode()}'" in policy
    assert len(reader.bodies["script"]) == 2
    assert len(reader.bodies["style"]) == 1


def test_the_policy_stands_before_everything_that_it_governs() -> None:
    tags = [tag for tag, _ in Reader(render(reports.busy())).elements]
    assert tags[:4] == ["html", "head", "meta", "meta"]
    assert "style" not in tags[:4]


def test_nothing_is_loaded_from_anywhere() -> None:
    elements = Reader(render(reports.poisoned(reports.busy()))).elements
    for tag, attributes in elements:
        assert tag not in ("link", "img", "iframe", "object", "embed", "base", "form", "video", "audio")
        assert not {"src", "srcset", "style", "action"} & set(attributes)
        assert not [name for name in attributes if name.startswith("on")]
        target = attributes.get("href") or ""
        assert target.startswith(("#", "https://attack.mitre.org/")) or not target


def test_a_poisoned_report_has_the_elements_of_a_clean_one() -> None:
    def shape(page: str) -> list[str]:
        # which lists are long, and so packed, depends on their length only; marks of escapes are the difference
        return [tag for tag, attributes in Reader(page).elements if attributes.get("class") != "esc"]

    clean, poisoned = reports.busy(), reports.poisoned(reports.busy())
    poisoned["signatures"] = [
        match | {"ttp": plain["ttp"]} for match, plain in zip(poisoned["signatures"], clean["signatures"], strict=True)
    ]
    assert shape(render(poisoned)) == shape(render(clean))


def test_no_character_of_a_sample_stays_that_turns_or_hides_others() -> None:
    page = render(reports.poisoned(reports.busy())).encode("utf-8", "backslashreplace").decode()
    visible = re.sub(r'data-copy="[^"]*"', "", page)
    assert not [hex(ord(c)) for c in set(visible) if not c.isprintable() and c not in "\n\r\t"]


@given(st.text())
def test_shown_is_printable_and_says_all(text: str) -> None:
    markup = str(shown(text))
    reader = Reader(markup)
    assert all(c.isprintable() for c in markup)
    assert {tag for tag, _ in reader.elements} <= {"i"}
    assert reader.text == "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def test_lines_stay_lines_where_they_are_wanted() -> None:
    assert str(shown("a\n\tb\r", lines=True)) == 'a\n\tb<i class="esc">\\r</i>'


def test_a_binary_text_makes_a_bounded_number_of_elements() -> None:
    markup = str(shown("a\x00" * 50_000))
    assert markup.count("<i") == ESCAPES
    assert markup.count("\\x00") == 50_000


def test_the_reporter_writes_the_file_of_the_store(tmp_path: Path) -> None:
    report = msgspec.convert(reports.helloworld(), Report, strict=False)
    path = HtmlReporter().write(report, Store(tmp_path))
    assert path == tmp_path / "report.html"
    assert path.read_text(encoding="utf-8").startswith("<!doctype html>")


def test_lone_surrogates_do_not_stop_it(tmp_path: Path) -> None:
    report = msgspec.convert(reports.poisoned(reports.helloworld()), Report, strict=False)
    assert b"\\ud800" in HtmlReporter().write(report, Store(tmp_path)).read_bytes()


def test_a_large_report_stays_a_small_page() -> None:
    report = reports.large(20_000)
    assert len(render(report)) < 1_500_000 < len(msgspec.json.encode(report))


def test_script_and_style_hold_nothing_that_would_end_them() -> None:
    page = render({})
    assert page.lower().count("</script") == page.lower().count("<script")
    assert page.lower().count("</style") == 1
    assert "innerHTML" not in page
    assert "<!--" not in page


def test_a_screenshot_is_within_the_page_when_it_is_one(tmp_path: Path) -> None:
    report = reports.helloworld() | {"screenshots": [{"path": f"screenshots/{n}.png", "ocr": ""} for n in range(1, 4)]}
    store = Store(tmp_path)
    store.screenshots.mkdir()
    picture = b"\x89PNG\r\n\x1a\nseen"
    (store.screenshots / "1.png").write_bytes(picture)
    (store.screenshots / "2.png").write_bytes(b"<svg>")
    HtmlReporter().write(msgspec.convert(report, Report), store)
    images = [attributes for tag, attributes in Reader(store.report_html.read_text()).elements if tag == "img"]
    expected = f"data:image/png;base64,{base64.b64encode(picture).decode()}"
    assert [image["src"] for image in images] == [expected]
