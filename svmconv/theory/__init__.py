"""Predictions without free parameters, and the claims that test them."""

from svmconv.theory.constants import Constants as Constants
from svmconv.theory.constants import constants as constants
from svmconv.theory.forecast import forecast as forecast
