"""The gap and its negative controls as tables and sentences."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from magnostic.report.cells import Cell, Table, Value, cells, figure_cell, flat
from magnostic.report.folder import RunFolder
from magnostic.report.gap_picture import series
from magnostic.report.words import METRICS, ordered, points, protocol, resampling, share

_SHOWN: Final = ("accuracy", "macro_f1")
_KINDS: Final = {"features": "by features", "colour": "by colours"}

GLOSSARY: Final = (
    (
        "Colours alone",
        "A control: logistic regression on a histogram of 8 × 8 × 8 RGB colours, which holds no "
        "shape, under the same folds. What it reaches under random images needs no pathology.",
    ),
    (
        "Equal training parts",
        "A control: logistic regression on the system's frozen features, with the training part "
        "of every fold of every protocol cut to the same number of images of each class, drawn "
        "several times and averaged. Its gap cannot come from missing classes or from smaller or "
        "otherwise composed training parts.",
    ),
    (
        "Chance within the class that is found",
        "How often the nearest training image would be of the same slide if it were another one "
        "of its class, drawn at random.",
    ),
)


def gaps(run: RunFolder) -> Table | None:
    """Random-image minus grouped figures."""
    found = run.metrics["gap"]
    if not found:
        return None
    rows, records = [], []
    for name in ordered(found):
        for which, entry in _gaps_to(run, name):
            rows.append(
                [
                    Cell(f"Random images − {protocol(name).title.lower()}", which),
                    *[
                        Cell(points(entry[key]["estimate"]), _point_interval(entry[key]))
                        for key in ("accuracy", "macro_f1")
                    ],
                    *cells([entry["n_images"], entry["n_clusters"]]),
                ]
            )
            records.append(
                {
                    "protocol": name,
                    "images": which,
                    **flat("accuracy_points", entry["accuracy"]),
                    **flat("macro_f1_points", entry["macro_f1"]),
                    "n_images": entry["n_images"],
                    "n_clusters": entry["n_clusters"],
                    "cluster": entry["cluster"],
                }
            )
    units = " or ".join(dict.fromkeys(entry["cluster"] + "s" for entry in found.values()))
    return Table(
        "gap",
        "The gap, in points, on the images that both protocols tested. "
        + resampling(run.metrics, units.removesuffix("s")).replace(
            "expanded percentile", "paired expanded percentile"
        ),
        ["", "Accuracy", "Macro F1", "Images", "Units"],
        rows,
        records,
    )


def _gaps_to(run: RunFolder, name: str) -> list[tuple[str, Mapping[str, Any]]]:
    """The gap to a protocol: of the system, of its learnable images, and of the controls."""
    found = run.metrics["gap"][name]
    controls = run.controls or {}
    said = [
        ("all images", found),
        ("learnable", found["estimable"]),
        ("control: equal training parts", _gap_of(controls.get("equal"), name)),
        ("control: colours alone", _gap_of(controls.get("colour"), name)),
    ]
    return [(which, entry) for which, entry in said if entry is not None]


def _gap_of(control: Mapping[str, Any] | None, name: str) -> Mapping[str, Any] | None:
    gaps: Mapping[str, Any] = (control or {}).get("gap", {})
    return gaps.get(name)


def _point_interval(metric: Mapping[str, Any]) -> str:
    if metric["low"] is None:
        return ""
    return f"({points(metric['low'])} to {points(metric['high'])})"


def by_protocol(run: RunFolder) -> Table | None:
    """Figures of the system and its controls, a column a protocol."""
    controls = run.controls
    if controls is None:
        return None
    names = ordered(run.metrics["protocols"])
    rows: list[list[Cell]] = []
    records: list[dict[str, Value]] = []

    def line(title: str, sub: str, found: Sequence[Mapping[str, Any] | None]) -> None:
        rows.append([Cell(title, sub), *map(_cell, found)])
        for name, metric in zip(names, found, strict=True):
            if metric is not None:
                record: dict[str, Value] = {"figure": title, "of": sub, "protocol": name}
                record |= flat("share", metric)
                record |= {k: metric.get(k) for k in ("chance", "chance_in_class", "n")}
                records.append(record)

    for one in series(run.metrics, controls):
        for key in _SHOWN:
            found = [one.figures[n][key] if n in one.figures else None for n in names]
            line(METRICS[key], one.name, found)
    slides = controls["slides"]
    for kind, words in _KINDS.items():
        if slides is not None and slides[kind] is not None:
            metric = {**slides[kind], "chance": slides["chance"], "n": slides["n"]}
            named = [metric if name == "random" else None for name in names]
            line("Slide named right", words, named)
    for kind, words in _KINDS.items():
        for what in ("slide", "accession"):
            near = [controls["neighbours"].get(kind, {}).get(n, {}).get(what) for n in names]
            if any(near):
                line(f"Nearest training image of the same {what}", words, near)
    return Table(
        "controls",
        f"The system and its negative controls by protocol. {_says(controls, run.classes)}",
        ["", *[protocol(name).title for name in names]],
        rows,
        records,
    )


def _cell(metric: Mapping[str, Any] | None) -> Cell:
    """A share, its interval, and what chance would give where that is known."""
    plain = figure_cell(metric)
    if metric is None or metric.get("chance") is None:
        return plain
    says = f"chance {share(metric['chance'], 2)}"
    if metric.get("chance_in_class") is not None:
        says += f", in class {share(metric['chance_in_class'], 2)}"
    return Cell(plain.main, f"{plain.sub} {says}".strip())


def _says(controls: Mapping[str, Any], classes: Sequence[str]) -> str:
    """Sizes that belong to the caption."""
    equal, slides = controls["equal"], controls["slides"]
    says = ""
    if equal is not None and "reason" in equal:
        says = f"Equal training parts: {equal['reason']}. "
    elif equal is not None:
        each = ", ".join(f"{c} {equal['per_class'][c]}" for c in classes if c in equal["per_class"])
        says = (
            f"Equal training parts: {equal['n_train']} images in every fold ({each}), mean of "
            f"{equal['draws']} draws, {equal['n_images']:,} images tested. "
        )
        if equal["left_out"]:
            says += f"Left out, since some fold cannot train them: {', '.join(equal['left_out'])}. "
    if slides is not None:
        says += f"Slides: {slides['n']:,} test images of {slides['n_slides']} slides"
        if slides["n_unknown"]:
            says += f", without {slides['n_unknown']} whose slide is not in training"
        says += "; chance is always naming the slide with most training images. "
    if controls["statistics_of"]:
        says += f"Features as normalized for {controls['statistics_of']}. "
    return says + "Controls are of the first draw of each protocol's folds."


def remarks(controls: Mapping[str, Any] | None, metrics: Mapping[str, Any], main: str) -> list[str]:
    """What the controls show of the gap to protocol ``main``, in a sentence each."""
    if controls is None or main not in controls["colour"]["gap"]:
        return []
    found = [_colour(controls, metrics, main), _slide(controls), _equal(controls, main)]
    return [sentence for sentence in found if sentence]


def _colour(controls: Mapping[str, Any], metrics: Mapping[str, Any], main: str) -> str:
    gap = controls["colour"]["gap"][main]["accuracy"]
    system = metrics["protocols"]["random"]["overall"]["accuracy"]
    text = (
        f"Control, colours alone: a colour histogram, which holds no shape, is right in "
        f"{share(gap['random'], 2)} of random-image test photographs (the system: "
        f"{share(system['estimate'], 2)}) and in {share(gap['grouped'], 2)} under the "
        f"{protocol(main).adjective} protocol"
    )
    if gap["low"] is None:
        return f"{text}."
    if gap["low"] <= 0:
        return f"{text}: that difference cannot be told from none."
    if gap["random"] >= system["estimate"]:
        return f"{text}: random images reward knowing the stain of a slide as much as all else."
    return f"{text}: part of what random images reward is knowing the stain of a slide."


def _slide(controls: Mapping[str, Any]) -> str:
    slides = controls["slides"]
    if slides is None:
        return ""
    kind, words = (
        ("colour", "its colours") if slides["features"] is None else ("features", "the features")
    )
    metric = slides[kind]
    text = (
        f"Control, slides: the very slide of such a photograph, one of {slides['n_slides']}, is "
        f"named right in {share(metric['estimate'], 2)} from {words} (naming the largest: "
        f"{share(slides['chance'], 2)})"
    )
    low = metric["estimate"] if metric["low"] is None else metric["low"]
    return f"{text}." if low > slides["chance"] else f"{text}: not shown to be above chance."


def _equal(controls: Mapping[str, Any], main: str) -> str:
    equal = controls["equal"]
    if equal is None or "reason" in equal or main not in equal["gap"]:
        return ""
    gap = equal["gap"][main]["accuracy"]
    more = "above" if gap["estimate"] >= 0 else "below"
    text = (
        f"Control, equal training: with {equal['n_train']} training images of the same classes in "
        f"every fold, random images score {points(abs(gap['estimate']), 0)} points {more} the "
        f"{protocol(main).adjective} protocol"
    )
    if gap["low"] is None:
        return f"{text}."
    text += f" ({points(gap['low'], 0)} to {points(gap['high'], 0)})"
    if gap["low"] > 0:
        return (
            f"{text}: that part is knowing the patient, not missing types or fewer training images."
        )
    return f"{text}: that cannot be told from no difference."
