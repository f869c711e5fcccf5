"""The checker of the documentation's code blocks finds what it is there to find."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / ".ci"))

from docs_check import bind
from docs_check.blocks import blocks
from docs_check.page import bound, differs


@pytest.mark.parametrize(
    ("words", "wrong"),
    [
        ("magnostic index data", False),
        ("magnostic indx data", True),
        ("magnostic index data --no-such-option", True),
        ("magnostic train probe-lite0 --data d --out o --train.c 1", False),
        ("magnostic train probe-lite0 --data d --out o --train.epoch 1", True),
        ("magnostic train no-such-recipe --data d --out o", True),
        ("magnostic predict run", True),
        ("pip install 'magnostic[serve]'", False),
        ("pip install 'magnostic[server]'", True),
        ("make demo", False),
        ("make coffee", True),
        ("frobnicate", True),
    ],
)
def test_commands_are_bound(words: str, wrong: bool, tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    text = f"<!-- test: skip: not here -->\n```sh\n{words}\n```\n"
    (block,) = blocks(page, text)
    assert bool(bound(block, tmp_path)) is wrong


def test_inline_commands_are_looked_at() -> None:
    found = {text: wrong for _, text, wrong in bind.inline("`magnostic audit X`, `magnostic adit`")}
    assert not found["magnostic audit X"]
    assert found["magnostic adit"]


def test_python_and_yaml_are_bound(tmp_path: Path) -> None:
    text = "```python\nfrom magnostic import lode\n```\n\n```yaml\ntask: subtype\nmodl: {}\n```\n"
    assert all(bound(block, tmp_path) for block in blocks(tmp_path / "page.md", text))


def test_what_a_page_shows_must_be_printed() -> None:
    assert differs(("one", "…", "three"), "one\ntwo\nthree\n") == ""
    assert "four" in differs(("one", "four"), "one\ntwo\nthree\n")
    assert differs(("three", "one"), "one\ntwo\nthree\n") != ""
