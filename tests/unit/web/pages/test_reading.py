from __future__ import annotations

import pytest
from fastapi import HTTPException

from malkoha.store import Home
from malkoha.trace import store as events
from malkoha.web.pages.reading import sections, trace_of
from tests import reports
from tests.pages import trace


def test_only_what_is_asked_for_is_read(home: Home) -> None:
    store = home.analysis(1).create()
    store.report_json.write_text(
        '{"info": {"started": 5}, "behavior": {"summary": {"a": [1]}, "processes": [1]}, "x": 1}'
    )
    assert sections(store, "info", "behavior.summary", "network", "malkoha.yara") == {
        "info": {"started": 5},
        "behavior": {"summary": {"a": [1]}},
    }


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


def test_a_trace_that_was_made_anew_is_read_anew(home: Home) -> None:
    store = home.analysis(1).create()
    events.write(trace(reports.helloworld()), store.events)
    first = trace_of(store)
    assert trace_of(store) is first
    events.write(trace(reports.busy()), store.events)
    assert len(trace_of(store).processes) != len(first.processes)
