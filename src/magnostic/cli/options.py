"""Options that several verbs share."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter

from magnostic.errors import BadInput

if TYPE_CHECKING:
    from magnostic.data.images import Images
    from magnostic.recipe import Recipe

DataPaths = Annotated[
    tuple[Path, ...],
    Parameter(
        help="A BreakHis tree (any of its levels), a CSV manifest, an APTOS 2019 folder, a folder "
        "of class folders, or an images.parquet written by `magnostic index`. Several data sets "
        "are merged: --data A --data B.",
        negative="",
    ),
]
Format = Annotated[
    Literal["auto", "breakhis", "aptos", "manifest", "folders"],
    Parameter(help="Reader; auto recognizes which one fits."),
]
OnBad = Annotated[
    Literal["stop", "skip"],
    Parameter(help="Bad files stop the command with a full list, or are left out and reported."),
]
Columns = Annotated[
    tuple[str, ...],
    Parameter(
        name="--column",
        help="Column of a manifest as ours=theirs, e.g. --column path=file --column label=dx.",
        negative="",
    ),
]
LabelMap = Annotated[
    Path | None,
    Parameter(
        name="--label-map",
        help="YAML file that says what labels mean: {source: {label: a type's code, benign, "
        "malignant, another label, or null to leave its images out}}.",
    ),
]
Rescan = Annotated[
    bool,
    Parameter(
        help="Decode every file anew, also those whose size and times are as they were when they "
        "were last indexed.",
        negative="",
    ),
]
Engine = Annotated[
    Literal["auto", "torch", "openvino", "onnx"],
    Parameter(
        help="torch: as the run was trained and judged; openvino, onnx: float32 on the CPU; auto: "
        "openvino for runs in float32 on the CPU where it can be used, else torch."
    ),
]
On = Annotated[
    str,
    Parameter(
        help="Where to compute: local; ray (the Ray cluster that RAY_ADDRESS names or that runs "
        "here, else one that is started on this machine); or a cluster's ray://HOST:PORT or "
        "HOST:PORT."
    ),
]
Cpus = Annotated[
    int,
    Parameter(
        help="Cores of each process on a cluster; 0: one, or a GPU's even share of them (in a job "
        "of SLURM: four)."
    ),
]
Gpus = Annotated[
    float | None,
    Parameter(
        help="GPUs of each process on a cluster: 0, a part of one (0.5: two share it) or more; by "
        "default one where the cluster has some. A job of SLURM takes none by default, and whole "
        "ones only."
    ),
]
Level = Annotated[float, Parameter(help="Of the conformal sets: 0.8, 0.9 or 0.95.")]
#: Photographs of predict and explain; a leading hyphen, so that ``-`` is taken.
Photographs = Annotated[str, Parameter(allow_leading_hyphen=True)]


def refuse_unknown(photographs: Sequence[str], verb: str) -> None:
    """Raise BadInput for what looks like an option and was taken for a photograph."""
    for source in photographs:
        if source.startswith("-") and source != "-":
            raise BadInput(
                f"{source}: no such option; see magnostic {verb} --help (for a file of that name "
                f"give ./{source})"
            )


def refuse_absent(data: Sequence[Path]) -> None:
    """Raise BadInput for a data set that is not there, before anything is loaded."""
    for path in data:
        if not path.exists():
            raise BadInput(f"--data {path}: no such file or folder; check the path")


def refuse_unread(
    unread: int, given: int, strict: bool, out: Path, noun: str = "photograph", to: str = "read"
) -> None:
    """Raise BadInput where nothing could be read, or with ``strict`` where anything could not."""
    from magnostic.data.summary import counted

    if not unread:
        return
    told = f"see the column error in {out}"
    if unread == given:
        raise BadInput(f"none of {counted(given, noun)} could be {to}; {told}")
    if strict:
        raise BadInput(f"{unread} of {given} {noun}s could not be {to} (--strict); {told}")


def read(
    data: Sequence[Path],
    reader: Format,
    on_bad: OnBad,
    columns: Sequence[str],
    label_map: Path | None,
    *,
    rescan: bool = False,
    recipes: Iterable[Recipe] = (),
) -> Images:
    """The images table of one or several data sources.

    What ``recipes`` will ask of the pixel cache is put there by the same decoding.
    """
    from magnostic.data import Wanted, read_sets

    keep = dict.fromkeys(Wanted(r.preprocess.size, r.preprocess.fit) for r in recipes)
    return read_sets(
        data,
        format=reader,
        on_bad=on_bad,
        columns=mapping(columns),
        label_map=label_map,
        keep=tuple(keep),
        rescan=rescan,
    )


def mapping(columns: Sequence[str]) -> dict[str, str]:
    """Our column -> the manifest's; BadInput for what is not ours=theirs."""
    found = {}
    for pair in columns:
        ours, equals, theirs = pair.partition("=")
        if not equals:
            raise BadInput(f"--column {pair}: expected ours=theirs, e.g. --column label=diagnosis")
        found[ours] = theirs
    return found
