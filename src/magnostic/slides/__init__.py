"""Whole slides and large images: tiles at the scale of photographs, maps, QuPath. Research use."""

from magnostic.slides.run import Outcome, listed, predict_slides
from magnostic.slides.settings import Settings

__all__ = ["Outcome", "Settings", "listed", "predict_slides"]
