"""Recipes: defaults, overrides, round trip, and errors that name the field."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from magnostic import recipe_file as recipes
from magnostic.errors import RecipeError
from magnostic.recipe import Finetune, Probe, Recipe
from magnostic.report import published


def test_every_shipped_recipe_loads_by_name_and_states_what_it_is() -> None:
    known = recipes.shipped()
    assert {"probe-lite0", "demo-phantom", "nishio2024-resnet50-subtype"} <= set(known)
    for name in known:
        loaded = recipes.load(Path(name))
        assert loaded.name == name
        assert len(loaded.description) > 100


def test_the_papers_recipe_is_the_papers() -> None:
    paper = recipes.load(Path("nishio2024-resnet50-subtype"))
    assert isinstance(paper.train, Finetune)
    assert (paper.train.lr, paper.train.lr_end) == (3e-4, 1e-5)
    assert (paper.train.epochs, paper.train.batch_size) == (30, 32)
    assert (paper.train.optimizer, paper.train.weight_decay) == ("adam", 1e-4)
    assert (paper.split.test_fraction, paper.split.val_fraction) == (0.3, 0.25)
    assert (paper.split.folds, paper.split.stratify) == (1, False)
    assert (paper.preprocess.size, paper.preprocess.normalize) == (224, "train")


def test_every_row_of_table_ii_has_its_recipe() -> None:
    """And the recipe quotes the published accuracy."""
    papers = [recipes.load(Path(n)) for n in recipes.shipped() if n.startswith("nishio2024")]
    for row in published.TABLE_II:
        found = [r for r in papers if published.table_ii_rows(r.model_dump()) == [row]]
        assert len(found) == 1, row
        assert f"{row.values[0]:.2f}" in found[0].description


def test_round_trip_through_yaml() -> None:
    for name in recipes.shipped():
        loaded = recipes.load(Path(name))
        assert recipes.parse(yaml.safe_load(loaded.to_yaml()), name) == loaded


def test_overrides_reach_nested_fields() -> None:
    loaded = recipes.load(
        Path("probe-lite0"),
        [
            "--seed",
            "7",
            "--train.c=0.1,1",
            "--split.val-fraction",
            "0.2",
            "--model.weights",
            "none",
        ],
    )
    assert loaded.seed == 7
    assert loaded.split.val_fraction == 0.2
    assert loaded.model.weights == "none"
    assert isinstance(loaded.train, Probe)
    assert loaded.train.c == (0.1, 1.0)


@given(rate=st.floats(1e-7, 1.0))
def test_numbers_survive_the_command_line(rate: float) -> None:
    loaded = recipes.load(Path("nishio2024-resnet50-subtype"), ["--train.lr", repr(rate)])
    assert isinstance(loaded.train, Finetune)
    assert loaded.train.lr == rate


def test_the_method_can_be_changed_and_text_may_have_commas() -> None:
    changed = recipes.load(
        Path("probe-lite0"),
        ["--train.epochs", "2", "--train.method", "finetune", "--description", "a, b"],
    )
    assert isinstance(changed.train, Finetune)
    assert changed.train.epochs == 2
    assert changed.description == "a, b"


def test_what_was_changed_is_told_before_the_files_own_words() -> None:
    changed = recipes.load(Path("probe-lite0"), ["--task", "binary", "--data.magnifications=40"])
    assert changed.description.startswith(
        "Changed on the command line: task binary, data.magnifications 40.\n\nFrozen"
    )
    assert changed.data.magnifications == (40,)


@pytest.mark.parametrize(
    ("tokens", "says"),
    [
        (["--epochs", "3"], "did you mean 'train.epochs'|unknown field"),
        (["--folds", "3"], "did you mean 'split.folds'"),
        (["--train.head", "svm"], "'train.head' is for train.method probe"),
        (["--train.epochz", "3"], "did you mean 'epochs'"),
        (["--splitt.folds", "3"], "did you mean 'split'"),
        (["--train.epochs", "many"], "train.epochs"),
        (["--train.epochs"], "needs a value"),
        (["--split.protocols", "official"], "official_dir"),
        (["--split.test_fraction", "1.5"], "split.test_fraction"),
        (["--name.deeper", "1"], "not a section"),
        (["epochs=3"], "expected --section.field"),
    ],
)
def test_a_wrong_override_names_the_field(tokens: list[str], says: str) -> None:
    with pytest.raises(RecipeError, match=says):
        recipes.load(Path("nishio2024-resnet50-subtype"), tokens)


def test_what_is_no_yaml_on_the_command_line_is_text() -> None:
    bomb = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
        f"{b}: &{b} [{', '.join([f'*{a}'] * 9)}]\n" for a, b in itertools.pairwise("abcdefgh")
    )
    for text in ("2001-99-99", "[" * 1000, "a: [", "*nothing", bomb):
        assert recipes.pairs(["--name", text]) == [("name", text)]


def test_a_wrong_file_names_the_file_and_line(tmp_path: Path) -> None:
    broken = tmp_path / "broken.yaml"
    broken.write_text("name: x\ntrain: {epochs: [\n")
    with pytest.raises(RecipeError, match=r"broken\.yaml, line \d"):
        recipes.load(broken)
    broken.write_text("- a\n- b\n")
    with pytest.raises(RecipeError, match="mapping of fields"):
        recipes.load(broken)
    with pytest.raises(RecipeError, match="did you mean 'probe-lite0'"):
        recipes.load(Path("probe-lite"))


@pytest.mark.parametrize(
    "change",
    [
        {"train": {"method": "probe", "c": [0.1, 1]}, "split": {"val_fraction": 0}},
        {"train": {"method": "probe"}, "balance": {"method": "oversample"}},
        {"balance": {"when": "before-val-leaky"}},
        {"train": {"method": "probe"}, "model": {"dropout": 0.5}},
        {"split": {"protocols": ["patient", "patient"]}},
    ],
)
def test_contradictions_are_refused(change: dict[str, object]) -> None:
    with pytest.raises(RecipeError):
        recipes.parse({"name": "x", **change}, "x.yaml")


def test_defaults_are_honest() -> None:
    plain = Recipe(name="x")
    assert plain.split.protocols == ("patient",)
    assert plain.data.duplicates == plain.data.double_labels == "together"


#: Values that a field may get, right for some and wrong for others.
_VALUES = st.one_of(
    st.none(), st.booleans(), st.integers(-3, 3000), st.floats(), st.text(max_size=8),
    st.sampled_from(["none", "train", "random", "adam", "sgd", "cosine", "pooled", "224,112"]),
    st.lists(st.sampled_from(["random", "patient", "accession", 1, 0.1]), max_size=3),
)  # fmt: skip
_FIELDS = [
    (section, field)
    for section, info in Recipe.model_fields.items()
    for field in getattr(info.annotation, "model_fields", {"": None})
] + [("train", field) for field in {**Finetune.model_fields, **Probe.model_fields}]


@settings(max_examples=150)
@given(
    base=st.sampled_from(sorted(recipes.shipped())),
    changes=st.lists(st.tuples(st.sampled_from(_FIELDS), _VALUES), max_size=3),
)
def test_any_change_of_a_recipe_round_trips_or_is_refused(
    base: str, changes: list[tuple[tuple[str, str], object]]
) -> None:
    raw = recipes.read(recipes.shipped()[base])
    for (section, field), value in changes:
        change = {section: {field: value} if field else value}
        raw = recipes.merge(raw, change)
    try:
        recipe = recipes.parse(raw, base)
    except RecipeError as error:
        said = str(error)
    else:
        assert recipes.parse(yaml.safe_load(recipe.to_yaml()), base) == recipe
        return
    assert base in said


@settings(max_examples=80)
@given(st.text(max_size=60) | st.from_regex(r"(seed|train|model): ?[-\[{&*!|>'\"0-9a-z ]{0,12}"))
def test_any_text_is_a_recipe_or_an_error_of_ours(
    tmp_path_factory: pytest.TempPathFactory, text: str
) -> None:
    path = tmp_path_factory.getbasetemp() / "any.yaml"
    path.write_text(text, encoding="utf-8", errors="replace")
    said = "any.yaml"
    try:
        recipes.load(path)
    except RecipeError as error:
        said = str(error)
    assert "any.yaml" in said or "no such recipe" in said
