"""The checker of the documentation's code blocks finds what it is there to find."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / ".ci"))

import check_site
import docstring_roles
from docs_check import bind
from docs_check.blocks import Wrong, blocks
from docs_check.given import Stock
from docs_check.page import bound, check, differs


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


@pytest.mark.parametrize(
    "comment", ["skip", "skip:", "skp: a GPU", "fails=never", "yaml=poem", "given="]
)
def test_a_comment_that_says_nothing_known_is_refused(comment: str, tmp_path: Path) -> None:
    with pytest.raises(Wrong):
        blocks(tmp_path / "page.md", f"<!-- test: {comment} -->\n```sh\nls\n```\n")


def test_a_comment_without_a_block_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Wrong, match="without one below"):
        blocks(tmp_path / "page.md", "<!-- test: serve -->\nText.\n\n```sh\nls\n```\n")


def test_blocks_are_run_one_after_the_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = tmp_path / "page.md"
    page.write_text(
        "```sh\necho one > made\n```\n\n```sh\ncat made\n```\n\n```sh\ncat absent\n```\n\n"
        "<!-- test: fails=1 -->\n```sh\ncat absent\n```\n\n"
        "```console\n$ cat made\ntwo\n```\n\n<!-- test: skip: no -->\n```sh\ncat absent\n```\n"
    )
    monkeypatch.setattr(bind, "REPOSITORY", tmp_path)
    stock = Stock(tmp_path / "given", tmp_path / "no-sample", dict(os.environ))
    found = check(page, tmp_path / "work", stock)
    assert [o.did for o in found] == ["run"] * 5 + ["parsed"]
    assert [bool(o.wrong) for o in found] == [False, False, True, False, True, False]
    assert "two" in found[4].wrong


def test_what_a_page_loads_from_elsewhere_is_found(tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    page.write_text(
        '<script src="https://cdn.example/x.js"></script><img src="//cdn.example/x.png">'
        '<a href="https://example.org">a link</a><script src="assets/x.js"></script>'
    )
    assert len(check_site.elsewhere(page)) == 2
    sheet = tmp_path / "x.css"
    sheet.write_text("@import 'https://fonts.example/x';\na { background: url(x.png) }")
    assert check_site.elsewhere(sheet) == ["https://fonts.example/x"]


def test_docstrings_are_shown_without_roles() -> None:
    assert docstring_roles.shown("As :func:`magnostic.load`.") == "As `magnostic.load`."
    told = docstring_roles.shown("Data.\n\nsize: of it.\nlr, lr_end: first, last.", fields=True)
    assert told == "Data.\n\n- **size**: of it.\n- **lr, lr_end**: first, last."
