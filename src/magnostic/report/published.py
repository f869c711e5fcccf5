"""Numbers printed elsewhere, kept as data, with the contradictions of their sources noted.

``PAPER`` is Nishio, Nishio and Nishio, "Magnification Independent Multi-Classification of Breast
Cancer in Histopathology Images Using Deep Learning". Shares are percentages as printed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

PAPER: Final = (
    "J. Nishio, N. Nishio, A. Nishio: Magnification Independent Multi-Classification of Breast "
    "Cancer in Histopathology Images Using Deep Learning, 2024."
)
BREAKHIS: Final = (
    "F. A. Spanhol, L. S. Oliveira, C. Petitjean, L. Heutte: A Dataset for Breast Cancer "
    "Histopathological Image Classification. IEEE Transactions on Biomedical Engineering 63(7), "
    "2016, doi:10.1109/TBME.2015.2496264."
)
BREAKHIS_LICENCE: Final = "CC BY 4.0, as given by the data-set documentation of kaiko-ai/eva."


@dataclass(frozen=True)
class Row:
    """One published result.

    key: names it in studies: ``table2-<model>-<task>[-augmented]``,
        ``table3-<source><year>-<model>[-<task>][-<magnification>]``, ``text-…`` likewise for
        figures that the paper prints in its text alone.
    values: accuracy, precision, recall, F1 in percent, None where not printed.
    augmentation: of the training images, where said.
    variants: other figures that the same source prints for the same result, or why these do not
        fit together.
    """

    key: str
    task: str
    source: str
    model: str
    magnification: str
    values: tuple[float | None, float | None, float | None, float | None]
    augmentation: bool | None = None
    variants: str = ""

    @property
    def is_own(self) -> bool:
        """The paper's own result, whose images were drawn one by one at random."""
        return self.source.startswith("paper")


def _own(
    task: str,
    model: str,
    values: tuple[float, float, float, float],
    augmented: bool,
    note: str = "",
) -> Row:
    key = f"table2-{model.lower()}-{task}" + ("-augmented" if augmented else "")
    return Row(key, task, "paper, Table II", model, "all", values, augmented, note)


_BINARY_PRF = "P, R, F1 are 98.90, 98.86, 98.88 in Table III"
TABLE_II: Final = (
    _own("binary", "ResNet50", (99.03, 98.53, 98.40, 98.46), False, _BINARY_PRF),
    _own("binary", "VGG19", (96.59, 96.00, 96.10, 96.05), False),
    _own("subtype", "ResNet50", (93.97, 93.08, 93.45, 93.24), False),
    _own(
        "subtype", "ResNet50", (94.18, 93.11, 94.12, 93.53), True,
        "accuracy is 94.73 in the abstract, Table III and Fig. 8",
    ),
    _own("subtype", "VGG19", (88.33, 86.95, 85.25, 85.97), False),
    _own("subtype", "VGG19", (92.50, 91.46, 91.38, 91.26), True, "accuracy is 92.85 in Fig. 8"),
)  # fmt: skip

