"""The classifier of the negative controls: plain logistic regression, fitted in a second."""

from __future__ import annotations

import warnings
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

#: Inverse regularization strength, that of ``probe-lite0``.
C: Final = 0.1


def fit_predict(
    train: NDArray[np.float32],
    y: NDArray[np.intp],
    test: NDArray[np.float32],
    classes: int,
    balanced: bool,
) -> NDArray[np.float32]:
    """Probabilities float32 [n, classes] of ``test``; 0 for classes that ``y`` does not hold.

    Args:
        train: float32 [m, D], by whose mean and deviation both sides are standardized.
        y: [m], class index of each training row, m >= 1.
        test: float32 [n, D].
        balanced: weight classes inversely to their frequency.
    """
    result = np.zeros((len(test), classes), dtype=np.float32)
    there = np.unique(y)
    if len(there) == 1 or not len(test):
        result[:, there[0]] = 1
        return result
    scaler = StandardScaler().fit(train)
    model: Any = LogisticRegression(
        C=C, tol=1e-4, max_iter=1000, class_weight="balanced" if balanced else None
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # near enough for a control
        # Slides may have a photograph or two: many classes for few images is what is asked.
        warnings.filterwarnings("ignore", "The number of unique classes", UserWarning)
        model.fit(scaler.transform(train), y)
    p = model.predict_proba(scaler.transform(test))
    result[:, model.classes_] = p / p.sum(axis=1, keepdims=True)
    return result
