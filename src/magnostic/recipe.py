"""What one experiment is: pydantic models to and from one YAML file.

A recipe reads like prose, every field has a default that suits an honest evaluation, and the
resolved recipe (every ``auto`` replaced by what was used) is stored in the run.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import pydantic
import yaml
from pydantic import BaseModel, ConfigDict, Field, PositiveInt, field_validator, model_validator

from magnostic.errors import RecipeError, did_you_mean

Policy = Literal["keep", "drop", "together"]
Protocol = Literal["random", "patient", "accession", "official"]


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True)


class Data(_Section):
    """Which photographs are used.

    duplicates: pixel-identical photographs under several names: ``keep`` all as the paper does,
        ``drop`` all but the first (all, where their labels contradict), or keep them
        ``together`` on one side of every split.
    double_labels: a slide filed under two labels: ``keep``, ``drop`` its images, or keep the
        slide ``together`` on one side of every split, also a random one.
    on_bad: unreadable or misnamed files ``stop`` the run with a full list, or are left out
        (``skip``) and named in the report.
    magnifications: use only these; empty for all.
    """

    duplicates: Policy = "together"
    double_labels: Policy = "together"
    on_bad: Literal["stop", "skip"] = "stop"
    magnifications: tuple[int, ...] = ()


class Split(_Section):
    """How train and test are kept apart.

    protocols: ``random`` draws single images (the paper; one patient on both sides), ``patient``
        and ``accession`` keep whole slides or lab numbers on one side, ``official`` reads the
        data set's five fold files from ``official_dir``.
    folds: 1 for a hold-out of ``test_fraction``, k for k-fold cross-validation whose out-of-fold
        predictions are pooled. The official protocol has its own five draws.
    repeats: how often the folds are drawn anew.
    val_fraction: share of the training images set aside to choose weights (0: none), drawn by the
        same grouping as the protocol's.
    stratify: keep class shares alike in all parts, as far as groups allow. The paper did not.
    strict: stop where a class cannot be estimated instead of reporting it (MG005).
    """

    protocols: tuple[Protocol, ...] = ("patient",)
    folds: PositiveInt = 5
    repeats: PositiveInt = 1
    test_fraction: Annotated[float, Field(gt=0, lt=1)] = 0.3
    val_fraction: Annotated[float, Field(ge=0, lt=1)] = 0.25
    stratify: bool = True
    strict: bool = False
    official_dir: Path | None = None

    @field_validator("protocols", mode="before")
    @classmethod
    def _one_or_several(cls, value: object) -> object:
        return (value,) if isinstance(value, str) else value

    @model_validator(mode="after")
    def _consistent(self) -> Split:
        if not self.protocols or len(set(self.protocols)) != len(self.protocols):
            raise ValueError("protocols must name one or several different protocols")
        if "official" in self.protocols and self.official_dir is None:
            raise ValueError("protocol official needs official_dir, the folder of dsfold1..5.txt")
        return self


class Preprocess(_Section):
    """From photograph to network input.

    size: side of the square input in pixels.
    fit: ``squeeze`` to the square (the paper), or ``crop`` the centre after fitting the short side.
    normalize: statistics of the z-score: ``train`` (training part alone), ``train+val`` (the
        paper's other reading), ``imagenet``, ``backbone`` (as it was pretrained), ``none``
        ([0, 1]), or ``auto``: the backbone's own for a frozen one, else ``train``.
    """

    size: Annotated[int, Field(ge=32, le=2048)] = 224
    fit: Literal["squeeze", "crop"] = "squeeze"
    normalize: Literal["auto", "train", "train+val", "imagenet", "backbone", "none"] = "auto"


class Balance(_Section):
    """What is done about unequal classes.

    method: ``oversample`` adds flipped and right-angle-rotated copies of minority images up to the
        majority's count, ``class-weights`` weights the loss inversely to frequency, or ``none``.
    when: ``after-val`` copies only training images. ``before-val-leaky`` copies before the
        validation draw, one reading of the paper: copies of one photograph then stand in both.
    """

    method: Literal["none", "oversample", "class-weights"] = "none"
    when: Literal["after-val", "before-val-leaky"] = "after-val"


class Model(_Section):
    """The backbone, by timm name, and where its weights come from.

    weights: ``imagenet`` (timm's default tag), another timm tag, ``hf_hub:owner/name``, a local
        .safetensors/.pth/.pt path, ``package:efficientnet-lite0`` (lite1, lite2), or ``none``.
    """

    backbone: str = "tf_efficientnet_lite0"
    weights: str = "package:efficientnet-lite0"
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0


class Finetune(_Section):
    """All layers trained; defaults are the paper's.

    lr, lr_end: learning rate of the first and the last step; ``schedule`` says how it falls.
    precision: ``auto`` takes bf16 where the device computes in it, else fp32.
    """

    method: Literal["finetune"] = "finetune"
    epochs: PositiveInt = 30
    batch_size: PositiveInt = 32
    optimizer: Literal["adam", "adamw", "sgd"] = "adam"
    lr: Annotated[float, Field(gt=0)] = 3e-4
    lr_end: Annotated[float, Field(gt=0)] = 1e-5
    schedule: Literal["cosine", "linear", "exponential", "constant"] = "cosine"
    weight_decay: Annotated[float, Field(ge=0)] = 1e-4
    select: Literal["val-loss", "val-accuracy", "last"] = "val-loss"
    precision: Literal["auto", "bf16", "fp16", "fp32"] = "auto"


class Probe(_Section):
    """Frozen features once, then a linear head.

    c: inverse regularization strength; several values are chosen among by validation log loss.
    """

    method: Literal["probe"]
    head: Literal["logistic", "svm"] = "logistic"
    c: tuple[Annotated[float, Field(gt=0)], ...] = (0.1,)
    batch_size: PositiveInt = 32
    precision: Literal["auto", "bf16", "fp16", "fp32"] = "auto"

    @field_validator("c", mode="before")
    @classmethod
    def _one_or_several(cls, value: object) -> object:
        return (value,) if isinstance(value, int | float) else value


class Evaluate(_Section):
    """Intervals by patient-clustered bootstrap: number of resamples and confidence."""

    resamples: Annotated[int, Field(ge=0)] = 1000
    confidence: Annotated[float, Field(gt=0.5, lt=1)] = 0.95


class Recipe(_Section):
    """One experiment. ``description`` states in prose what it is, its cost and what to expect."""

    name: str
    description: str = ""
    seed: Annotated[int, Field(ge=0, lt=2**32)] = 0
    task: Literal["binary", "subtype", "label"] = "subtype"
    data: Data = Data()
    split: Split = Split()
    preprocess: Preprocess = Preprocess()
    balance: Balance = Balance()
    model: Model = Model()
    train: Annotated[Finetune | Probe, Field(discriminator="method")] = Finetune()
    evaluate: Evaluate = Evaluate()

    @field_validator("train", mode="before")
    @classmethod
    def _default_method(cls, value: object) -> object:
        if isinstance(value, Mapping) and "method" not in value:
            return {"method": "finetune", **value}
        return value

    @model_validator(mode="after")
    def _consistent(self) -> Recipe:
        if isinstance(self.train, Probe):
            if len(self.train.c) > 1 and self.split.val_fraction == 0:
                raise ValueError("train.c lists several values: give split.val_fraction > 0")
            if self.balance.method == "oversample":
                raise ValueError(
                    "balance.method oversample is for train.method finetune; features of a probe "
                    "are computed once, so use class-weights"
                )
        if self.balance.when == "before-val-leaky" and self.balance.method != "oversample":
            raise ValueError("balance.when before-val-leaky needs balance.method oversample")
        return self

    def to_yaml(self) -> str:
        """YAML with every field, in the order of this file."""
        return yaml.safe_dump(self.model_dump(mode="json"), sort_keys=False, allow_unicode=True)


def shipped() -> dict[str, Path]:
    """Recipes that come along, by name: inside an installed package, or beside its source."""
    here = Path(__file__).parent
    folders = (here / "recipes", here.parents[1] / "recipes")
    return {path.stem: path for folder in folders for path in sorted(folder.glob("*.yaml"))}


def load(path: Path, overrides: Sequence[str] = ()) -> Recipe:
    """Read a recipe file, or one that comes along by its name, and apply overrides.

    Args:
        path: a YAML file or a name of :func:`shipped`.
        overrides: ``--section.field value`` tokens.

    Raises RecipeError naming the file and field, with the nearest known field's name.
    """
    if not path.exists():
        known = shipped()
        if str(path) not in known:
            near = did_you_mean(path.stem, known)
            raise RecipeError(f"{path}: no such recipe{near}; known by name: {', '.join(known)}")
        path = known[str(path)]
    try:
        raw = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise RecipeError(f"{path}: cannot be read as text ({error})") from None
    except yaml.YAMLError as error:
        where = getattr(error, "problem_mark", None)
        line = f", line {where.line + 1}" if where else ""
        raise RecipeError(f"{path}{line}: not valid YAML; mend the file") from None
    if not isinstance(raw, dict):
        raise RecipeError(f"{path}: a recipe is a mapping of fields, starting with name:")
    raw.setdefault("name", path.stem)
    return parse(override(raw, overrides), str(path))


def parse(raw: Mapping[str, Any], where: str) -> Recipe:
    """Validate a mapping as a recipe; RecipeError lists every wrong field, one a line."""
    try:
        return Recipe.model_validate(raw)
    except pydantic.ValidationError as error:
        raise RecipeError("\n".join(_explain(e, where, raw) for e in error.errors())) from None


def override(raw: Mapping[str, Any], tokens: Sequence[str]) -> dict[str, Any]:
    """Apply ``["--train.epochs", "4", "--model.weights=none"]``; values are read as YAML."""
    result: dict[str, Any] = yaml.safe_load(yaml.safe_dump(dict(raw)))
    rest = list(tokens)
    while rest:
        token = rest.pop(0)
        if not token.startswith("--"):
            raise RecipeError(f"{token!r}: expected --section.field value, e.g. --train.epochs 4")
        key, equals, value = token[2:].partition("=")
        if not equals:
            if not rest or rest[0].startswith("--"):
                raise RecipeError(f"--{key}: needs a value, e.g. --{key} VALUE")
            value = rest.pop(0)
        *sections, field = key.replace("-", "_").split(".")
        target = result
        for section in sections:
            target = target.setdefault(section, {})
            if not isinstance(target, dict):
                raise RecipeError(f"--{key}: {section!r} is not a section of the recipe")
        target[field] = _value(value)
    return result


def _value(text: str) -> Any:
    if "," in text and not text.startswith(("[", "{")):
        return [_value(part) for part in text.split(",")]
    try:
        value = yaml.safe_load(text)
    except yaml.YAMLError:
        return text
    if isinstance(value, str):  # YAML 1.1 reads 3e-4 as text
        try:
            return float(value)
        except ValueError:
            return value
    return value


def _explain(error: Any, where: str, raw: Mapping[str, Any]) -> str:
    location = [str(part) for part in error["loc"] if part not in ("finetune", "probe")]
    path = ".".join(location)
    if error["type"] == "extra_forbidden":
        known = _fields(location[:-1], raw)
        near = difflib.get_close_matches(location[-1], known, n=1, cutoff=0.4)
        hint = f"did you mean {near[0]!r}?" if near else f"known here: {', '.join(known)}"
        return f"{where}: unknown field {path!r}; {hint}"
    message = error["msg"].removeprefix("Value error, ")
    given = f" (given: {error['input']!r})" if error["type"] != "missing" and path else ""
    return f"{where}: {path + ': ' if path else ''}{message}{given}"


def _fields(sections: Iterable[str], raw: Mapping[str, Any]) -> list[str]:
    model: type[BaseModel] = Recipe
    for section in sections:
        if section == "train":
            train = raw.get("train")
            is_probe = isinstance(train, Mapping) and train.get("method") == "probe"
            model = Probe if is_probe else Finetune
            continue
        annotation = model.model_fields[section].annotation
        if not (isinstance(annotation, type) and issubclass(annotation, BaseModel)):
            return []
        model = annotation
    return list(model.model_fields)
