"""schemathesis: what the OpenAPI promises, all checks, valid and invalid requests."""

from __future__ import annotations

import io
from typing import Any

import httpx2
import hypothesis
import pytest
import schemathesis
from hypothesis import strategies
from PIL import Image


def photograph(width: int, height: int, colour: tuple[int, int, int]) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (width, height), colour).save(buffer, "PNG")
    return buffer.getvalue()


# That bytes are a photograph cannot be said in a schema, so valid ones are given.
byte = strategies.integers(0, 255)
side = strategies.integers(1, 64)
schemathesis.openapi.format(
    "binary", strategies.builds(photograph, side, side, strategies.tuples(byte, byte, byte))
)


@pytest.fixture(scope="session")
def api(address: str) -> Any:
    return schemathesis.openapi.from_url(f"{address}/openapi.json")


schema = schemathesis.pytest.from_fixture("api")


@schema.parametrize()
@hypothesis.settings(
    max_examples=25, deadline=None, suppress_health_check=list(hypothesis.HealthCheck)
)
def test_every_operation_keeps_its_word(case: Any) -> None:
    _as_many_ids_as_photographs(case)
    case.call_and_validate()


def _as_many_ids_as_photographs(case: Any) -> None:
    """Nor can it be said that there are not more ids than photographs."""
    body = case.body
    if isinstance(body, dict) and isinstance(body.get("patients"), list):
        images = body.get("images")
        body["patients"] = body["patients"][: len(images) if isinstance(images, list) else 0]


def test_every_field_is_described(address: str) -> None:
    told = httpx2.get(f"{address}/openapi.json").json()
    for name, one in told["components"]["schemas"].items():
        assert one.get("description"), name
        for field, value in one.get("properties", {}).items():
            assert value.get("description"), (name, field)
    for path, methods in told["paths"].items():
        for operation in methods.values():
            assert operation["summary"], path
            for status in operation["responses"]:
                assert operation["responses"][status]["description"], (path, status)
            for content in operation.get("requestBody", {}).get("content", {}).values():
                for value in content["schema"].get("properties", {}).values():
                    assert value["description"], path


def test_the_reference_needs_nothing_from_outside(address: str) -> None:
    page = httpx2.get(f"{address}/docs").text
    assert "/static/reference.js" in page
