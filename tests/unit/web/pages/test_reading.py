from __future__ import annotations

import pytest
from fastapi import HTTPException

from malkoha.store import Home
from malkoha.web.pages.reading import began_of, sections, trace_of


def test_only_what_is_asked_for_is_read(home: Home) -> None:
    store = home.analysis(1).create()
    store.report_json.write_text(
        '{"info": {"started": 5}, "behavior": {"summary": {"a": [1]}, "processes": [1]}, "x": 1}'
    )
    assert sections(store, "info", "behavior.summary", "network", "malkoha.yara") == {
        "info": {"started": 5},
        "behavior": {"summary": {"a": [1]}},
    }
    assert began_of(sections(store, "info")) == 5.0
    assert began_of({}) == 0.0


@pytest.mark.parametrize(("content", "status"), [("{", 500), ('{"behavior": 5}', 500), (None, 404)])
def test_a_report_that_cannot_be_read_is_refused(home: Home, content: str | None, status: int) -> None:
    store = home.analysis(1).create()
    if content is not None:
        store.report_json.write_text(content)
    with pytest.raises(HTTPException) as caught:
        sections(store, "behavior.summary")
    assert caught.value.status_code == status


def test_without_events_there_is_no_trace(home: Home) -> None:
    with pytest.raises(HTTPException) as caught:
        trace_of(home.analysis(1).create())
    assert caught.value.status_code == 404
