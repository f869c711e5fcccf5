"""Explanations of listed photographs into a folder: overlays, tables, a page."""

from __future__ import annotations

import re
import shutil
import tempfile
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from magnostic.data.scan import Unusable, decode, pixel_hash
from magnostic.data.strict import strict_decoding
from magnostic.deploy.distance import Neighbour
from magnostic.deploy.output import write
from magnostic.deploy.predictor import Predictor, Told, shortest
from magnostic.deploy.sources import IDS, Item
from magnostic.errors import BadInput
from magnostic.explain import faithful, summary
from magnostic.explain.cases import Cases
from magnostic.explain.explainer import Explainer, Explanation
from magnostic.explain.faithful import Faithfulness
from magnostic.explain.page import SHOWN, Shown, shown, write_page
from magnostic.explain.picture import beside, on_photograph, within
from magnostic.explain.summary import Measured
from magnostic.files import write_json
from magnostic.progress import track

Record = dict[str, Any]
Thumbnail = NDArray[np.uint8] | None
OVERLAYS: Final = "overlays"
#: Longer side of a photograph in an overlay file, pixels.
_SIDE: Final = 700
COLUMNS: Final = (
    "path",
    *IDS,
    "error",
    "y_pred",
    "confidence",
    "target",
    "method",
    "probability",
    "relevance",
    "overlay",
    "distance",
    "deletion_auc",
    "deletion_random_auc",
    "deletion_better",
    "insertion_auc",
    "insertion_random_auc",
    "insertion_better",
)
#: Of each nearest training image, in the CSV.
_NEAREST: Final = ("image_id", "label", "slide_id", "magnification", "distance", "itself")


@dataclass(frozen=True)
class Wanted:
    """What is asked for.

    Attributes:
        target: the class to explain; None: each photograph's predicted one.
        neighbours: training images shown for each photograph.
        maps: random maps that each map is compared with, an odd number; 0: none.

    Raises BadInput for numbers that mean nothing.
    """

    target: str | None = None
    neighbours: int = 5
    maps: int = 5

    def __post_init__(self) -> None:
        if self.neighbours < 0:
            raise BadInput(f"--nearest {self.neighbours}: give 0 or more")
        if self.maps < 0 or (self.maps and self.maps % 2 == 0):
            raise BadInput(
                f"--random-maps {self.maps}: give an odd number, so that most of them is half by "
                "chance, or 0 to measure nothing"
            )


@dataclass
class Summary:
    """What came of it.

    Attributes:
        errors: path and error of every photograph that could not be read.
        empty: photographs with nothing that speaks for the class.
        measured: deletion and insertion over all photographs; [] where nothing was measured.
    """

    out: Path
    method: str
    images: int = 0
    classes: Counter[str] = field(default_factory=Counter)
    errors: list[tuple[str, str]] = field(default_factory=list)
    empty: int = 0
    measured: list[Measured] = field(default_factory=list)


def explain_to_folder(
    explainer: Explainer,
    items: Sequence[Item],
    out: Path,
    wanted: Wanted,
    data: Sequence[Path] = (),
    *,
    synthetic: bool = False,
) -> Summary:
    """Explain every item in order and write ``out``, whole or not at all.

    ``overlays/*.png``, ``explanations.csv``, ``explanations.json``, ``figures/``, ``report.html``.
    A photograph that cannot be read is a row with its error.

    Args:
        items: from :func:`magnostic.deploy.sources.listed`.
        out: a folder that does not exist.
        data: data sets in which training images are looked up to be shown.
        synthetic: whether the run was trained on the phantom, which the page then says.

    Raises BadInput where ``out`` exists or the class is unknown.
    """
    if out.exists():
        raise BadInput(f"{out}: exists; choose another folder (-o), or remove it")
    if wanted.target is not None:
        explainer.class_index(wanted.target)
    cases = Cases(explainer, data)
    out.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(prefix=f".{out.name}-", dir=out.parent))
    try:
        found = _write(explainer, items, temporary, wanted, cases, synthetic)
        temporary.chmod(0o755)  # mkdtemp's 0700 would hide results from a group
        temporary.rename(out)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    found.out = out
    return found


