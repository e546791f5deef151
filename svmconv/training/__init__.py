"""Train networks and take their penultimate features."""

from svmconv.training.fit import Fit as Fit
from svmconv.training.fit import features as features
from svmconv.training.fit import fit as fit
