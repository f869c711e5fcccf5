"""The threat model names tests that exist."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[1]


def test_every_test_that_the_page_names_exists() -> None:
    text = (ROOT / "docs" / "threats.md").read_text(encoding="utf-8")
    named = re.findall(r"`(tests/[\w/]+\.py)(?:::(\w+))?`", text)
    assert len(named) > 30
    for file, name in named:
        source = (ROOT / file).read_text(encoding="utf-8")
        assert not name or re.search(rf"^def {name}\(", source, re.M), f"{file}::{name}"


def test_every_script_that_the_page_names_exists() -> None:
    text = (ROOT / "docs" / "threats.md").read_text(encoding="utf-8")
    scripts = re.findall(r"(?:bench/[\w/]+|\.ci/\w+)\.py", text)
    assert len(scripts) >= 4
    assert all((ROOT / script).is_file() for script in scripts)
