"""Descent methods as frozen dataclasses; each builds the optax transformation it stands for.

Exact stability limits are those of the last phase, where the weights of the rows have settled: the
largest step at which the method still converges there. M = sum alpha z z^T (docs/theory.md).
"""

from svmconv.optimizers.adam import Adam as Adam
from svmconv.optimizers.euclidean import GD as GD
from svmconv.optimizers.euclidean import SGD as SGD
from svmconv.optimizers.euclidean import DualAcceleration as DualAcceleration
from svmconv.optimizers.euclidean import HeavyBall as HeavyBall
from svmconv.optimizers.euclidean import NormalizedGD as NormalizedGD
from svmconv.optimizers.optimizer import Optimizer as Optimizer
from svmconv.optimizers.steepest import CoordinateDescent as CoordinateDescent
from svmconv.optimizers.steepest import SignDescent as SignDescent
from svmconv.optimizers.steepest import Spectral as Spectral
