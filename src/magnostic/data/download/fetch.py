"""``magnostic fetch breakhis``: from an address to a tree of which every name has been checked."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from magnostic.data.download import kaggle, names
from magnostic.data.download.connection import check_address
from magnostic.data.download.folds import write_folds
from magnostic.data.download.intake import broken_files
from magnostic.data.download.part import Part
from magnostic.data.download.patience import Corrupt, Patience, Unfit
from magnostic.data.download.transfer import Transfer
from magnostic.data.download.unpacking import Unpacking, Wanted
from magnostic.errors import BadInput, FetchError
from magnostic.files import write_text
from magnostic.lock import locked
from magnostic.progress import meter, say

URL: Final = "https://www.inf.ufpr.br/vri/databases/BreaKHis_v1.tar.gz"
ATTRIBUTION: Final = """\
BreakHis: F. A. Spanhol, L. S. Oliveira, C. Petitjean, L. Heutte, "A Dataset for Breast Cancer
Histopathological Image Classification", IEEE Transactions on Biomedical Engineering 63(7), 2016,
doi 10.1109/TBME.2015.2496264; Laboratory of Vision, Robotics and Imaging, UFPR, Brazil:
https://web.inf.ufpr.br/vri/databases/breast-cancer-histopathological-database-breakhis/
Licence: CC BY 4.0 (https://creativecommons.org/licenses/by/4.0/), as kaiko-ai/eva's
documentation of the data set gives it.
"""
FOLDS: Final = "folds"
_SHA256: Final = re.compile("[0-9a-fA-F]{64}")


@dataclass(frozen=True)
class Fetched:
    """What lies where now.

    Attributes:
        root: the folder of the photographs.
        folds: the folder of the fold files.
        photographs: how many.
        was_there: whether nothing had to be fetched.
        others: files of the source that were left out, being no photographs.
    """

    root: Path
    folds: Path
    photographs: int
    was_there: bool
    others: tuple[str, ...] = ()


def fetch_breakhis(
    folder: Path,
    *,
    source: Literal["ufpr", "kagglehub"] = "ufpr",
    url: str | None = None,
    sha256: str | None = None,
    folds_url: str | None = None,
    keep_archive: bool = False,
    wanted: Wanted | None = None,
    patience: Patience | None = None,
) -> Fetched:
    """Make ``folder`` hold ``BreaKHis_v1/``, ``folds/`` and ``ATTRIBUTION.txt``.

    What is there and right is not fetched again, and an interrupted call goes on. An archive that
    lies in ``folder`` as ``BreaKHis_v1.tar.gz`` is used instead of the address. The fold files are
    written from the package's own table, or taken from the archive at ``folds_url`` and compared
    with it. Raises BadInput, or FetchError for what failed.
    """
    wanted, patience = wanted or Wanted(), patience or Patience()
    _check(folder, source, url, sha256, keep_archive)
    if folds_url is not None:
        check_address(folds_url, "--folds-url")
    with locked(folder):
        root, archive = folder / names.TOP, folder / f"{names.TOP}.tar.gz"
        others: tuple[str, ...] = ()
        was_there = root.exists()
        if was_there:
            _check_tree(root, wanted)
            Part(archive, url or URL).drop()  # of a call that was killed when all was done
        else:
            unpacking = Unpacking(root, wanted)
            if source == "kagglehub":
                others = unpacking.copy(kaggle.download())
            else:
                others = _by_archive(archive, url or URL, sha256, keep_archive, unpacking, patience)
        write_folds(folder / FOLDS, wanted.folds, folds_url, patience)
        write_text(folder / "ATTRIBUTION.txt", ATTRIBUTION)
    return Fetched(root, folder / FOLDS, len(wanted.places), was_there, others)


def _check(
    folder: Path, source: str, url: str | None, sha256: str | None, keep_archive: bool
) -> None:
    if folder.exists() and not folder.is_dir():
        raise BadInput(f"{folder}: a file; name a folder for the data set")
    if sha256 is not None and not _SHA256.fullmatch(sha256):
        raise BadInput(f"--sha256 {sha256!r}: give the 64 hexadecimal digits of the archive")
    if url is not None:
        check_address(url, "--url")
    if source == "kagglehub" and (url is not None or sha256 is not None or keep_archive):
        raise BadInput("--url, --sha256 and --keep-archive are for --source ufpr; leave them out")


def _check_tree(root: Path, wanted: Wanted) -> None:
    broken = list(broken_files(root, wanted.places))
    if broken:
        raise BadInput(
            f"{root}: {len(broken):,} of {len(wanted.places):,} photographs are missing or broken "
            f"(first: {broken[0]}); move this folder away, or name another one"
        )


def _by_archive(
    archive: Path,
    url: str,
    sha256: str | None,
    keep: bool,
    unpacking: Unpacking,
    patience: Patience,
) -> tuple[str, ...]:
    def check(path: Path) -> tuple[str, ...]:
        if sha256 is not None:
            _compare(path, sha256.lower())
        return unpacking.unpack(path)

    wanted = unpacking.wanted
    if archive.exists():
        say(f"{archive}: used as it lies there")
        try:
            return check(archive)
        except (Corrupt, Unfit) as fault:
            raise BadInput(
                f"{archive}: {fault}. Remove this file, then give the same command again"
            ) from None
    transfer = Transfer(url, archive, wanted.archive, wanted.unpacked, patience)
    try:
        return transfer.obtain(check, keep)
    except (Corrupt, Unfit) as fault:
        raise FetchError(
            f"{url}: {fault}. What came was removed; try again, or give another address with --url"
        ) from None


def _compare(path: Path, sha256: str) -> None:
    """Raise Corrupt unless the file has this checksum."""
    digest = hashlib.sha256()
    with path.open("rb") as file, meter(f"checking {path.name}", path.stat().st_size) as advance:
        while block := file.read(2**20):
            digest.update(block)
            advance(len(block))
    if digest.hexdigest() != sha256:
        raise Corrupt(f"its SHA-256 is {digest.hexdigest()}, but {sha256} was asked for")
