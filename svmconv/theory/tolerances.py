"""How uncertain a comparison may be and still count: one table, a reason each.

A quantity whose error bar exceeds its tolerance is undecided. Relative to the predicted value
unless said otherwise.
"""

FLOW = 1e-6
"""Flow-based: the forecast is exact up to t^-kappa, the integrator up to 1e-8 a step."""

STEPS = 1e-3
"""Step-based: after 1e6 steps the remainder t^-kappa and the (ln t)/t of discrete time are left."""

STOCHASTIC = 3e-3
"""As STEPS, for steps on single rows: ten times shorter, hence ten times less tau."""

UNIVERSAL = 1e-4
"""Nats: the one constant that all methods with an l2 bias share."""

RATE = 1e-3
"""Of exponents, absolute; of speeds, relative: -1 is told from -1/2 and -2."""

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

CONSERVED = 1e-9
"""Relative to |W|: rounding of 30,000 steps adds up to 6e-12 at worst."""

DIRECTION = 0.8
"""Radians, about 45 degrees: where no rate can be verified, two directions farther apart than twice
the error bar can still be told from each other."""

ORACLE = 1e-12
"""1 - cos, absolute: an angle of 1e-6, a thousandth of what the tests of an SVM solver ask."""

CORRECTION = 0.05
"""Of the (ln t) / t correction of L tau, relative: that of plain descent is 19 times smaller than
heavy ball's at momentum .9, and 3 times at .5."""

SAMPLED = 0.2
"""Of L tau, relative, where rows are drawn: one standard deviation of a run is t^-1/2 times a
constant of order ten."""

SCATTER = 1.2
"""Nats, of the variance over runs: a batch of five is ln 5 = 1.6."""

OTHER_NORMS = 1e-3
"""Of what the margin gains per unit of |w|, relative: the norms compared differ by 10 %."""

LIMIT = 0.05
"""Relative, or radians: how near a run is to a limit whose constants are unknown."""

ADAM = 1e-6
"""Of Adam's exponent, relative: six digits."""

SCHEDULE = 1e-2
"""Of the fall of ln L where Adam's steps shrink, relative: a wrong norm is off by 10 % and more."""

OPTIMUM = 1e-6
"""Of the least value of a program, relative: its certificate leaves rounding, 1e-15 to 1e-9."""

OPTIMISER = 1e-4
"""Of where a program attains it, relative: an optimum is flat, and leaves the square root of what
the certificate leaves (in l_3 the cube root). And of what an integrator must keep."""

SECOND_ORDER = 1e-2
"""Of a second-order difference, relative: the third order is what is left."""

EXACT = 1e-9
"""Absolute, of logits and losses of size up to 1e3 that should not change at all: rounding."""

LAYER_WISE = 0.03
"""Of a ratio of layers, relative: what K of the N - K directions within classes may take away is a
few hundredths, a wrong power of it is off by tenths."""
