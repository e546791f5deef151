"""Train networks, take their penultimate features, and measure on the way."""

from svmconv.training.fit import Fit as Fit
from svmconv.training.fit import features as features
from svmconv.training.fit import fit as fit
from svmconv.training.tracker import Tracker as Tracker
