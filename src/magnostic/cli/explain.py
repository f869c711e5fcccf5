"""``magnostic explain``: what a stored model's predictions rest on, photograph by photograph."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter

from magnostic.cli import options

if TYPE_CHECKING:
    from magnostic.explain.to_folder import Summary


def explain(
    run: Path,
    *images: options.Photographs,
    out: Annotated[Path, Parameter(name=["--out", "-o"])],
    method: Literal["auto", "gradcam", "attention", "occlusion"] = "auto",
    target: str | None = None,
    nearest: int = 5,
    random_maps: int = 5,
    data: options.DataPaths = (),
    column: options.Columns = (),
    strict: Annotated[bool, Parameter(negative="")] = False,
) -> None:
    """Explain a run's predictions: overlays, nearest training images, and whether maps are right.

    Each map stands beside random maps of the same smoothness: whether covering or uncovering what
    it marks moves the prediction more than chance. A photograph that cannot be read is a row with
    its error. Research use only.

    Parameters
    ----------
    run
        A run folder, or one of its models (RUN/final).
    images
        Files, folders, quoted globs, manifests (.csv with a column path), images tables (.parquet),
        or - for paths on standard input.
    out
        A new folder: report.html, overlays/, explanations.csv and .json.
    method
        gradcam: convolutional networks; attention: vision transformers; occlusion: any model, by
        many predictions; auto: the first of these that fits.
    target
        The class to explain; by default the one predicted for each photograph.
    nearest
        Training images shown for each photograph; 0: none.
    random_maps
        That each map is compared with, an odd number; 0: faithfulness is not measured.
    data
        The data sets that the run was trained on, to show nearest training images where the run
        kept no thumbnails.
    strict
        Exit with code 2 where any photograph could not be read, not only where none could; the
        folder is written first.
    """
    from magnostic.deploy.artefact import is_export
    from magnostic.deploy.sources import listed
    from magnostic.errors import BadInput
    from magnostic.explain import Explainer
    from magnostic.explain.explainer import require_class
    from magnostic.explain.to_folder import Wanted, explain_to_folder
    from magnostic.progress import say
    from magnostic.stored import classes_of

    options.refuse_unknown(images, "explain")
    if out.exists():
        raise BadInput(f"{out}: exists; choose another folder (-o), or remove it")
    options.refuse_absent(data)
    wanted = Wanted(target, nearest, random_maps)
    if target is not None and not is_export(run):  # which is refused as a whole
        require_class(target, classes_of(run))
    items = listed(images, options.mapping(column))
    explainer = Explainer.load(run, method=method)
    say(f"model {explainer.about.name}, {explainer.method}, {explainer.engine.name}")
    if nearest and not explainer.comparable:
        say(
            f"{run}: made by an earlier version, which hashed pixels in another way: whether a "
            "photograph was trained on is not told, and --data shows no training image; train the "
            "run again for both"
        )
    found = explain_to_folder(explainer, items, out, wanted, data, synthetic=_synthetic(run))
    _report(found, random_maps)
    options.refuse_unread(len(found.errors), found.images, strict, out / "explanations.csv")


def _synthetic(run: Path) -> bool:
    """Whether the run's data set was the phantom."""
    from magnostic.files import read_object
    from magnostic.stored import data_of

    path = data_of(run)
    return path is not None and bool(read_object(path).get("synthetic"))


def _report(found: Summary, maps: int) -> None:
    from magnostic.data.summary import counted
    from magnostic.explain.summary import in_words

    print(f"{counted(found.images, 'photograph')}, {len(found.errors)} could not be read")
    if found.classes:
        print("classes: " + ", ".join(f"{c} {n}" for c, n in sorted(found.classes.items())))
    if found.empty:
        print(f"{found.empty} with nothing that speaks for the class")
    for measured in found.measured:
        print(in_words(measured, maps))
    for path, error in found.errors[:5]:
        print(f"  {path}: {error}")
    if len(found.errors) > 5:
        print(f"  and {len(found.errors) - 5} more, in the column error")
    print(found.out / "report.html")
