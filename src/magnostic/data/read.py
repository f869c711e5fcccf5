"""One door to every reader: a path in, an images table out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

from magnostic.data import aptos, breakhis, folders, manifest
from magnostic.data.images import Images
from magnostic.data.merge import merge
from magnostic.data.relabel import read_label_map, relabel
from magnostic.data.scan import EXTENSIONS, Scanner, Wanted, find_images
from magnostic.data.summary import counted
from magnostic.errors import DataError

Format = Literal["auto", "breakhis", "aptos", "manifest", "folders"]


def read_sets(
    sources: Sequence[Path],
    *,
    format: Format = "auto",  # noqa: A002
    on_bad: Literal["stop", "skip"] = "stop",
    columns: Mapping[str, str] | None = None,
    label_map: Path | None = None,
    keep: Sequence[Wanted] = (),
    rescan: bool = False,
) -> Images:
    """One images table of several data sets (:func:`magnostic.data.merge.merge`).

    Args:
        sources: one or several, each as for :func:`read_images`.
        format: how to read each of them.
        on_bad: for each of them.
        columns: for the manifests among them.
        label_map: YAML file that says what their labels mean (:mod:`magnostic.data.relabel`).
        keep: for each of them.
        rescan: for each of them.

    Raises what :func:`read_images`, merging and the label map raise.
    """
    meanings = read_label_map(label_map) if label_map is not None else None
    manifests = [source.suffix.lower() == ".csv" for source in sources]
    parts = [
        read_images(
            source,
            format=format,
            on_bad=on_bad,
            columns=columns if is_manifest or not any(manifests) else None,
            keep=keep,
            rescan=rescan,
        )
        for source, is_manifest in zip(sources, manifests, strict=True)
    ]
    images = merge(parts)
    return images if meanings is None else relabel(images, meanings, str(label_map))


def read_images(
    source: Path,
    *,
    format: Format = "auto",  # noqa: A002
    on_bad: Literal["stop", "skip"] = "stop",
    columns: Mapping[str, str] | None = None,
    workers: int = 0,
    keep: Sequence[Wanted] = (),
    rescan: bool = False,
) -> Images:
    """The images table of a data set.

    Args:
        source: a folder (any level of the BreakHis tree, APTOS 2019, or one folder a class), a
            manifest (.csv), or an images table written earlier (.parquet).
        format: how to read it; ``auto`` looks at what is there.
        on_bad: ``stop`` with one error that lists every bad file, or ``skip`` them
            (:attr:`Images.skipped` names them).
        columns: for a manifest: our column name -> the file's.
        workers: decoding threads; 0 for one a core.
        keep: sizes and fits at which the photographs will be asked of the pixel cache: it is
            filled by the same decoding.
        rescan: decode also the files that have not changed since they were indexed the last time.

    Raises DataError where nothing is found, or nothing of the format; TableError for a broken
    images table.
    """
    if not source.exists():
        raise DataError(f"{source}: no such file or folder; check the path")
    source = source.absolute()
    scanner = Scanner(workers, tuple(keep), remember=True, rescan=rescan)
    if format in ("auto", "aptos") and source.name == aptos.TABLE and source.is_file():
        source = source.parent if aptos.looks_like(source.parent) else source
    if format == "auto" and source.suffix.lower() == ".parquet":
        return Images.read(source)
    if format == "manifest" or (format == "auto" and source.suffix.lower() == ".csv"):
        if source.is_dir():
            raise DataError(f"{source}: a folder; give the manifest itself, a .csv file")
        return manifest.read(source, columns, on_bad, scanner)
    if columns:
        raise DataError(f"{source}: columns are for a manifest; give a .csv file or leave them out")
    if not source.is_dir():
        raise DataError(
            f"{source}: neither a folder nor a manifest (.csv) nor an images table (.parquet); "
            "give one of these"
        )
    if format == "aptos" or (format == "auto" and aptos.looks_like(source)):
        return aptos.read(source, on_bad, scanner)
    files = find_images(source)
    if not files:
        raise DataError(
            f"{source}: no image at any depth (looked for {' '.join('*' + e for e in EXTENSIONS)})"
            "; give the folder that holds BreaKHis_v1, one folder a class, or a manifest.csv"
        )
    if format == "breakhis" or (format == "auto" and breakhis.looks_like(source, files)):
        return breakhis.read(source, files, on_bad, scanner)
    if format == "folders" or any(f.parent != source for f in files):
        return folders.read(source, files, on_bad, scanner)
    raise DataError(
        f"{source}: {counted(len(files), 'image')}, but no layout that is known: looked for "
        "BreakHis names (SOB_B_A-14-22549AB-40-001.png) or tree levels, and for one folder a "
        "class. Sort them into class folders, or give a manifest.csv with columns path,label"
    )
