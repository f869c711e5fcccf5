"""A stored run in use: prediction and export. Research use only."""

from magnostic.deploy.load import load
from magnostic.deploy.predictor import Predictor

__all__ = ["Predictor", "load"]
