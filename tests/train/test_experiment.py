"""What a run counts of its photographs, from their pixels to its report."""

from __future__ import annotations

import html
import re
import shutil
from pathlib import Path

import pytest
from PIL import Image

from magnostic import recipe_file as recipes
from magnostic.data import Images, read_images
from magnostic.files import read_json
from magnostic.recipe import Recipe
from magnostic.train.experiment import Experiment
from magnostic.train.run import run

CONF = Path(__file__).parents[1] / "conf" / "finetune-oversample.yaml"
#: Colours of photographs that show no stain.
PLAIN = {"white": (255, 255, 255), "grey": (128, 128, 128)}


@pytest.fixture(scope="module")
def with_plain(
    tiny_breakhis: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Images, set[str]]:
    """The tiny tree's 48 photographs, a white and a grey one; the ids of these two."""
    root = shutil.copytree(tiny_breakhis, tmp_path_factory.mktemp("plain") / "BreaKHis_v1")
    beside = sorted(root.rglob("*-40-001.png"))
    added = [path.with_name(path.name.replace("-001", "-002")) for path in beside[:2]]
    for path, level in zip(added, PLAIN.values(), strict=True):
        Image.new("RGB", (40, 32), level).save(path)
    images = read_images(root)
    ids = images.table.loc[images.table["path"].isin(map(str, added)), "image_id"]
    return images, set(ids)


def recipe(colour: str) -> Recipe:
    return recipes.load(CONF, [f"--preprocess.colour={colour}"])


@pytest.mark.parametrize("method", ["reinhard", "macenko", "vahadane"])
def test_photographs_without_stain_are_counted_as_left_alone(
    method: str, with_plain: tuple[Images, set[str]]
) -> None:
    images, ids = with_plain
    assert len(ids) == 2
    found = Experiment(recipe(method), images, source=None).fell_back()
    assert found is not None
    assert set(found.pop("ids")) == ids  # type: ignore[call-overload]
    assert found == {"method": method, "fell_back": 2, "of": 50}


@pytest.mark.parametrize("method", ["none", "grayscale"])
def test_methods_that_leave_no_photograph_alone_count_none(
    method: str, tiny_images: Images
) -> None:
    assert Experiment(recipe(method), tiny_images, source=None).fell_back() is None


def test_a_run_reports_the_photographs_that_vahadane_left_alone(
    with_plain: tuple[Images, set[str]], tmp_path: Path
) -> None:
    images, ids = with_plain
    out = run(recipe("vahadane"), images, tmp_path / "run")
    told = read_json(out / "data.json")["colour"]
    assert (told["method"], told["fell_back"], told["of"]) == ("vahadane", 2, 50)
    assert set(told["ids"]) == ids
    text = html.unescape((out / "report.html").read_text())
    label = "Left unchanged by vahadane, too pale or blank for it"
    row = re.search(rf"<dt>{label}</dt><dd>([^<]*)</dd>", text)
    assert row is not None
    assert row[1] == f"2 of 50: {', '.join(told['ids'])}"
    model = read_json(out / "model.json")["colour"]
    assert (model["method"], len(model["target"])) == ("vahadane", 8)
    assert model["reference"] not in ids
