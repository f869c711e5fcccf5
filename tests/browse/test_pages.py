"""The pages by their addresses: what they say, and what they are sent with."""

from __future__ import annotations

import html
import re
import shutil
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from magnostic.browse import find, looking
from magnostic.browse.app import make_app, names_of
from magnostic.browse.browser import Browser
from magnostic.browse.comparing import RESAMPLES
from magnostic.cli import main
from magnostic.data import Images
from magnostic.errors import MagnosticError

KEY = "/run/site~good"


def _text(page: str) -> str:
    """Words of a page, tags and doubled spaces left out."""
    return " ".join(html.unescape(re.sub(r"<[^>]*>", " ", page)).split())


@pytest.mark.parametrize(
    ("path", "says"),
    [
        ("/", "recipe-good"),
        (KEY, "Under the patient-disjoint protocol"),
        (f"{KEY}/errors", "most confident first"),
        (f"{KEY}/patients?protocol=random", "14-1000"),
        (f"{KEY}/files/recipe.yaml", "name: recipe-good"),
        (f"{KEY}/files/tables/protocols.csv", "accuracy low"),
        (f"{KEY}/files/MODEL_CARD.md", "Card <b>of</b> good"),
        (f"{KEY}/image?image=SOB_B_A-14-1000-40-001", "This image under every protocol"),
        ("/study/site~study", "refused: the data cannot bear it (too few patients)"),
        ("/compare", "Choose runs"),
    ],
)
def test_pages_say_what_they_are_for(client: TestClient, path: str, says: str) -> None:
    answer = client.get(path)
    assert answer.status_code == 200
    assert says in _text(answer.text)
    assert "Research use only" in answer.text
    policy = answer.headers["content-security-policy"]
    assert policy.startswith("default-src 'self';")
    # Nothing that this policy would block, and nothing from elsewhere.
    assert not re.search(r"<script(?! src=\"/static/)|<style|\sstyle=|\son\w+=", answer.text)
    assert not re.search(r"(?:src|href)=\"(?:https?:)?//", answer.text)


def test_the_report_itself_is_served(client: TestClient, browser: Browser) -> None:
    report = (browser.roots[0] / "good/report.html").read_text(encoding="utf-8")
    assert client.get(f"{KEY}/files/report.html").text == report


def test_protocols_stand_side_by_side_with_intervals_and_gap(
    client: TestClient, browser: Browser
) -> None:
    import json

    metrics = json.loads((browser.roots[0] / "good/metrics.json").read_text())
    text = _text(client.get("/").text)
    for result in metrics["protocols"].values():
        for name in ("accuracy", "macro_f1"):
            m = result["overall"][name]
            figures = [f"{m[k]:.3f}".removeprefix("0") for k in ("estimate", "low", "high")]
            assert f"{figures[0]} ({figures[1]}–{figures[2]})" in text
    gap = metrics["gap"]["patient"]["accuracy"]["estimate"]
    assert f"gap {gap:.1f}" in text
    assert "1 issue" in text


def test_a_comparison_says_what_the_command_says(
    client: TestClient, browser: Browser, capsys: pytest.CaptureFixture[str]
) -> None:
    runs = [browser.roots[0] / name for name in ("good", "other", "study/runs/row-1")]
    with pytest.raises(SystemExit) as ended:
        main(["compare", *map(str, runs)])
    assert not ended.value.code
    said = capsys.readouterr().out
    keys = "&".join(f"run=site~{name}" for name in ("good", "other", "study~runs~row-1"))
    answer = client.get(f"/compare?{keys}")
    assert answer.status_code == 200
    assert f"{RESAMPLES:,} resamples" in answer.text
    page = _text(answer.text)
    # The command frames its tables: what is left are the same words in the same order.
    lines = [" ".join(re.sub(r"[━─┃│┏┓┗┛┡┩┳┻╇┴└┘]", " ", line).split())
             for line in said.splitlines()]  # fmt: skip
    lines = [line for line in lines if line]
    assert len(lines) > 25
    for line in lines:
        assert line in page, line