TABLE_III: Final = (
    Row(
        "table3-fauzan2023-densenet169",
        "binary", "[6], 2023", "DenseNet169", "200X and 400X", (87.14, 91.21, 90.54, 78.93),
        variants="F1 does not fit this precision and recall, whose harmonic mean is 90.87; the "
        "text adds an average precision of 97.4, which is not computed here",
    ),
    Row(
        "table3-fauzan2023-bit",
        "binary", "[6], 2023", "BiT-S-R101x1", "200X and 400X", (86.88, 90.67, 90.79, 77.45),
        variants="F1 does not fit this precision and recall, whose harmonic mean is 90.73",
    ),
    Row(
        "table3-mahadeva2023-vgg19",
        "binary", "[5], 2023", "VGG19", "all", (96.46, 93.14, 95.77, 94.43),
        variants="the paper's gain in F1 over this row is 1.62 points; the text prints 2.5",
    ),
    Row(
        "table3-nishio2024-resnet50-binary",
        "binary", "paper", "ResNet50", "all", (99.03, 98.90, 98.86, 98.88),
        variants="P, R, F1 are 98.53, 98.40, 98.46 in Table II",
    ),
    Row(
        "table3-nishio2024-vgg19-binary",
        "binary", "paper", "VGG19", "all", (96.59, 96.00, 96.10, 96.05),
    ),
    Row(
        "table3-sharma2020-handcrafted-40x",
        "subtype", "[7], 2020", "handcrafted features", "40X", (93.97, 94.0, 93.0, 94.0),
        variants="the text gives 93.97 at 40X to VGG16 with SVM",
    ),
    Row(
        "table3-sharma2020-vgg16-svm-200x",
        "subtype", "[7], 2020", "VGG16 + SVM", "200X", (91.23, 92.0, 92.0, 92.0),
    ),
    Row(
        "table3-agaba2022-handcrafted-dnn-40x",
        "subtype", "[8], 2022", "handcrafted features + DNN", "40X", (97.89, 97.0, 98.0, 97.0),
    ),
    Row(
        "table3-patil2022-densenet121-40x",
        "subtype", "[9], 2022", "DenseNet121", "40X", (89.0, 90.0, 85.0, 87.0),
    ),
    Row(
        "table3-patil2022-vgg19",
        "subtype", "[9], 2022", "VGG19", "all", (68.0, None, None, None),
    ),
    Row(
        "table3-patil2022-resnet50",
        "subtype", "[9], 2022", "ResNet50", "all", (80.0, None, None, None),
    ),
    Row(
        "table3-patil2022-densenet121",
        "subtype", "[9], 2022", "DenseNet121", "all", (87.20, 85.0, 83.0, 87.0),
        variants="accuracy is 86.54 in the text",
    ),
    Row(
        "table3-nishio2024-resnet50-subtype",
        "subtype", "paper", "ResNet50", "all", (94.73, 94.30, 94.23, 94.25),
        variants="accuracy is 94.18 in Table II",
    ),
    Row(
        "table3-nishio2024-vgg19-subtype",
        "subtype", "paper", "VGG19", "all", (92.50, 91.46, 91.38, 91.26),
        variants="accuracy is 92.85 in Fig. 8",
    ),
)  # fmt: skip


def _said(
    key: str, source: str, model: str, magnification: str, accuracy: float, note: str = ""
) -> Row:
    """An accuracy that stands in the paper's text (section II) for the 8 types."""
    values = (accuracy, None, None, None)
    return Row(f"text-{key}", "subtype", source, model, magnification, values, variants=note)


_SHARMA, _AGABA, _PATIL = (
    "[7], 2020, in the text",
    "[8], 2022, in the text",
    "[9], 2022, in the text",
)
_TO_HANDCRAFTED = "Table III gives 93.97 at 40X to the handcrafted features"
#: Figures of other work that the paper's text prints.
TEXT: Final = (
    Row(
        "text-kanavos2023-resnet",
        "binary", "[4], 2023, in the text", "ResNet + SGD", "not said", (94.1, None, None, 94.4),
        variants="the paper does not say on which photographs",
    ),
    _said("sharma2020-vgg16-svm-40x", _SHARMA, "VGG16 + SVM", "40X", 93.97, _TO_HANDCRAFTED),
    _said("sharma2020-vgg16-svm-100x", _SHARMA, "VGG16 + SVM", "100X", 92.92),
    _said("sharma2020-vgg16-svm-200x", _SHARMA, "VGG16 + SVM", "200X", 91.23),
    _said("sharma2020-vgg16-svm-400x", _SHARMA, "VGG16 + SVM", "400X", 91.79),
    _said("agaba2022-handcrafted-dnn-40x", _AGABA, "handcrafted features + DNN", "40X", 97.89),
    _said("agaba2022-handcrafted-dnn-100x", _AGABA, "handcrafted features + DNN", "100X", 97.6),
    _said("agaba2022-handcrafted-dnn-200x", _AGABA, "handcrafted features + DNN", "200X", 96.10),
    _said("agaba2022-handcrafted-dnn-400x", _AGABA, "handcrafted features + DNN", "400X", 96.84),
    _said("patil2022-densenet121-40x", _PATIL, "DenseNet121", "40X", 89.0),
    _said("patil2022-densenet201-100x", _PATIL, "DenseNet201", "100X", 88.0),
    _said("patil2022-densenet201-200x", _PATIL, "DenseNet201", "200X", 81.0),
    _said("patil2022-densenet121-400x", _PATIL, "DenseNet121", "400X", 84.0),
    _said(
        "patil2022-densenet121", _PATIL, "DenseNet121", "all", 86.54,
        "accuracy is 87.20 in Table III",
    ),
)  # fmt: skip

