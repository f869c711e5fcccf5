"""Study files: what they hold, and errors that name the field."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from magnostic.errors import RecipeError
from magnostic.report import published
from magnostic.study import schema
from magnostic.study.expand import expand

WriteStudy = Callable[[str], Path]


@pytest.mark.parametrize("name", sorted(schema.shipped()))
def test_every_study_that_comes_along_expands(name: str) -> None:
    study, beside = schema.load(Path(name))
    entries = expand(study, beside)
    assert study.name == name
    assert study.title
    assert study.description
    assert len({entry.key for entry in entries}) == len(entries)
    named = [e for e in entries if not e.key.startswith("aptos")]
    assert all("patient" in e.recipe.split.protocols for e in named)


def test_the_studies_of_the_paper_are_there() -> None:
    assert set(schema.shipped()) >= {
        "table2",
        "table3",
        "preprocessing",
        "balance",
        "protocols",
        "sample",
    }


@pytest.mark.parametrize("table", ["table2", "table3"])
def test_every_row_of_a_table_is_in_its_study(table: str) -> None:
    study, _ = schema.load(Path(table))
    named = {key for row in study.rows for key in row.published}
    assert named >= {key for key in published.ROWS if key.startswith(table)}


def test_every_shipped_system_is_in_table3() -> None:
    from magnostic import recipe_file

    study, _ = schema.load(Path("table3"))
    others = {"probe-lite0", "best-cpu", "demo-phantom"}
    assert {row.recipe for row in study.rows} == set(recipe_file.shipped()) - others


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("rows: [{recipe: quick, lable: x}]", ["rows.1.lable", "did you mean 'label'"]),
        ("rows: [{recipe: quick, published: [table2-resnet5]}]", ["rows.1.published", "did you"]),
        ("rows: []", ["rows"]),
        ("title: x", ["rows", "required"]),
        ("rows: [{label: x}]", ["rows.1.recipe", "required"]),
        ("seed: 3\nrows: [{recipe: quick}]", ["'seed'", "did you mean 'seeds'"]),
        ("rows: [{recipe: quick, grid: {train.c: []}}]", ["rows.1.grid.train.c"]),
        ("rows: [{recipe: quick, grid: {train.c: 3}}]", ["rows.1.grid.train.c", "list"]),
        *(
            (f"name: {name}\nrows: [{{recipe: quick}}]", [": name: ", "no name of a study"])
            for name in (
                r'"a\ntouch here #"',
                r'"a\n"',
                "two words",
                "../../x",
                ".x",
                "-x",
                "a/b",
                "a;b",
                "$(b)",
                '""',
                "a" * 101,
            )
        ),
        ("- not a mapping", ["mapping"]),
        ("rows: [", ["line", "YAML"]),
    ],
)
def test_what_is_wrong_with_a_study(text: str, says: list[str], write_study: WriteStudy) -> None:
    path = write_study(text)
    with pytest.raises(RecipeError) as caught:
        schema.load(path)
    for words in (*says, "study.yaml"):
        assert words in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1, "each fault is told once"


def test_an_unknown_study_is_told_the_nearest() -> None:
    with pytest.raises(RecipeError, match=r"did you mean 'table3'"):
        schema.load(Path("tabel3"))


def test_a_resolved_study_is_the_same_study(write_study: WriteStudy, tmp_path: Path) -> None:
    text = "set: {task: binary}\nseeds: [0, 1]\nrows: [{recipe: quick.yaml, grid: {train.c: [1]}}]"
    study, beside = schema.load(write_study(text))
    study = study.model_copy(update={"overrides": ("--evaluate.resamples", "20")})
    written = tmp_path / "again.yaml"
    written.write_text(study.to_yaml())
    again, _ = schema.load(written)
    assert again == study
    assert expand(again, beside) == expand(study, beside)


def test_the_rows_of_aptos_can_be_run_on_aptos() -> None:
    """It names no patients, so that no protocol but single images can be drawn."""
    study, beside = schema.load(Path("table3"))
    rows = [entry for entry in expand(study, beside) if entry.key.startswith("aptos")]
    assert len(rows) == 2
    for entry in rows:
        assert entry.recipe.split.protocols == ("random",)