@pytest.mark.parametrize(
    ("names", "options", "says"),
    [
        (("good", "few"), {"protocol": "random"}, "few lacks 56 of the 96 test predictions"),
        (("few", "other"), {}, "no protocol is tested by all runs"),
        (("good", "other"), {"protocol": "random"}, "other: no test predictions under protocol"),
    ],
)
def test_runs_that_cannot_be_compared_say_why_as_the_command_does(
    client: TestClient,
    browser: Browser,
    capsys: pytest.CaptureFixture[str],
    names: tuple[str, ...],
    options: dict[str, str],
    says: str,
) -> None:
    asked = "&".join([*(f"run=site~{n}" for n in names), *(f"{k}={v}" for k, v in options.items())])
    answer = client.get(f"/compare?{asked}")
    assert answer.status_code == 422
    page = _text(answer.text)
    assert says in page
    flags = [token for k, v in options.items() for token in (f"--{k}", v)]
    with pytest.raises(SystemExit) as ended:
        main(["compare", *(str(browser.roots[0] / n) for n in names), *flags])
    assert ended.value.code == 2
    error = capsys.readouterr().err.removeprefix("error: ")
    assert " ".join(error.split()) in page


def test_one_run_is_no_fault_but_a_question(client: TestClient) -> None:
    answer = client.get("/compare?run=site~good")
    assert answer.status_code == 200
    assert "choose another" in answer.text
    assert client.get("/compare?run=site~nothing").status_code == 404


def test_pictures_come_from_the_table_alone(client: TestClient) -> None:
    small = client.get(f"{KEY}/small.jpg", params={"image": "SOB_B_A-14-1000-40-001"})
    assert (small.status_code, small.headers["content-type"]) == (200, "image/jpeg")
    assert client.get(f"{KEY}/large.png?image=SOB_B_A-14-1000-40-001").status_code == 200
    for image in ("../../etc/passwd", "/etc/passwd", "", "SOB_B_A-14-1000-40-001.png"):
        assert client.get(f"{KEY}/small.jpg", params={"image": image}).status_code == 404
    # Of the data set, but not of this run.
    late = client.get("/run/site~few/small.jpg", params={"image": "SOB_M_PC-14-8002-400-001"})
    assert late.status_code == 404
    assert client.get(f"{KEY}/small.png?image=SOB_B_A-14-1000-40-001").status_code == 404


def test_without_photographs_the_reason_stands_in_their_place(browser: Browser) -> None:
    alone = TestClient(make_app(Browser(browser.roots)))
    page = alone.get(f"{KEY}/errors").text
    assert "<img" not in page
    assert page.count('class="placeholder"') == 60
    assert "no data set was given (--data)" in page


def test_a_run_may_bring_its_images_table(
    browser: Browser, tiny_images: Images, tmp_path: Path
) -> None:
    run = shutil.copytree(browser.roots[0] / "other", tmp_path / "runs/own")
    alone = TestClient(make_app(Browser(find.check([tmp_path / "runs"]))))
    picture = "/run/runs~own/small.jpg?image=SOB_B_A-14-1000-40-001"
    assert alone.get(picture).status_code == 404
    tiny_images.write(run / "images.parquet")
    assert alone.get(picture).status_code == 200


def test_what_is_not_there_or_cannot_be_shown(client: TestClient) -> None:
    for path in ("/nothing", "/run/nothing", "/study/site~good", "/other/site~good/files/run.json",
                 f"{KEY}/image?image=none", "/compare?task=other"):  # fmt: skip
        answer = client.get(path)
        assert answer.status_code == 404, path
        assert "Research use only" in answer.text
    for path in ("/run/site~cut", f"{KEY}/errors?true=none", f"{KEY}/patients?sort=none",
                 f"{KEY}/files/run.json?save=perhaps"):  # fmt: skip
        assert client.get(path).status_code == 422, path


def test_other_names_of_this_machine_are_refused(browser: Browser) -> None:
    app = make_app(browser, names_of("127.0.0.1"))
    for host in ("127.0.0.1:8600", "localhost", "localhost:1", "[::1]:8600"):
        assert TestClient(app).get("/", headers={"host": host}).status_code == 200
    for host in ("evil.example", "127.0.0.1.evil.example:8600", "[::2]", ""):
        assert TestClient(app).get("/", headers={"host": host}).status_code == 421
    assert names_of("0.0.0.0") is None
    assert names_of("::") is None
    assert names_of("192.0.2.7") == {"192.0.2.7"}


def test_errors_of_a_run_without_predictions_are_told(browser: Browser) -> None:
    with pytest.raises(MagnosticError):
        looking.errors(browser, "site~cut", {})
