"""The ways in which texts and tables are read, each of which must end in a result or an error.

A reader of the library may raise an error of ``magnostic.errors`` alone; the command line must end
with exit code 0, 1 or 2; a page must be sent with another status than 500.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from _fuzz_read import Wrong, memory_suffices
from _fuzz_texts import WHOLE, Files, Text

from magnostic.errors import MagnosticError


@dataclass
class Opener:
    """Puts one file in place of a whole one and reads what it belongs to.

    Attributes:
        files: whole ones; they are not changed.
        work: an empty folder.
    """

    files: Files
    work: Path

    def __call__(self, given: Text) -> bool:
        """Whether it was taken. Raises whatever is no proper end."""
        source = self.files.root / WHOLE[given.kind][0]
        folder = self.work / source.name
        shutil.rmtree(folder, ignore_errors=True)
        # Links, since what is written is written to a new file and put in place.
        shutil.copytree(source, folder, copy_function=os.link)
        target = folder / given.name
        target.unlink()
        target.write_bytes(given.data)
        taken = True
        for step in _STEPS[given.kind]:
            try:
                step(self, folder, target)
            except MagnosticError as error:
                _check_words(error)
                taken = False
        if given.whole and not taken:
            raise Wrong(f"a whole file was refused: {given.kind} {given.name}")
        return taken

    @property
    def images(self) -> Path:
        return self.files.root / "tables" / "images.parquet"

    @property
    def photograph(self) -> Path:
        from magnostic.data.images import Images

        return Path(str(Images.read(self.images).table["path"].iloc[0]))


def _check_words(error: MagnosticError) -> None:
    said = str(error)
    if not said.strip() or "Traceback" in said:
        raise Wrong(f"an error without words: {error!r}")
    memory_suffices(said)
    if len(said) > 20_000:
        raise Wrong(f"an error of {len(said)} characters: {said[:200]}")


@contextlib.contextmanager
def no_figures() -> Iterator[None]:
    """Reports are laid out, but the files of their figures are empty: they take the most time."""
    from unittest.mock import patch

    from matplotlib.figure import Figure

    def save(_: Figure, target: Any, **more: Any) -> None:
        if more["format"] == "svg":
            target.write(b'<svg xmlns="http://www.w3.org/2000/svg"/>')
        else:
            Path(target).write_bytes(b"")

    with patch.object(Figure, "savefig", save):
        yield


def call(*arguments: object) -> None:
    """The command line; a refusal is raised as the error that it printed."""
    from magnostic.cli import main

    out, err = io.StringIO(), io.StringIO()
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            main([str(a) for a in arguments])
    except SystemExit as end:
        if end.code in (None, 0):
            return
        if end.code not in (1, 2):
            raise Wrong(f"exit code {end.code}: {err.getvalue()[-300:]}") from None
        raise MagnosticError(err.getvalue() or out.getvalue()) from None


def _recipe(_: Opener, __: Path, target: Path) -> None:
    from magnostic import recipe_file

    recipe = recipe_file.load(target)
    if recipe_file.parse(_yaml(recipe.to_yaml()), "again") != recipe:
        raise Wrong("a recipe is another one after it was written and read")


def _yaml(text: str) -> Any:
    import yaml

    return yaml.safe_load(text)


def _study(_: Opener, __: Path, target: Path) -> None:
    from magnostic.study import expand, schema

    study, beside = schema.load(target)
    expand.expand(study, beside)


def _label_map(opener: Opener, _: Path, target: Path) -> None:
    from magnostic.data.images import Images
    from magnostic.data.relabel import read_label_map, relabel

    meanings = read_label_map(target)
    relabel(Images.read(opener.images), meanings)


def _manifest(opener: Opener, _: Path, target: Path) -> None:
    from magnostic.data.images import Images
    from magnostic.data.read import read_images
    from magnostic.deploy import sources

    with contextlib.suppress(MagnosticError):
        sources.listed([target])
    images = read_images(target, on_bad="skip")
    images.write(opener.work / "again.parquet")
    if Images.read(opener.work / "again.parquet").data_hash != images.data_hash:
        raise Wrong("an images table is another one after it was written and read")


def _outside(opener: Opener, folder: Path, target: Path) -> None:
    call("report", target, "--images", opener.images, "--out", folder / "judged")


def _folds(_: Opener, folder: Path, target: Path) -> None:
    from magnostic.splits.official import read_fold_file

    read_fold_file(folder, int(target.stem[-1]))


def _images_table(_: Opener, __: Path, target: Path) -> None:
    call("index", target)


def _predict(opener: Opener, folder: Path, _: Path) -> None:
    from magnostic.deploy import load

    predictor = load(folder, engine="torch" if (folder / "run.json").exists() else "auto")
    row = next(predictor.stream([opener.photograph]))
    if row["error"] is None and row["y_pred"] not in predictor.about.classes:
        raise Wrong(f"predicted {row['y_pred']!r}")


def _verb(*verbs: str, data: bool = False) -> Callable[[Opener, Path, Path], None]:
    def step(opener: Opener, folder: Path, _: Path) -> None:
        for verb in verbs:
            call(verb, folder, *(["--data", opener.images] if data else []))

    return step


def _compare(opener: Opener, folder: Path, _: Path) -> None:
    call("compare", folder, opener.files.root / "tuned")


def _browse(_: Opener, folder: Path, __: Path) -> None:
    from starlette.testclient import TestClient

    from magnostic.browse import find
    from magnostic.browse.app import make_app
    from magnostic.browse.browser import Browser

    browser = Browser(find.check([folder.parent]))
    keys = [place.key for place in browser.found().places.values() if place.kind == "run"]
    with TestClient(make_app(browser)) as client:
        pages = [
            "/",
            *[f"/run/{k}{page}" for k in keys[:1] for page in ("", "/errors", "/patients")],
        ]
        for page in pages:
            status = client.get(page).status_code
            if status >= 500:
                raise Wrong(f"the page {page} ended in {status}")


def _carry_on(opener: Opener, folder: Path, _: Path) -> None:
    call("study", opener.files.root / "carried.yaml", "--data", opener.images, "--out", folder)


def _browse_studies(_: Opener, folder: Path, __: Path) -> None:
    from magnostic.browse import find
    from magnostic.browse.browser import Browser

    Browser(find.check([folder.parent])).found()


def _restore(_opener: Opener, folder: Path, _: Path) -> None:
    from magnostic.train import checkpoint

    model, optimizer, identity = checkpoint_parts()
    checkpoint.restore(folder, model, optimizer, identity)


def checkpoint_parts() -> tuple[Any, Any, str]:
    """A network of two layers, its optimizer, and what a checkpoint of them is called."""
    import torch

    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Linear(4, 3), torch.nn.BatchNorm1d(3))
    return model, torch.optim.AdamW(model.parameters(), lr=1e-3), "synthetic"


def _resume(opener: Opener, folder: Path, _: Path) -> None:
    out = folder / "out.csv"
    run = opener.files.root / "run"
    call("predict", run, opener.images, "--engine", "torch", "-o", out, "--resume")


Step = Callable[[Opener, Path, Path], None]
_PAGES: tuple[Step, ...] = (_verb("report"), _verb("card"), _browse)
_STEPS: dict[str, tuple[Step, ...]] = {
    "recipe": (_recipe,),
    "study": (_study,),
    "label map": (_label_map,),
    "manifest": (_manifest,),
    "predictions made elsewhere": (_outside,),
    "fold file": (_folds,),
    "images table": (_images_table,),
    "run: model.json": (_predict, _verb("card")),
    "run: export.json": (_predict,),
    "run: safetensors": (_predict,),
    "run: run.json": (_predict, _verb("audit"), *_PAGES),
    "run: data.json": _PAGES,
    "run: metrics.json": (*_PAGES, _verb("audit")),
    "run: calibration.json": (_predict, _verb("card", "audit")),
    "run: fitted_on.json": (_verb("audit", data=True),),
    "run: audit.json": _PAGES,
    "run: split.json": (_verb("report", "audit"),),
    "run: recipe.yaml": (*_PAGES, _predict),
    "run: history.jsonl": (_verb("report"),),
    "run: child": (_verb("report", "audit"),),
    "run: predictions.parquet": (_verb("report", "audit"), _compare, _browse),
    "run: split.parquet": (_verb("report", "audit"),),
    "run: reference.parquet": (_predict,),
    "study: study.json": (_carry_on, _verb("report"), _browse_studies),
    "checkpoint": (_restore,),
    "checkpoint: tensors": (_restore,),
    "progress of predict": (_resume,),
}


def make(root: Path) -> Files:
    """Whole files of every kind, from a drawn data set and two tiny runs, below an empty folder."""
    from soak import COMMON, TUNED, drawn

    from magnostic import recipe_file
    from magnostic.data.read import read_images
    from magnostic.train.run import run

    images = read_images(drawn(root / "photographs"))
    probe = recipe_file.load(Path("probe-lite0"), [*COMMON, "--train.batch_size=8"])
    run(probe, images, root / "run")
    run(recipe_file.load(Path("nishio2024-resnet50-subtype"), TUNED), images, root / "tuned")
    around(root, images)
    small = root / "carried.yaml"
    told = {"rows": [{"recipe": "probe-lite0"}], "overrides": COMMON}
    small.write_text(json.dumps(told), encoding="utf-8")  # YAML, too
    images_table = root / "tables" / "images.parquet"
    call("study", small, "--data", images_table, "--out", root / "carried")
    return Files(root)


def around(root: Path, images: Any) -> None:
    """What lies beside ``run`` and ``tuned``: tables, recipes, a checkpoint and so on."""
    import torch

    from magnostic import recipe_file
    from magnostic.data.images import Images
    from magnostic.deploy import export, load
    from magnostic.deploy.sources import listed
    from magnostic.deploy.to_file import _identity
    from magnostic.evaluate.predictions import Predictions
    from magnostic.study import schema
    from magnostic.train import checkpoint

    assert isinstance(images, Images)
    folders = {folder for folder, _ in WHOLE.values()} - {"run", "tuned", "exported", "carried"}
    for name in sorted(folders):
        (root / name).mkdir(exist_ok=True)
    images.write(root / "tables" / "images.parquet")
    for path in list(recipe_file.shipped().values())[::6]:
        shutil.copy(path, root / "recipes")
    for path in schema.shipped().values():
        shutil.copy(path, root / "studies")
    (root / "maps" / "map.yaml").write_text(
        f"{images.table['source'].iloc[0]}:\n  A: severe\n  DC: LC\n  LC: benign\n  PT: null\n"
        "  'MC': \"3\"\n", encoding="utf-8")  # fmt: skip
    table = images.table
    given = table.rename(columns={"patient_id": "patient", "slide_id": "slide"})
    given = given.drop(columns=["source"])
    given.head(12).to_csv(root / "manifests" / "given.csv", index=False)
    decoded = given.head(6)[["path", "label", "patient", "slide", "magnification"]]
    decoded.to_csv(root / "manifests" / "decoded.csv", index=False)
    predictions = Predictions.read(root / "run" / "predictions.parquet")
    columns = ["image_id", "y_true", "y_pred", *[f"p_{c}" for c in predictions.classes]]
    made = predictions.table[columns]
    made.to_csv(root / "outside" / "whole.csv", index=False)
    made[["image_id", "y_pred"]].to_csv(root / "outside" / "decisions.csv", index=False)
    lines = [
        f"{n}.png|40|1|{'train' if i % 2 else 'test'}" for i, n in enumerate(table["image_id"])
    ]
    (root / "folds" / "dsfold1.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    export.export(root / "run", root / "exported", "torchscript")
    model, optimizer, identity = checkpoint_parts()
    for _ in range(2):
        optimizer.zero_grad()
        model(torch.randn(8, 4)).sum().backward()
        optimizer.step()
    progress = checkpoint.Progress(2, 1, 0.5, [{"epoch": 1.0, "loss": 2.0}])
    checkpoint.save(root / "checkpoint", model, checkpoint.copy_state(model), optimizer, progress,
                    identity, {})  # fmt: skip
    predictor = load(root / "run", engine="torch")
    items = listed([root / "tables" / "images.parquet"])
    rows = [f'{{"identity": "{_identity(predictor, items, predictor.engine.name)}"}}']
    rows += [json.dumps(row) for row in predictor.stream(items[:20])]
    (root / "progress" / ".out.csv.partial").write_text("\n".join(rows) + "\n", encoding="utf-8")
