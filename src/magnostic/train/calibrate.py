"""What is fitted on predictions is stored beside the run, and named in what it was fitted on."""

from __future__ import annotations

from pathlib import Path

from magnostic.evaluate.predictions import Predictions
from magnostic.evaluate.probabilities import fit_for_use
from magnostic.files import read_object, write_json
from magnostic.train.experiment import Experiment


def store(
    experiment: Experiment, predictions: Predictions, protocol: str, run: Path, model: Path
) -> None:
    """Write ``run/calibration.json`` and name its images in ``model/fitted_on.json``.

    Nothing is written where there is neither a validation part nor a second fold to fit on.

    Args:
        predictions: of the run.
        protocol: whose models the model for use is, or stands for.
        model: folder of the model for use; for an ensemble of the folds' models the run itself,
            whose ``fitted_on.json`` then names what was fitted on predictions and nothing else.
    """
    found = fit_for_use(predictions.where(protocol=protocol), protocol)
    if found is None:
        return
    write_json(run / "calibration.json", found)
    path = model / "fitted_on.json"
    told = read_object(path) if path.is_file() else {}
    entry = experiment.fingerprint(found["fitted_on"])
    write_json(path, {**told, "calibration": entry, "thresholds": entry})
