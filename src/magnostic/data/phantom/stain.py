"""How synthetic tissue is coloured: Beer-Lambert, and how labs and patients differ.

The phantom is synthetic: these variations imitate those of real laboratories in kind; their
strength, PATIENT_EFFECT, is set from real photographs (see docs/phantom.md).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final, Literal

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from magnostic.data.phantom.slides import Slide, generator
from magnostic.taxonomy import BY_CODE

Array = npt.NDArray[np.float32]

#: Optical density per unit concentration in R, G, B: haematoxylin and eosin, after Ruifrok
#: and Johnston, Anal Quant Cytol Histol 23, 2001; eosin in the redder form QuPath uses.
HAEMATOXYLIN: Final = (0.651, 0.701, 0.290)
EOSIN: Final = (0.216, 0.801, 0.558)

#: Strength of the stain and texture differences between patients and labs (1 is the raw
#: spread written below). Fixed by bench/phantom_patient_effect.py so that an image's nearest
#: neighbour in Lite0 features is of its own slide as often as in real photographs; frozen.
PATIENT_EFFECT: Final = 0.8

#: How slides are stained: each as its lab and patient have it (``own``); all alike, but malignant
#: ones with more haematoxylin (``tied``); or every photograph with an amount of haematoxylin of its
#: own, whatever it shows, and otherwise alike (``free``).
Stain = Literal["own", "tied", "free"]
#: Haematoxylin of tied malignant slides; benign ones have its inverse.
TIED: Final = 1.4
#: Standard deviation of the logarithm of free haematoxylin: a factor of two, as far as
#: ``magnostic robustness`` shifts it, is well within what is drawn.
FREE: Final = 0.7


@dataclass(frozen=True)
class Appearance:
    """How one slide looks, apart from what grows in it. All factors are 1 for the mean slide.

    ``vectors`` float32 [2, 3]: unit optical density of H and E. ``white`` float32 [3]: the
    light in [0, 1]. ``thickness`` of the section, ``haematoxylin`` and ``eosin``: concentration
    factors. ``fibre``,
    ``chromatin``, ``crack``, ``grain``: texture factors. ``blur`` is optical blur in pixels,
    ``noise`` the camera's standard deviation in grey levels, ``vignette`` the loss of light
    in the corners (share), ``folds`` the expected number of tissue folds in a 40X field.
    """

    vectors: Array
    white: Array
    thickness: float
    haematoxylin: float
    eosin: float
    fibre: float
    chromatin: float
    crack: float
    grain: float
    blur: float
    noise: float
    vignette: float
    folds: float


def beer_lambert(haematoxylin: Array, eosin: Array, vectors: Array, white: Array) -> Array:
    """Transmitted light, ``white * exp(-(c_H v_H + c_E v_E))``.

    Concentrations float32 [H, W] >= 0, ``vectors`` [2, 3], ``white`` [3] in [0, 1];
    returns float32 [H, W, 3] in [0, 1].
    """
    density = haematoxylin[..., None] * vectors[0] + eosin[..., None] * vectors[1]
    np.negative(density, out=density)
    np.exp(density, out=density)
    return np.asarray(density * white, dtype=np.float32)


def _unit(vectors: Array) -> Array:
    positive = np.maximum(vectors, 0.02)
    norm = np.linalg.norm(positive, axis=-1, keepdims=True)
    return np.asarray(positive / norm, dtype=np.float32)


def slide_appearance(slide: Slide, seed: int, effect: float = PATIENT_EFFECT) -> Appearance:
    """The look of a slide: its lab's, its patient's, and a little of the block's own.

    ``effect`` >= 0 scales all three. Slides of one lab number share lab and patient, so
    siblings look nearly alike; the slide with two labels is one slide and looks the same.
    """
    lab = generator(seed, "lab", slide.lab)
    patient = generator(seed, "patient", slide.number)
    block = generator(seed, "block", slide.number, *slide.block.encode())

    def spread(of_lab: float, of_patient: float, size: int = 1) -> npt.NDArray[np.float64]:
        own = 0.25 * of_patient
        return effect * (
            of_lab * lab.standard_normal(size)
            + of_patient * patient.standard_normal(size)
            + own * block.standard_normal(size)
        )

    def factor(of_lab: float, of_patient: float) -> float:
        return float(np.exp(np.clip(spread(of_lab, of_patient)[0], -1.2, 1.2)))

    mean = np.array([HAEMATOXYLIN, EOSIN])
    vectors = mean + spread(0.05, 0.07, 6).reshape(2, 3)
    white = np.array([0.90, 0.91, 0.90]) * np.exp(spread(0.03, 0.025, 3))
    return Appearance(
        vectors=_unit(vectors.astype(np.float32)),
        white=np.clip(white, 0.6, 0.98).astype(np.float32),
        thickness=factor(0.05, 0.20),
        haematoxylin=factor(0.15, 0.30),
        eosin=factor(0.20, 0.35),
        fibre=factor(0.10, 0.40),
        chromatin=factor(0.05, 0.35),
        crack=factor(0.20, 0.60),
        grain=factor(0.20, 0.50),
        blur=0.8 * factor(0.20, 0.35),
        noise=1.6 * factor(0.20, 0.20),
        vignette=0.06 * factor(0.60, 0.20),
        folds=0.15 * factor(0.50, 1.00),
    )


def field_appearance(
    slide: Slide, field: int, magnification: int, seed: int, effect: float, stain: Stain
) -> Appearance:
    """The look of one photograph: the slide's own, or the mean slide's with other haematoxylin.

    Tied, as if each kind came from one laboratory that always stains alike: a network may learn
    the stain for the tissue, and the stain never varies within a class. Free, nothing about the
    tissue can be learnt from the stain.
    """
    if stain == "own":
        return slide_appearance(slide, seed, effect)
    look = slide_appearance(slide, seed, 0.0)
    if stain == "tied":
        malignant = BY_CODE[slide.code].malignancy == "malignant"
        return replace(look, haematoxylin=look.haematoxylin * (TIED if malignant else 1 / TIED))
    key = (slide.number, *slide.block.encode(), field, magnification)
    drawn = generator(seed, "free stain", *key).standard_normal()
    return replace(look, haematoxylin=look.haematoxylin * float(np.exp(FREE * drawn)))


def photograph(
    haematoxylin: Array, eosin: Array, look: Appearance, rng: np.random.Generator
) -> npt.NDArray[np.uint8]:
    """Concentrations seen through microscope and camera: uint8 [H, W, 3].

    Blur acts on concentrations, which for these thin sections differs little from blurring
    the light and is a third of the work.
    """
    height, width = haematoxylin.shape
    seen = [ndimage.gaussian_filter(c, look.blur, truncate=2.5) for c in (haematoxylin, eosin)]
    # Exposure and white balance are set anew for each photograph.
    white = look.white * np.exp(rng.normal(0, 0.018, 3)).astype(np.float32)
    light = beer_lambert(seen[0], seen[1], look.vectors, white)
    y = np.linspace(-1, 1, height, dtype=np.float32)[:, None] + np.float32(rng.normal(0, 0.2))
    x = np.linspace(-1, 1, width, dtype=np.float32)[None, :] + np.float32(rng.normal(0, 0.2))
    light *= (1 - look.vignette * (x * x + y * y) / 2)[..., None]
    noise = rng.standard_normal((height, width), dtype=np.float32) * np.float32(look.noise)
    light *= 255
    light += noise[..., None] + np.float32(0.5)
    return np.clip(light, 0, 255).astype(np.uint8)
