"""OpenAPI: complete, with examples that fit, and true: schemathesis tries what it says."""

from __future__ import annotations

from typing import Any

import jsonschema
from fastapi.testclient import TestClient

PLACE = "/api/v1/openapi.json"


def test_every_operation_is_described(client: TestClient) -> None:
    document = client.get(PLACE).json()
    assert document["openapi"].startswith("3.1")
    for path, methods in document["paths"].items():
        for method, told in methods.items():
            assert told["description"], (method, path)
            assert told["tags"], (method, path)
            assert "422" not in told["responses"]
            assert {"400", "401", "403", "404", "429"} <= set(told["responses"]), path


def test_examples_fit_their_models(client: TestClient) -> None:
    document = client.get(PLACE).json()
    tried = 0
    for schema in document["components"]["schemas"].values():
        if "example" in schema:
            whole: dict[str, Any] = {**schema, "components": document["components"]}
            jsonschema.validate(schema["example"], whole)
            tried += 1
    assert tried > 10


def test_the_page_loads_nothing(client: TestClient) -> None:
    page = client.get("/api/v1/docs")
    assert "/api/v1/tasks/{task_id}/live" in page.text
    assert "event: state" in page.text
    assert "max_sample_mb" in page.text
    for word in ("<script", "src=", "http://", "https://", "url("):
        assert word not in page.text
    assert page.headers["content-security-policy"].startswith("default-src 'none'")