def _write(
    explainer: Explainer,
    items: Sequence[Item],
    folder: Path,
    wanted: Wanted,
    cases: Cases,
    synthetic: bool,
) -> Summary:
    (folder / OVERLAYS).mkdir()
    overlays = _Overlays(explainer, wanted, cases, folder)
    predictor = Predictor(explainer.about, explainer.engine, explainer.references)
    result = Summary(folder, explainer.method)
    records: list[Record] = []
    entries: list[Shown] = []
    rows = predictor.told(items)
    with strict_decoding():
        for item, told in track(zip(items, rows, strict=True), "explaining", len(items)):
            record: Record = {name: told.row.get(name) for name in COLUMNS}
            records.append(record)
            result.images += 1
            pair: Image.Image | None = None
            pictures: list[Thumbnail] = []
            if told.entry is not None:
                try:
                    original = decode(Path(item.path))
                except Unusable as bad:  # it has changed meanwhile
                    record["error"] = str(bad)
                else:
                    pair, pictures = overlays.add(original, told, record, result.images)
            if record["error"] is not None:
                result.errors.append((record["path"], record["error"]))
            else:
                result.classes[record["y_pred"]] += 1
                result.empty += record["relevance"] == "none"
            if len(entries) < SHOWN:
                entries.append(shown(record, pair, pictures))
    result.measured = summary.summarize(overlays.curves)
    about = {
        "model": explainer.about.name,
        "digest": explainer.about.digest,
        "method": explainer.method,
        "target": wanted.target or "predicted class",
        "random_maps": wanted.maps,
        "steps": faithful.STEPS,
    }
    faithfulness = [measured.as_dict() for measured in result.measured]
    write_json(
        folder / "explanations.json", {**about, "faithfulness": faithfulness, "images": records}
    )
    rows_of_csv = [_flat(record, wanted.neighbours) for record in records]
    write(folder / "explanations.csv", rows_of_csv, list(_flat({}, wanted.neighbours)))
    write_page(
        folder,
        model=explainer.about.name,
        method=explainer.method,
        maps=wanted.maps,
        entries=entries,
        total=result.images,
        unread=len(result.errors),
        empty=result.empty,
        comparable=explainer.comparable,
        curves=overlays.curves,
        measured=result.measured,
        synthetic=synthetic,
    )
    return result


class _Overlays:
    """Explains photographs one by one and writes their overlays.

    Attributes:
        curves: deletion and insertion of each photograph that has a map.
    """

    def __init__(self, explainer: Explainer, wanted: Wanted, cases: Cases, folder: Path) -> None:
        self._explainer, self._wanted, self._cases = explainer, wanted, cases
        self._folder = folder
        self.curves: list[Faithfulness] = []

    def add(
        self, original: NDArray[np.uint8], told: Told, record: Record, number: int
    ) -> tuple[Image.Image, list[Thumbnail]]:
        """Explain one photograph: fills its record, writes its overlay.

        Returns the overlay and a picture of each of its nearest training images.
        """
        assert told.entry is not None
        pixels, k = told.entry.pixels, self._wanted.neighbours
        explanation = self._explainer.explain(pixels, self._wanted.target or record["y_pred"])
        neighbours = self._explainer.nearest(told.features, k) if k else []
        own = pixel_hash(original)
        flat = float(explanation.relevance.max()) == 0
        record |= {
            "target": explanation.target,
            "method": explanation.method,
            "probability": shortest(explanation.probability),
            "relevance": "none" if flat else "some",
            "nearest": [_named(n, own) for n in neighbours] if neighbours or not k else None,
        }
        if self._wanted.maps and not flat:
            record |= self._measured(pixels, explanation)
        pair = self._drawn(original, explanation)
        stem = re.sub(r"[^A-Za-z0-9._-]+", "_", Path(record["path"]).stem)[:80]
        record["overlay"] = f"{OVERLAYS}/{number:04d}-{stem}.png"
        pair.save(self._folder / record["overlay"], "PNG")
        return pair, [self._cases.show(n) for n in neighbours]

    def _measured(self, pixels: NDArray[np.uint8], explanation: Explanation) -> Record:
        found = faithful.measure(
            lambda images: self._explainer.probability(images, explanation.target),
            self._explainer.seen(pixels),
            explanation.relevance,
            self._wanted.maps,
        )
        self.curves.append(found)
        return _figures(found)

    def _drawn(self, original: NDArray[np.uint8], explanation: Explanation) -> Image.Image:
        photograph = Image.fromarray(original)
        smaller = photograph.resize(within(*photograph.size, _SIDE), Image.Resampling.LANCZOS)
        fit = self._explainer.about.fit
        return beside(smaller, on_photograph(explanation.relevance, *smaller.size, fit), _SIDE)


def _named(neighbour: Neighbour, own: str) -> Record:
    """A neighbour as written; ``itself`` is None where its hash cannot be compared."""
    values = asdict(neighbour)
    values["distance"] = shortest(neighbour.distance)
    known = values.pop("pixel_hash")
    values["itself"] = None if known is None else known == own
    return values


def _figures(found: Faithfulness) -> Record:
    return {
        "deletion_auc": shortest(found.deletion_auc[0]),
        "deletion_random_auc": shortest(found.deletion_auc[1:].mean()),
        "deletion_better": found.deletion_better,
        "insertion_auc": shortest(found.insertion_auc[0]),
        "insertion_random_auc": shortest(found.insertion_auc[1:].mean()),
        "insertion_better": found.insertion_better,
    }


def _flat(record: Record, neighbours: int) -> Record:
    """A row of the CSV: each nearest training image in columns of its own."""
    flat = {name: record.get(name) for name in COLUMNS}
    nearest = record.get("nearest") or ()
    for i in range(1, neighbours + 1):
        found = nearest[i - 1] if i <= len(nearest) else {}
        flat |= {f"nearest_{i}_{name}": found.get(name) for name in _NEAREST}
    return flat
