"""How uncertain a comparison may be and still count: one table, a reason each.

A quantity whose error bar exceeds its tolerance is undecided. Relative to the predicted value
unless said otherwise.
"""

FLOW = 1e-6
"""Flow-based: the forecast is exact up to t^-kappa, the integrator up to 1e-8 a step."""

STEPS = 1e-3
"""Step-based: after 1e6 steps the remainder t^-kappa and the (ln t)/t of discrete time are left."""

RESIDUAL = 1e-8
"""|w - w_F| of a flow, absolute in units of 1/gamma: rounding of w at ln t = 1e6 is 1e-10."""

RESIDUAL_STEPS = 1e-2
"""|w - w_F| after 1e6 steps, absolute in units of 1/gamma: a few t^-kappa at kappa = 1/2."""

LOG_LOG = 0.1
"""Relative, where ln ln t enters: tells it from a constant at ln t = 1e6, where it is 13.8. A run
that obeys another law widens its own bar up to this. What obeys this one has 1e-7 (the angle), 1e-4
(by rounding: a margin gap of 1e-10), or a hundredth (the coefficient of (ln ln t) / ln t)."""

JOINT = 0.2
"""Relative: a network trained as a whole is followed to |log L| = 400, and its features turn."""

EXPONENT = 0.08
"""Absolute, half of 1/2 - 1/3: what tells networks of two and three layers apart."""

RATE = 1e-3
"""Absolute for exponents, relative for amplitudes of t^-kappa: rates from .17 to 1 are told apart a
hundred times over, and the next rate is below it at ln t = 30."""

CONSERVED = 1e-9
"""Relative to |W|: rounding of 30,000 steps adds up to 6e-12 at worst."""

DIRECTION = 0.8
"""Radians, about 45 degrees: where no rate can be verified, two directions farther apart than twice
the error bar can still be told from each other."""
