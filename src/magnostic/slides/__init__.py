"""Whole slides and large images: tiles at the scale of photographs, maps, QuPath. Research use."""

from magnostic.slides.run import Outcome, listed, predict_slides
from magnostic.slides.settings import Settings
from magnostic.slides.trained import Photographs

__all__ = ["Outcome", "Photographs", "Settings", "listed", "predict_slides"]
