"""The photographs, the split and the weights that every peer is given alike.

The 187 genuine photographs of the sample become class folders of links. Where more are needed,
each is also written rolled sideways by a few pixels: other pixels, so that no software gains from
equal ones, in a file of the same kind and size. Rolled copies stand on their original's side of the
split, which is random by photograph and stratified by type: it is easy on purpose and says nothing
of new patients.
"""

from __future__ import annotations

import json
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from magnostic.data import read_images
from magnostic.models import classifier, weights

#: Shares of training, validation and test.
SHARES = (0.5, 0.17, 0.33)
PARTS = ("train", "val", "test")


def photographs(
    sample: Path, place: Path, copies: int, one_size: bool = False
) -> tuple[Path, Path]:
    """Class folders and split file below ``place``.

    Args:
        copies: of each photograph, the original included.
        one_size: only photographs of the most frequent size.
    """
    folder = place / f"images-{copies}{'-one-size' if one_size else ''}"
    split = folder.with_suffix(".json")
    if split.is_file():
        return folder, split
    shutil.rmtree(folder, ignore_errors=True)
    table = read_images(sample).table
    part = _split(table["tumour_type"].to_numpy())
    if one_size:
        size = table[["width", "height"]].value_counts().index[0]
        keep = (table["width"] == size[0]) & (table["height"] == size[1])
        table, part = table[keep], part[keep.to_numpy()]
    written: dict[str, list[str]] = {name: [] for name in PARTS}
    rolled: list[tuple[Path, Path, int]] = []
    rows = zip(table["path"], table["tumour_type"], part, strict=True)
    for path, kind, side in rows:
        source = Path(path).resolve()
        (folder / kind).mkdir(parents=True, exist_ok=True)
        for shift in range(copies):
            name = f"{kind}/{source.stem}_{shift}.png"
            written[side].append(name)
            if shift == 0:
                (folder / name).symlink_to(source)
            else:
                store = place / "rolled" / name
                rolled.append((source, store, shift))
                (folder / name).symlink_to(store.absolute())
    with ThreadPoolExecutor() as pool:
        list(pool.map(_roll, rolled))
    classes = sorted(table["tumour_type"].unique())
    record = {"classes": classes, **{name: sorted(written[name]) for name in PARTS}}
    split.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    return folder, split


def _split(kinds: np.ndarray) -> np.ndarray:
    rng = np.random.default_rng(0)
    part = np.empty(len(kinds), dtype=object)
    for kind in np.unique(kinds):
        rows = rng.permutation(np.flatnonzero(kinds == kind))
        borders = np.round(np.cumsum(SHARES) * len(rows)).astype(int)
        for name, some in zip(PARTS, np.split(rows, borders[:-1]), strict=True):
            part[some] = name
    return part


def _roll(job: tuple[Path, Path, int]) -> None:
    source, target, shift = job
    if target.exists():
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    with Image.open(source) as image:
        pixels = np.roll(np.asarray(image), shift, axis=1)
    temporary = target.with_suffix(".part")
    Image.fromarray(pixels).save(temporary, format="png")
    temporary.replace(target)


def backbone_weights(place: Path, name: str, backbone: str) -> Path:
    """A backbone's weights as a state dict in timm's naming."""
    target = place / f"{backbone}.pth"
    if not target.is_file():
        torch.save(dict(weights.resolve(name, backbone).state), target)
    return target


def trained_weights(place: Path, folder: Path) -> Path:
    """A trained model of magnostic's as timm's network with its classifier."""
    model, spec = classifier.load(folder)
    state = {f"classifier.{name}": t for name, t in model.head.state_dict().items()}
    state |= model.encoder.backbone.state_dict()
    target = place / f"{spec.backbone}-trained.pth"
    torch.save(state, target)
    return target
