"""The page in Debian's Chromium: what a user does, by mouse and by keyboard, wide and narrow."""

from __future__ import annotations

import contextlib
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from starlette.types import ASGIApp

from magnostic.deploy import output
from magnostic.deploy.server import Models, Settings, answers, create_app
from magnostic.deploy.sources import Item

from_playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe is not installed")
expect = from_playwright.expect
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
pytestmark = pytest.mark.skipif(
    CHROMIUM is None, reason="no chromium on the path (Debian: apt-get install chromium)"
)
Serving = Callable[[Settings], contextlib.AbstractContextManager[str]]
Running = Callable[[ASGIApp], contextlib.AbstractContextManager[str]]
WIDE, PHONE = {"width": 1280, "height": 900}, {"width": 375, "height": 740}


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    options = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
    with from_playwright.sync_playwright() as playwright:
        found = playwright.chromium.launch(executable_path=CHROMIUM, args=options)
        yield found
        found.close()


@pytest.fixture
def open_page(browser: Any, address: str) -> Iterator[Callable[..., Any]]:
    """A function that opens a page; nothing may come from elsewhere, and no script may fail."""
    with contextlib.ExitStack() as stack:

        def opened(url: str = address, **options: Any) -> Any:
            context = browser.new_context(viewport=WIDE, **options)
            stack.callback(context.close)
            page = context.new_page()
            faults: list[str] = []
            page.on("pageerror", lambda error: faults.append(str(error)))
            page.on("console", lambda m: faults.append(m.text) if "Security" in m.text else None)
            page.on("request", lambda r: faults.append(r.url) if _outside(r.url, url) else None)
            page.goto(url)
            stack.callback(lambda: pytest.fail(str(faults)) if faults else None)
            return page

        yield opened


def _outside(url: str, own: str) -> bool:
    return not url.startswith((own, "blob:", "data:"))


