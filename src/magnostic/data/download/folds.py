"""The five official fold files, from the package's own table or compared with it."""

from __future__ import annotations

import io
from collections.abc import Mapping
from pathlib import Path

from magnostic.data.download.archive import Limits, members
from magnostic.data.download.patience import Corrupt, Patience, Unfit
from magnostic.data.download.transfer import Transfer
from magnostic.errors import FetchError
from magnostic.files import whole_file


def write_folds(
    folder: Path, known: Mapping[str, bytes], url: str | None, patience: Patience
) -> None:
    """Write the fold files (``known``: name -> bytes) that aren't there as they should be.

    With ``url``, an archive is fetched first, which must hold the same. Raises FetchError.
    """
    right = {
        name
        for name, content in known.items()
        if (folder / name).is_file() and (folder / name).read_bytes() == content
    }
    if right == known.keys():
        return
    if url is not None:
        archive = folder.with_name("folds.tar.gz")
        transfer = Transfer(url, archive, 64 * 2**20, 20.0, patience)
        try:
            transfer.obtain(lambda path: _compare(path, known), keep=False)
        except (Corrupt, Unfit) as fault:
            raise FetchError(
                f"{url}: {fault}. Leave --folds-url out: the package has the fold files"
            ) from None
    for name, content in known.items():
        with whole_file(folder / name) as temporary:
            temporary.write_bytes(content)


def _compare(archive: Path, known: Mapping[str, bytes]) -> None:
    """Raise Unfit unless the archive holds the fold files as they are known, line ends apart."""
    found = set()
    for member in members(archive, Limits(members=1000, member=2**24, unpacked=2**28)):
        content = known.get(member.path.name)
        if content is None:
            continue
        found.add(member.path.name)
        held = io.BytesIO()
        member.copy(held)
        if held.getvalue().split() != content.split():
            raise Unfit(f"{member.path} is not the fold file of that name")
    missing = sorted(known.keys() - found)
    if missing:
        raise Unfit(f"{', '.join(missing)} missing in the archive")
