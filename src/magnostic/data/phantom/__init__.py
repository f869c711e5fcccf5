"""A procedural H&E phantom: synthetic photographs in a BreakHis tree, so that everything runs
with no download.

SYNTHETIC: every image is drawn by this package; nothing in it comes from a patient or a
photograph. It is made so that tumour type shows at every magnification and so that patients
differ in stain and texture about as much as real ones do; results on it say whether code and
protocols work, and nothing about tumours.

``write_phantom`` writes the tree; ``render_field`` gives one image with the structure under
every pixel, and ``Truth`` does so for a file of a tree, for measuring what a saliency map falls
on. See docs/phantom.md.
"""

from magnostic.data.phantom.render import STRUCTURES, Field, render_field
from magnostic.data.phantom.slides import Slide, phantom_slides
from magnostic.data.phantom.stain import PATIENT_EFFECT, Stain
from magnostic.data.phantom.truth import Truth
from magnostic.data.phantom.view import MICRONS_PER_PIXEL
from magnostic.data.phantom.write import MARKER, shown_slide, write_phantom

__all__ = [
    "MARKER",
    "MICRONS_PER_PIXEL",
    "PATIENT_EFFECT",
    "STRUCTURES",
    "Field",
    "Slide",
    "Stain",
    "Truth",
    "phantom_slides",
    "render_field",
    "shown_slide",
    "write_phantom",
]
