"""What the OpenAPI promises: by schemathesis, and that nothing is left without words."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import httpx2


def test_schemathesis_finds_nothing(address: str, tmp_path: Path) -> None:
    """All checks, requests that are right and wrong; schemathesis_hooks.py says what is added."""
    environment = {
        **os.environ,
        "SCHEMATHESIS_HOOKS": "schemathesis_hooks",
        "PYTHONPATH": str(Path(__file__).parent),
    }
    command = [sys.executable, "-m", "schemathesis.cli", "run", f"{address}/openapi.json",
               "--checks", "all", "--max-examples", "12", "--seed", "1", "--no-color",
               "--generation-database", "none"]  # fmt: skip
    done = subprocess.run(
        command, env=environment, cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "No issues found" in done.stdout, done.stdout


def test_every_field_is_described(address: str) -> None:
    told = httpx2.get(f"{address}/openapi.json").json()
    for name, one in told["components"]["schemas"].items():
        assert one.get("description"), name
        for field, value in one.get("properties", {}).items():
            named = told["components"]["schemas"].get(value.get("$ref", "").rsplit("/")[-1], value)
            assert value.get("description") or named.get("description"), (name, field)
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
