"""What the server computes with: a predictor, and an explainer where the model has one."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from magnostic.deploy import artefact, decisions
from magnostic.deploy.engines import TorchEngine
from magnostic.deploy.load import EngineName, load
from magnostic.deploy.predictor import Predictor
from magnostic.errors import BadInput
from magnostic.explain import Explainer


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
    predictor = load(run, engine=engine, level=level)
    if artefact.is_export(run):
        return Models(predictor, None, "an exported model holds no layers to look into")
    try:
        explainer = Explainer.load(run)
    except BadInput as error:  # captum is not installed, too
        return Models(predictor, None, str(error).removeprefix(f"{run}: "))
    if isinstance(predictor.engine, TorchEngine):  # the networks need not be in memory twice
        shared = explainer.engine
        predictor = Predictor(explainer.about, shared, explainer.references, level)
    return Models(predictor, explainer)
