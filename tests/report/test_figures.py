"""Nothing that a figure says is cut off at its edge, however few or long its classes are."""

from __future__ import annotations

from pathlib import Path

import pytest
from matplotlib.figure import Figure

from magnostic.report import figures, style

pytestmark = pytest.mark.whole_figures

_NAMES = ("benign", "malignant", "stage three", "four", "five", "six", "seven", "eight")
_LONG = tuple(f"tumour stage {name} of the registry" for name in _NAMES)


def _metrics(classes: tuple[str, ...]) -> dict[str, object]:
    n = len(classes)
    figure = {"estimate": 0.6, "low": 0.4, "high": 0.8}
    scores = [{"label": c, "score": s} for c in classes for s in (0.2, 0.7, 1.0)]
    result = {
        "n_images": 24 * n, "repeats": 1, "cluster": "patient",
        "confusion": {"classes": list(classes), "counts": [[4 * n] * n] * n},
        "by_class": {c: {"precision": figure, "recall": figure, "f1": figure} for c in classes},
        "patients": {
            "scores": scores, "recognition_rate": figure, "n": 3 * n, "n_patients": 3 * n,
        },
    }  # fmt: skip
    return {
        "classes": list(classes), "confidence": 0.95, "resamples": 9,
        "protocols": {"patient": result},
    }  # fmt: skip


@pytest.mark.parametrize("classes", [_NAMES[:2], _NAMES[:3], _NAMES, _LONG[:2], _LONG[:3]])
def test_labels_of_axes_lie_within_the_figure(
    classes: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: dict[str, Figure] = {}

    def keep(drawn: Figure, folder: Path, name: str, alt: str, caption: str) -> style.Picture:
        seen[name] = drawn
        return saved(drawn, folder, name, alt, caption)

    saved = style.save
    monkeypatch.setattr(figures, "save", keep)
    metrics = _metrics(classes)
    for draw in (figures.confusion, figures.classes, figures.patients):
        draw(metrics, "patient", tmp_path)
    assert len(seen) == 3
    for name, drawn in seen.items():
        x, y = drawn.axes[0].xaxis, drawn.axes[0].yaxis
        texts = [x.label, y.label]
        for axis in (x, y):
            low, high = sorted(axis.get_view_interval())
            # matplotlib keeps ticks beyond the limits, undrawn.
            ticks = [tick for tick in axis.get_major_ticks() if low <= tick.get_loc() <= high]
            texts += [tick.label1 for tick in ticks]
        for text in texts:
            if text.get_text():
                box = text.get_window_extent()
                assert min(box.x0, box.y0) >= -1, (name, text)
                assert box.x1 <= drawn.bbox.x1 + 1, (name, text)
                assert box.y1 <= drawn.bbox.y1 + 1, (name, text)
