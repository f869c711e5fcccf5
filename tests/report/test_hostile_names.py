"""Names that come from others are text on every page: in reports, cards, the browser."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import pytest
import yaml
from starlette.testclient import TestClient

import magnostic
from magnostic.browse import find
from magnostic.browse.app import make_app
from magnostic.browse.browser import Browser
from magnostic.report import write_card, write_report
from magnostic.report.page import environment

EVIL = "<img src=x onerror=alert(1)>"


@pytest.fixture(scope="module")
def run(tiny_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run whose every name is markup."""
    run = shutil.copytree(tiny_run, tmp_path_factory.mktemp("evil") / "run")
    recipe = yaml.safe_load((run / "recipe.yaml").read_text())
    recipe |= {"name": EVIL, "description": EVIL}
    recipe["model"]["backbone"] = EVIL
    (run / "recipe.yaml").write_text(yaml.safe_dump(recipe))
    data = json.loads((run / "data.json").read_text())
    data |= {"sources": [EVIL], "n_by_source": {EVIL: 48}}
    data["skipped"] = [{"path": EVIL, "fault": EVIL, "detail": EVIL}]
    (run / "data.json").write_text(json.dumps(data))
    audit = json.loads((run / "audit.json").read_text())
    audit["findings"].append({"code": "MG001", "status": "issue", "scope": EVIL, "title": EVIL,
                              "message": EVIL, "ids": [EVIL]})  # fmt: skip
    (run / "audit.json").write_text(json.dumps(audit))
    return run


def test_the_report_and_the_card(run: Path) -> None:
    page = write_report(run).read_text(encoding="utf-8")
    assert page.count("&lt;img src=x") >= 3
    assert "<img src=x" not in page
    card = write_card(run).read_text(encoding="utf-8")
    assert card.count("\\<img src=x") >= 2
    assert not re.search(r"(?<!\\)<img src=x", card.split("\n---\n", 1)[1])


def test_pages_of_the_browser(run: Path) -> None:
    browser = Browser(find.check([run.parent]))
    (key,) = [place.key for place in browser.found().places.values() if place.path == run]
    with TestClient(make_app(browser)) as client:
        for page in ("/", f"/?text={EVIL}", f"/run/{key}", f"/run/{key}/errors", f"/run/{EVIL}",
                     f"/run/{key}/patients", f"/compare?run={EVIL}", f"/?sort={EVIL}"):  # fmt: skip
            text = client.get(page).text
            assert "<img src=x" not in text, page
        assert "&lt;img src=x" in client.get("/").text


def test_no_template_lets_markup_through() -> None:
    assert environment().autoescape is True
    templates = sorted(Path(magnostic.__file__).parent.rglob("*.html.j2"))
    assert len(templates) > 10
    for path in templates:
        text = path.read_text(encoding="utf-8")
        assert not re.search(r"\|\s*safe\b|autoescape|Markup", text), path.name
