"""Labels of other data sets that are words of this field: tumour types and malignancy."""

from __future__ import annotations

from typing import Final

import pandas as pd

from magnostic.taxonomy import BY_CODE, MALIGNANCIES, TUMOUR_TYPES

#: Every spelling of a type (code as it is; folder and full name in lower case) and its code.
TYPE_WORDS: Final[dict[str, str]] = {
    word: t.code for t in TUMOUR_TYPES for word in (t.code, t.folder.lower(), t.name.lower())
}
MALIGNANCY_WORDS: Final[dict[str, str]] = {m: m for m in MALIGNANCIES}
_MALIGNANCY_OF: Final = {code: t.malignancy for code, t in BY_CODE.items()}


def as_types(values: pd.Series) -> pd.Series:
    """Codes of tumour types written as code, or in any case as folder or name; else missing."""
    return _by_unique(values, TYPE_WORDS)


def as_malignancy(values: pd.Series) -> pd.Series:
    """``benign`` or ``malignant``, written in any case; else missing."""
    return _by_unique(values, MALIGNANCY_WORDS)


def malignancy_of(codes: pd.Series) -> pd.Series:
    """The malignancy of each type's code; missing where the code is."""
    return codes.map(_MALIGNANCY_OF).astype("str")


def known_labels(label: pd.Series) -> dict[str, pd.Series]:
    """``tumour_type`` and ``malignancy`` where all labels are types, or all malignancies."""
    if label.empty:
        return {}
    types = as_types(label)
    if not types.isna().any():
        return {"tumour_type": types, "malignancy": malignancy_of(types)}
    malignancy = as_malignancy(label)
    return {} if malignancy.isna().any() else {"malignancy": malignancy}


def _by_unique(values: pd.Series, table: dict[str, str]) -> pd.Series:
    """Look up each distinct value once: as it is, then in lower case."""
    meaning = {}
    for value in values.dropna().unique():
        word = str(value).strip()
        code = table.get(word, table.get(word.lower()) if len(word) > 2 else None)
        if code is not None:
            meaning[value] = code
    return values.map(meaning).astype("str")
