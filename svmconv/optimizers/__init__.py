"""Descent methods as frozen dataclasses; each builds the optax transformation it stands for.

The step limits of NormalizedGD and DualAcceleration are exact, and those of the last phase, where
the weights of the rows have settled: with larger steps the method never settles. Those of GD, SGD
and HeavyBall are for any start, and sufficient: on separable data the curvature of the logistic
loss fades with the loss, so that larger rates reach steps that are small enough.
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
