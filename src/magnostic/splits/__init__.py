"""How train, validation and test are kept apart: one function a protocol, one table of folds."""

from magnostic.splits.all_folds import make
from magnostic.splits.one_fold import assert_disjoint, parts, read_parts
from magnostic.splits.policies import Selection, apply_policies, may_train
from magnostic.splits.table import Folds, Parts
from magnostic.splits.trainable import check_trainable, not_estimable

__all__ = [
    "Folds",
    "Parts",
    "Selection",
    "apply_policies",
    "assert_disjoint",
    "check_trainable",
    "make",
    "may_train",
    "not_estimable",
    "parts",
    "read_parts",
]