@pytest.fixture(scope="module")
def four(photographs: list[Path], tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Three photographs, two of them of one slide, and a text with the name of one."""
    bad = tmp_path_factory.mktemp("page") / "notes.png"
    bad.write_bytes(b"not a photograph")
    return [photographs[0], photographs[1], photographs[12], bad]


def chosen(page: Any, paths: list[Path]) -> Any:
    """The page with these photographs answered."""
    page.set_input_files("#files", paths)
    expect(page.locator("#status")).to_contain_text("could not be read")
    return page


def serious(page: Any) -> list[str]:
    """What axe finds that keeps people out."""
    found = axe.Axe().run(page).response["violations"]
    return [
        f"{v['id']}: {[n['html'] for n in v['nodes']]}"
        for v in found
        if v["impact"] in ("serious", "critical")
    ]


def test_photographs_are_answered(
    open_page: Callable[..., Any], models: Models, four: list[Path]
) -> None:
    page = chosen(open_page(), four)
    cells = page.locator("#grid [role=option]")
    expect(cells).to_have_count(4)
    rows = list(models.predictor.stream(four))
    for n, row in enumerate(rows[:3]):
        expect(cells.nth(n)).to_contain_text(f"{row['y_pred']}")
        expect(cells.nth(n)).to_contain_text(f"{100 * row['confidence']:.1f}%")
    expect(cells.nth(3)).to_contain_text("not an image: it holds text")
    cells.nth(1).click()
    detail = page.locator("#detail")
    expect(page.locator("#detail-title")).to_have_text(four[1].name)
    bars = detail.locator(".bars li")
    expect(bars).to_have_count(len(models.predictor.about.classes))
    expect(bars.first).to_contain_text(f"({rows[1]['y_pred']})")
    expect(detail.locator(".set li")).to_have_count(
        len(rows[1]["set"].split("|")) if models.predictor.rules.certifiable else 0
    )
    expect(detail).to_contain_text("Please review" if rows[1]["review"] else "No reason")
    expect(detail).to_contain_text(f"{rows[1]['distance']:.2f}")
    cells.nth(3).click()
    expect(detail).to_contain_text("This file could not be read")
    expect(page.locator("#relevance")).to_be_hidden()
    expect(page.get_by_text("Research use only")).to_be_visible()


@pytest.mark.parametrize(
    ("told", "says"),
    [
        ({"certifiable": True, "vacuous": True}, "errs too often to be relied on"),
        ({"certifiable": False, "vacuous": False}, "too few patients were seen"),
        ({"certifiable": True, "vacuous": False}, "No reason for review"),
    ],
)
def test_only_a_model_that_promises_something_reassures(
    open_page: Callable[..., Any],
    four: list[Path],
    told: dict[str, bool],
    says: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def model(route: Any) -> None:
        route.fulfill(json={**route.fetch().json(), "calibrated": True, **told})

    page = open_page()
    page.route("**/v1/model", model)
    page.reload()
    plain = answers._prediction
    calm = {"review": False, "reasons": []}
    monkeypatch.setattr(answers, "_prediction", lambda *given: plain(*given) | calm)
    detail = chosen(page, four).locator("#outcome")
    expect(detail).to_contain_text(says)
    expect(detail.locator(".fine")).to_have_count(int("No reason" in says))


def test_what_is_not_explained_says_why(open_page: Callable[..., Any], four: list[Path]) -> None:
    def model(route: Any) -> None:
        explain = {"available": False, "method": None, "reason": "it holds no layers"}
        route.fulfill(json={**route.fetch().json(), "explain": explain})

    page = open_page()
    page.route("**/v1/model", model)
    page.reload()
    expect(chosen(page, four).locator("#picture-note")).to_contain_text(
        "No overlay and no nearest training images: it holds no layers."
    )
    expect(page.locator("#relevance")).to_be_hidden()


def test_overlay_and_nearest_images(
    open_page: Callable[..., Any], models: Models, four: list[Path]
) -> None:
    page = chosen(open_page(), four)
    overlay, slider = page.locator("#overlay"), page.get_by_label("Overlay")
    expect(overlay).to_be_visible()
    before = overlay.get_attribute("src")
    assert before is not None
    assert before.startswith("data:image/png;base64,")
    expect(overlay).to_have_css("opacity", "0.6")
    slider.focus()
    page.keyboard.press("ArrowRight")
    expect(overlay).to_have_css("opacity", "0.65")
    page.keyboard.press("Home")
    expect(overlay).to_have_css("opacity", "0")
    expect(page.locator("#opacity-value")).to_have_text("0%")
    slider.fill("100")
    expect(overlay).to_have_css("opacity", "1")
    photo, laid = page.locator("#photo").bounding_box(), overlay.bounding_box()
    assert laid == pytest.approx(photo, abs=1)
    other = models.predictor.about.classes[5]
    page.get_by_label("Class", exact=True).select_option(other)
    expect(page.locator("#relevance-note")).to_contain_text(f"({other})")
    expect(page.locator("#relevance-note")).to_contain_text("Yellow: most relevant")
    nearest = page.locator("#neighbours li")
    expect(nearest).to_have_count(6)
    expect(nearest.first).to_contain_text("distance 0.00")
    expect(nearest.first).to_contain_text("Slide 14-1000")


def test_csv_is_that_of_predict(
    open_page: Callable[..., Any], models: Models, four: list[Path], tmp_path: Path
) -> None:
    page = chosen(open_page(), four)
    with page.expect_download() as waiting:
        page.get_by_role("button", name="Download CSV").click()
    waiting.value.save_as(tmp_path / "page.csv")
    ids = [(None, m.group(1) if m else None, None, None)
           for m in (re.match(r"SOB_\w+-(14-\w+)-", path.name) for path in four)]  # fmt: skip
    items = [Item(str(path), known) for path, known in zip(four, ids, strict=True)]
    rows = [{**row, "path": path.name}
            for row, path in zip(models.predictor.stream(items), four, strict=True)]  # fmt: skip
    output.write(tmp_path / "offline.csv", rows, models.predictor.columns)
    ours, theirs = (pd.read_csv(tmp_path / name) for name in ("page.csv", "offline.csv"))
    assert ours.columns.tolist() == models.predictor.columns
    said = ours.pop("error"), theirs.pop("error")
    pd.testing.assert_frame_equal(ours, theirs, check_exact=True, check_dtype=False)
    assert said[0].isna().tolist() == said[1].isna().tolist() == [True, True, True, False]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_nobody_is_kept_out(open_page: Callable[..., Any], four: list[Path], scheme: str) -> None:
    page = open_page(color_scheme=scheme, reduced_motion="reduce")
    expect(page.locator("#model")).to_contain_text("Model")
    assert serious(page) == []
    chosen(page, four)
    expect(page.locator("#overlay")).to_be_visible()
    expect(page.locator("#patient-rows tr")).to_have_count(2)
    assert serious(page) == []
    page.locator("#grid [role=option]").nth(3).click()
    assert serious(page) == []
    page.goto(f"{page.url}docs")
    expect(page.get_by_role("heading", name="/v1/predict")).to_be_visible()
    assert serious(page) == []


def test_a_key_is_asked_for(
    open_page: Callable[..., Any], serving: Serving, four: list[Path]
) -> None:
    with serving(Settings(api_key="secret")) as address:
        page = open_page(address)
        page.get_by_label("API key of this server").fill("wrong")
        page.keyboard.press("Enter")
        expect(page.get_by_role("alert")).to_contain_text("wrong")
        page.get_by_label("API key of this server").fill("secret")
        page.get_by_role("button", name="Use").click()
        expect(page.locator("#model")).to_contain_text("Model")
        chosen(page, four)


def test_without_explanations_there_is_no_overlay(
    open_page: Callable[..., Any], models: Models, four: list[Path], running: Running
) -> None:
    plain = Models(models.predictor, None, "an exported model holds no layers to look into")
    with running(create_app(plain, Settings())) as address:
        page = chosen(open_page(address), four)
        expect(page.locator("#detail .class")).to_contain_text("probability")
        expect(page.locator("#relevance")).to_be_hidden()
        expect(page.locator("#overlay")).to_be_hidden()
