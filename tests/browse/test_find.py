"""Discovery of runs and the lines of the list."""

from __future__ import annotations

from pathlib import Path

import pytest

from magnostic.browse import find, listing, overview
from magnostic.browse.browser import Browser
from magnostic.errors import BadInput
from magnostic.files import write_json, write_text


def test_everything_is_found_and_models_stand_inside_their_run(site: Path) -> None:
    places = find.find(find.check([site])).places
    assert {key: (p.kind, p.inside) for key, p in places.items()} == {
        "site~begun": ("unfinished", None),
        "site~cut": ("run", None),
        "site~few": ("run", None),
        "site~good": ("run", None),
        "site~good~patient~r0f0": ("run", "site~good"),
        "site~other": ("run", None),
        "site~study": ("study", None),
        "site~study~runs~row-1": ("run", "site~study"),
    }


def test_links_hidden_folders_and_paths_that_lead_out_are_passed_over(
    site: Path, tmp_path: Path
) -> None:
    root = tmp_path / "root"
    children = [{"path": path} for path in ("../good", "/etc", "a/../../x", "linked", ".", 3)]
    write_json(root / "run.json", {"children": [*children, "text"]})
    (root / "linked").symlink_to(site / "good")
    assert list(find.find(find.check([root])).places) == ["root"]
    (tmp_path / "links").mkdir()
    (tmp_path / "links/good").symlink_to(site / "good")
    (tmp_path / "links/loop").symlink_to(tmp_path / "links")
    write_json(tmp_path / "links/.hidden/run.json", {})
    assert find.find(find.check([tmp_path / "links"])).places == {}


def test_folders_of_one_name_have_keys_of_their_own(tmp_path: Path) -> None:
    for name in ("a/runs/x", "b/runs/x", "b/runs~x"):
        write_json(tmp_path / name / "run.json", {"children": [{"path": "m"}]})
        write_json(tmp_path / name / "m/run.json", {})
    found = find.find(find.check([tmp_path / "a/runs", tmp_path / "b/runs", tmp_path / "b/runs~x"]))
    tops = [p for p in found.places.values() if p.inside is None]
    assert len(tops) == 3
    assert len({p.key for p in found.places.values()}) == 6
    for place in found.places.values():
        if place.inside is not None:
            assert place.path.parent == found.places[place.inside].path


def test_a_search_ends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for n in range(10):
        write_json(tmp_path / f"r{n}/run.json", {})
    monkeypatch.setattr(find, "MOST_FOLDERS", 6)
    found = find.find(find.check([tmp_path]))
    assert found.cut
    assert 0 < len(found.places) < 10


@pytest.mark.parametrize("name", ["nowhere", "file.txt"])
def test_bad_folders_are_refused(tmp_path: Path, name: str) -> None:
    write_text(tmp_path / "file.txt", "text")
    with pytest.raises(BadInput, match=name):
        find.check([tmp_path / name])
    with pytest.raises(BadInput, match="no folder was given"):
        find.check([])


def _keys(browser: Browser, **asked: str) -> list[str]:
    shown = overview.runs(browser, listing.Asked(**asked))
    return [line.place.key.removeprefix("site~") for line in shown["lines"]]


def test_the_list_is_sorted_and_filtered(browser: Browser) -> None:
    lines = {line.place.key: line for line in overview.runs(browser, listing.Asked())["lines"]}

    def accuracy(key: str) -> float:
        return float(lines[f"site~{key}"].figures["patient"]["accuracy"]["estimate"])

    judged = sorted(["good", "other", "study~runs~row-1"], key=accuracy)
    assert _keys(browser, sort="accuracy:patient")[:3] == judged
    assert _keys(browser, sort="-accuracy:patient")[:3] == judged[::-1]
    assert _keys(browser, state="wrong") == ["begun", "cut"]
    assert _keys(browser, state="study") == ["study"]
    assert _keys(browser, protocol="accession") == ["good"]
    assert _keys(browser, text="ROW") == ["study", "study~runs~row-1"]
    assert _keys(browser, text="row recipe") == ["study~runs~row-1"]
    assert _keys(browser, text="nothing") == []
    assert _keys(browser, task="subtype, 8 classes", sort="name") == [
        "few", "good", "other", "study~runs~row-1",
    ]  # fmt: skip


def test_what_is_wrong_is_said_without_the_machine(browser: Browser, site: Path) -> None:
    lines = {line.place.key: line for line in overview.runs(browser, listing.Asked())["lines"]}
    assert "--resume" in lines["site~begun"].wrong
    assert "metrics.json: not valid JSON" in lines["site~cut"].wrong
    assert str(site.parent) not in lines["site~cut"].wrong
    assert lines["site~study"].note == "1 of 2 rows done, 1 refused"


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("run.json", "[]"),
        ("metrics.json", '{"protocols": {"patient": {}}, "classes": []}'),
        ("recipe.yaml", "a: [b"),
        ("recipe.yaml", "- only\n- a list\n"),
        ("audit.json", '{"findings": 3}'),
        ("data.json", "not json"),
    ],
)
def test_a_file_of_any_content_makes_a_broken_line(tmp_path: Path, file: str, text: str) -> None:
    write_json(tmp_path / "run/run.json", {"children": []})
    write_json(tmp_path / "run/metrics.json", {"protocols": {}, "classes": [], "gap": {}})
    write_text(tmp_path / "run" / file, text)
    (line,) = overview.runs(Browser(find.check([tmp_path])), listing.Asked())["lines"]
    assert line.wrong
    assert line.state == "wrong"


def test_a_run_is_read_again_when_its_files_change(tmp_path: Path) -> None:
    write_text(tmp_path / "r/recipe.yaml", "name: first\n")
    browser = Browser(find.check([tmp_path]))
    assert overview.runs(browser, listing.Asked())["lines"][0].state == "wrong"
    write_json(tmp_path / "r/run.json", {"kind": "outside", "classes": ["a", "b"]})
    protocols = {"protocols": {}, "classes": ["a", "b"], "gap": {}}
    write_json(tmp_path / "r/metrics.json", protocols)
    write_text(tmp_path / "r/recipe.yaml", "name: second\n")
    (line,) = overview.runs(browser, listing.Asked())["lines"]
    assert (line.name, line.wrong) == ("second", "")
