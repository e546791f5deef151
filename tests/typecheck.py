"""The run-time type checker that the tests put on every annotated function of svmconv.

It is beartype, with two allowances that users have too: an int may stand for a float, and a choice
such as a bias kind may be any string, so that svmconv itself gets to say what is wrong with it.
"""

from typing import Literal

from beartype import BeartypeConf, FrozenDict, beartype

# Written out: importing them from svmconv here would load it before the checker is in place.
_CHOICES = (
    Literal["none", "augmented", "free"],
    Literal["l2", "l1", "linf", "spectral"],
    Literal["logistic", "exponential"],
    Literal["co-moving", "plain"],
)

check_types = beartype(
    conf=BeartypeConf(
        is_pep484_tower=True,
        hint_overrides=FrozenDict(dict.fromkeys(_CHOICES, str)),
    )
)
