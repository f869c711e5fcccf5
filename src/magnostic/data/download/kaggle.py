"""The copy of BreakHis on Kaggle, by the package kagglehub where it is installed."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import Final

from magnostic.errors import BadInput, FetchError

HANDLE: Final = "ambarish/breakhis"


def download() -> Path:
    """The folder, in kagglehub's cache, that holds the data set; it is fetched if it isn't there.

    Raises BadInput without kagglehub, FetchError where it fails.
    """
    try:
        kagglehub = import_module("kagglehub")
    except ImportError:
        raise BadInput(
            "kagglehub is not installed; run: pip install kagglehub, or use --source ufpr"
        ) from None
    try:
        return Path(kagglehub.dataset_download(HANDLE))
    except Exception as fault:  # its own errors, those of requests and of the disk
        said = str(fault).strip().splitlines()
        why = said[0][:300] if said else type(fault).__name__
        raise FetchError(
            f"kagglehub, {HANDLE}: {why}; see to the network and the Kaggle account, "
            "or use --source ufpr"
        ) from None
