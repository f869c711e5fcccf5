"""The pages in Chromium: list, run, comparison, errors, keyboard, phone, and axe-core."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
pytestmark = pytest.mark.skipif(
    CHROMIUM is None, reason="no chromium on PATH (Debian: apt-get install chromium)"
)
RUN = "/run/site~good"


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    playwright = pytest.importorskip("playwright.sync_api")
    with playwright.sync_playwright() as started:
        browser = started.chromium.launch(
            executable_path=CHROMIUM,
            args=["--no-sandbox", "--disable-gpu", "--disable-background-networking"],
        )
        yield browser
        browser.close()


@pytest.fixture
def page(chromium: Browser, address: str) -> Iterator[Page]:
    """A page that must load nothing from elsewhere and say nothing on its console."""
    context = chromium.new_context(base_url=address, viewport={"width": 1300, "height": 900})
    page = context.new_page()
    wrong: list[str] = []
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on("console", lambda said: wrong.append(said.text) if said.type == "error" else None)
    page.on("request", lambda r: wrong.append(r.url) if not r.url.startswith(address) else None)
    yield page
    context.close()
    assert wrong == []


def test_from_the_list_to_a_comparison(page: Page) -> None:
    page.goto("/")
    assert page.get_by_role("rowheader").count() == 7
    page.get_by_role("link", name="recipe-good").click()
    assert "Under the patient-disjoint protocol" in page.locator(".verdict").inner_text()
    page.goto("/")
    compare = page.get_by_role("button", name="Compare the chosen runs")
    assert compare.is_disabled()
    page.get_by_label("Compare site/good").check()
    assert "choose another" in page.locator("[data-count]").inner_text()
    page.get_by_label("Compare site/other").check()
    compare.click()
    assert "good against other" in page.locator(".verdict").inner_text()
    assert page.get_by_role("row", name=re.compile("^macro AUC")).count() == 2


def test_a_report_keeps_its_styles_and_pictures_but_runs_nothing(
    chromium: Browser, address: str
) -> None:
    page = chromium.new_page()
    page.goto(address + RUN)
    page.get_by_role("link", name="Report", exact=True).click()
    heading = page.locator("h1")
    assert heading.inner_text() == "A report"
    assert heading.evaluate("h => getComputedStyle(h).color") == "rgb(1, 2, 3)"
    assert page.locator("img").evaluate("i => i.naturalWidth") == 9
    assert page.title() == "A report"
    page.close()


def test_errors_are_filtered_and_the_state_stands_in_the_address(page: Page) -> None:
    page.goto(f"{RUN}/errors")
    page.locator("select[name=true]").select_option("DC")
    page.locator("select[name=magnification]").select_option("400")
    page.get_by_role("button", name="Show").click()
    assert "true=DC" in page.url
    assert "magnification=400" in page.url
    cards = page.locator(".case")
    assert 0 < cards.count() < 60
    assert set(page.locator(".case .class:first-child").all_inner_texts()) == {"DC"}
    picture = page.locator(".case img").first
    picture.scroll_into_view_if_needed()
    page.wait_for_function("document.querySelector('.case img').naturalWidth > 0")
    before = page.locator(".cases").inner_text()
    page.reload()
    assert page.locator(".cases").inner_text() == before
    page.locator(".matrix a").first.click()
    assert "show=all" in page.url


def test_keys_are_enough(page: Page) -> None:
    def focused(of: str) -> Any:
        return page.evaluate(f"document.activeElement.{of}")

    page.goto(f"{RUN}/errors")
    page.keyboard.press("Tab")
    assert focused("className") == "skip"
    page.keyboard.press("Enter")
    page.wait_for_function("document.activeElement.id === 'main'")
    pictures = page.locator("a.picture")
    pictures.nth(0).focus()
    assert page.evaluate("getComputedStyle(document.activeElement).outlineWidth") == "3px"
    page.keyboard.press("ArrowRight")
    assert focused("href") == pictures.nth(1).evaluate("a => a.href")
    page.keyboard.press("ArrowDown")
    below = focused("getBoundingClientRect().top")
    assert below > pictures.nth(1).evaluate("a => a.getBoundingClientRect().top")
    page.keyboard.press("Home")
    assert focused("href") == pictures.nth(0).evaluate("a => a.href")
    page.keyboard.press("Enter")
    page.wait_for_url("**/image?**")
    first = page.locator(".image-id").inner_text()
    page.keyboard.press("ArrowRight")
    page.wait_for_url(lambda url: first not in url)
    assert page.get_by_text("2 of ").count() == 1
    page.keyboard.press("ArrowLeft")
    page.wait_for_url(lambda url: first in url)
    page.goto(f"{RUN}/errors")
    page.keyboard.press("ArrowRight")
    page.wait_for_url("**page=2**")


@pytest.mark.parametrize("path", ["/", RUN, f"{RUN}/errors", "/compare", f"{RUN}/patients"])
def test_a_phone_needs_no_sideways_scrolling(page: Page, path: str) -> None:
    page.set_viewport_size({"width": 375, "height": 800})
    page.goto(path)
    assert page.evaluate("document.documentElement.scrollWidth") <= 375


@pytest.mark.parametrize(
    ("scheme", "rules"),
    # In the dark only the colours differ.
    [("light", {}), ("dark", {"runOnly": ["color-contrast"]})],
)
def test_axe_finds_nothing_serious(page: Page, scheme: Any, rules: dict[str, Any]) -> None:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright").Axe()
    page.emulate_media(color_scheme=scheme)
    paths = ["/", RUN, f"{RUN}/errors?true=DC", f"{RUN}/patients", "/study/site~study",
             "/compare?run=site~good&run=site~other", f"{RUN}/files/recipe.yaml",
             f"{RUN}/image?image=SOB_B_A-14-1000-40-001&show=all"]  # fmt: skip
    found = []
    for path in paths:
        page.goto(path)
        result = axe.run(page, options={"resultTypes": ["violations"], **rules})
        for violation in result.response["violations"]:
            if violation["impact"] in ("serious", "critical"):
                nodes = [node["html"][:200] for node in violation["nodes"][:3]]
                found.append((path, violation["id"], nodes))
    assert found == []
