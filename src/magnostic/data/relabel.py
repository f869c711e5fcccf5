"""Label maps: what the labels of each data set mean, so that several can be learnt together.

A YAML file; a label that is not named stays as it is::

    clinic:                  # source, as `magnostic index` prints it
      IDC: DC                # a tumour type, by code or name: gives its malignancy too
      "no tumour": benign    # benign or malignant
      "3": severe            # a label of one's own, for --task label
      uncertain: null        # these images are left out
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Final

import pandas as pd
import yaml

from magnostic import yaml_text
from magnostic.data.assemble import tidy
from magnostic.data.images import Images, Relabelled
from magnostic.data.labels import as_malignancy, as_types, malignancy_of
from magnostic.errors import DataError, did_you_mean

#: Source -> label -> meaning (None: left out).
LabelMap = Mapping[str, Mapping[str, str | None]]
_NULL: Final = "tag:yaml.org,2002:null"
_FORM: Final = "expected a mapping of sources to labels, e.g. {clinic: {IDC: DC}}"


def read_label_map(path: Path) -> LabelMap:
    """The label map in a YAML file.

    Labels are taken as they are written: ``no`` and ``01`` are labels, not a truth value and a
    number. Raises DataError naming file, line and what is expected.
    """
    root = yaml_text.compose(path, DataError)
    found: dict[str, dict[str, str | None]] = {}
    for source, labels in _pairs(path, root):
        found[source] = {}
        for label, meaning in _pairs(path, labels):
            if not isinstance(meaning, yaml.ScalarNode):
                raise DataError(
                    f"{_place(path, meaning)}: {source}, label {label!r}: expected one word: a "
                    "type's code, benign, malignant, another label, or null to leave it out"
                )
            found[source][label] = None if meaning.tag == _NULL else meaning.value.strip()
    if not any(found.values()):
        raise DataError(f"{path}: names no label; {_FORM}")
    return found


def relabel(images: Images, label_map: LabelMap, where: str = "label map") -> Images:
    """The images with labels, types and malignancy as the map gives them.

    Args:
        images: the images table; several sources are told apart by their name.
        label_map: as :func:`read_label_map` gives it.
        where: the map's file, for errors.

    A label of one's own has no type and no malignancy. Raises DataError for a source or label that
    the images don't have, and where no image is left.
    """
    _refuse_unknown(images, label_map, where)
    table = images.table.copy()
    drop = pd.Series(False, index=table.index)
    told = []
    for source, meanings in label_map.items():
        for label, meaning in meanings.items():
            hit = (images.table["source"] == source) & (images.table["label"] == label)
            told.append(Relabelled(source, label, meaning, int(hit.sum())))
            if meaning is None:
                drop |= hit
            else:
                columns = ["label", "tumour_type", "malignancy"]
                table.loc[hit, columns] = _columns(meaning)
    if drop.all():
        raise DataError(f"{where}: leaves out every image; map a label to something else than null")
    told_all = (*images.relabelled, *told)
    return replace(images, table=tidy(table[~drop]), relabelled=told_all)


def _columns(meaning: str) -> list[str | None]:
    """Label, tumour type and malignancy of images that mean this."""
    word = pd.Series([meaning])
    code, malignancy = as_types(word), as_malignancy(word)
    if code.notna().all():
        return [code.iloc[0], code.iloc[0], malignancy_of(code).iloc[0]]
    if malignancy.notna().all():
        return [malignancy.iloc[0], None, malignancy.iloc[0]]
    return [meaning, None, None]


def _refuse_unknown(images: Images, label_map: LabelMap, where: str) -> None:
    labels = images.table.groupby("source")["label"].unique()
    for source, meanings in label_map.items():
        if source not in labels:
            raise DataError(
                f"{where}: no data set is named {source!r}{did_you_mean(source, labels.index)}; "
                f"sources here: {', '.join(labels.index)}"
            )
        known = sorted(labels[source])
        for label in meanings:
            if label not in known:
                raise DataError(
                    f"{where}: {source} has no label {label!r}{did_you_mean(label, known)}; its "
                    f"labels: {', '.join(known)}"
                )


def _pairs(path: Path, node: yaml.Node | None) -> list[tuple[str, yaml.Node]]:
    """Keys and values of a mapping, keys as they are written."""
    if not isinstance(node, yaml.MappingNode):
        raise DataError(f"{_place(path, node)}: {_FORM}")
    found: dict[str, yaml.Node] = {}
    for key, value in node.value:
        if not isinstance(key, yaml.ScalarNode):
            raise DataError(f"{_place(path, key)}: {_FORM}")
        name = key.value.strip()
        if name in found:
            raise DataError(f"{_place(path, key)}: {name!r} stands twice; keep one of the two")
        found[name] = value
    return list(found.items())


def _place(path: Path, node: yaml.Node | None) -> str:
    return str(path) if node is None else f"{path}, line {node.start_mark.line + 1}"
