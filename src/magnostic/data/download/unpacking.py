"""From an archive, or a folder, to a tree that has its name once all of it is there and right."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from magnostic.data.download import disk, names
from magnostic.data.download.archive import Limits, members
from magnostic.data.download.intake import Intake
from magnostic.data.download.patience import Unfit
from magnostic.errors import FetchError
from magnostic.progress import track


@dataclass(frozen=True)
class Wanted:
    """What the archives must hold, and how large they may be; by default that of BreakHis.

    Attributes:
        places: photographs, name -> place below the top folder.
        folds: fold files, name -> bytes.
        limits: of the archive of photographs.
        archive: bytes that it may have at most.
        unpacked: bytes of photographs for each byte of it (PNGs hardly shrink when packed).
    """

    places: Mapping[str, PurePosixPath] = field(default_factory=names.places)
    folds: Mapping[str, bytes] = field(default_factory=names.fold_files)
    limits: Limits = field(default_factory=Limits)
    archive: int = 12 * 10**9
    unpacked: float = 1.1


class Unpacking:
    """A tree that is made beside its place, checked, and then given its name."""

    def __init__(self, root: Path, wanted: Wanted) -> None:
        self._root = root
        self._beside = root.with_name(f".{root.name}.unpacking")
        self.wanted = wanted

    def unpack(self, archive: Path) -> tuple[str, ...]:
        """Files of the archive that were left out."""
        size = int(archive.stat().st_size * self.wanted.unpacked)

        def fill(intake: Intake) -> None:
            found = members(archive, self.wanted.limits)
            for member in track(found, "unpacking", len(self.wanted.places)):
                target = intake.place(member.path)
                if target is not None:
                    with target.open("xb") as out:
                        member.copy(out)

        return self._make(fill, size)

    def copy(self, source: Path) -> tuple[str, ...]:
        """The same from a folder."""
        files = [path for path in sorted(source.rglob("*")) if path.is_file()]
        size = sum(path.stat().st_size for path in files)

        def fill(intake: Intake) -> None:
            for path in track(files, "copying", len(files)):
                target = intake.place(PurePosixPath(path.relative_to(source).as_posix()))
                if target is not None:
                    shutil.copyfile(path, target)

        try:
            return self._make(fill, size)
        except Unfit as fault:
            raise FetchError(
                f"{source}: {fault}. Remove that folder, then try again, or use --source ufpr"
            ) from None

    def _make(self, fill: Callable[[Intake], None], size: int) -> tuple[str, ...]:
        folder = self._beside.parent
        shutil.rmtree(self._beside, ignore_errors=True)  # of a call that was killed
        disk.require(folder, size, "unpacking")
        intake = Intake(self._beside, self.wanted.places)
        try:
            with disk.room(folder, size, "unpacking"):
                self._beside.mkdir()
                fill(intake)
                intake.finish()
                self._beside.rename(self._root)
        finally:
            shutil.rmtree(self._beside, ignore_errors=True)
        return tuple(intake.others)
