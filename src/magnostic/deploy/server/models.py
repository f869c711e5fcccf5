"""What the server computes with: a predictor, and an explainer where the model has one."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from magnostic.deploy import artefact, decisions, distance
from magnostic.deploy.load import EngineName, load, of_members
from magnostic.deploy.predictor import Predictor
from magnostic.errors import BadInput, WeightsError
from magnostic.explain import Explainer
from magnostic.stored import as_written


@dataclass(frozen=True)
class Models:
    """Attributes:
    predictor: of the run.
    explainer: of the same networks; None where there is none.
    reason: in words, why there is none.
    """

    predictor: Predictor
    explainer: Explainer | None
    reason: str | None = None


def load_models(
    run: Path, *, engine: EngineName = "auto", level: float = decisions.LEVEL
) -> Models:
    """Everything that a run or an exported model can serve.

    Raises as :func:`magnostic.deploy.load.load`.
    """
    if artefact.is_export(run):
        predictor = load(run, engine=engine, level=level)
        return Models(predictor, None, "an exported model holds no layers to look into")
    with as_written(run, WeightsError):
        about, members = artefact.load_members(run)
        references = [distance.read(member.folder) for member in members]
        predictor = of_members(about, members, references, engine, level)
    try:
        return Models(predictor, Explainer(about, members, references))
    except BadInput as error:  # captum is not installed, too
        return Models(predictor, None, str(error))