#: Every published result by its key.
ROWS: Final = {row.key: row for row in (*TABLE_II, *TABLE_III, *TEXT)}


#: Validation minus training loss at the end of training, 8 types without augmentation, as the
#: paper's text reads it off its Fig. 5.
LOSS_GAPS: Final = {"resnet50": 0.05, "vgg19": 0.2}
#: Confusions that the paper names: true type, predicted type.
CONFUSIONS: Final = (("DC", "LC"), ("LC", "DC"), ("PT", "F"), ("DC", "MC"))


@dataclass(frozen=True)
class Elsewhere:
    """A result from elsewhere: how its parts were kept apart, the task, what was found, by whom."""

    protocol: str
    task: str
    system: str
    result: str
    source: str


ELSEWHERE: Final = (
    Elsewhere("random images", "binary", "ResNet50", "accuracy 99.03%", "the paper"),
    Elsewhere("random images", "subtype", "ResNet50", "accuracy 94.2 to 94.7%", "the paper"),
    Elsewhere(
        "random images", "subtype", "ResNet50 / DenseNet201", "accuracy 96.7 / 97.5%",
        "github.com/lizbaka/BreakHis-exp",
    ),
    Elsewhere(
        "patient-disjoint, 5 folds", "binary", "ResNet50, the best of 9",
        "accuracy 92.67 ± 4.35%; no pair of models differs significantly",
        "Frontiers in Digital Health, 2026",
    ),
    Elsewhere(
        "patient-disjoint, 16 slides held out", "binary", "Swin-T / frozen CTransPath probe",
        "accuracy .905 / .858 at threshold 0.5 (.899 at its locked threshold), AUC .956 / .967",
        "github.com/Debcode2006/Breakhis-patient-level-audit",
    ),
    Elsewhere(
        "patient-disjoint", "subtype", "several", "accuracy 47 to 51%, macro F1 26 to 38%",
        "github.com/xuAn-0v0/Breakhis_8_Class_Classification",
    ),
    Elsewhere(
        "40X, four of the types", "subtype", "linear probes of pathology backbones",
        "balanced accuracy: UNI2-h .859, kaiko L14 .837, Virchow2 .821, UNI .785, Phikon .717",
        "kaiko-ai/eva leaderboard",
    ),
    Elsewhere(
        "random images / accession-disjoint, 5 folds", "subtype",
        "frozen EfficientNet-Lite0 + logistic regression, 446 images",
        "accuracy .71 / .11 (in part types with one accession: nothing left to learn from)",
        "measured for this project",
    ),
    Elsewhere(
        "random images / accession-disjoint, 5 folds", "binary",
        "frozen EfficientNet-Lite0 + logistic regression, 446 images",
        "accuracy .84 / .52", "measured for this project",
    ),
)  # fmt: skip


def table_ii_rows(recipe: dict[str, Any]) -> list[Row]:
    """Rows of Table II that a recipe named ``nishio2024…`` is about, by task, model and balance."""
    if not str(recipe.get("name", "")).startswith("nishio2024"):
        return []
    backbone = str(recipe.get("model", {}).get("backbone", "")).lower()
    augmented = recipe.get("balance", {}).get("method") == "oversample"
    same_task = [row for row in TABLE_II if row.task == recipe.get("task")]
    same_model = [row for row in same_task if backbone.startswith(row.model.lower())]
    same_balance = [row for row in same_model if row.augmentation == augmented]
    return same_balance or same_model or same_task
