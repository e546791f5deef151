"""How far apart two numbers may be and still be called equal in a test: one table, a reason each.

Relative to the size of what is compared, unless the reason says otherwise.
"""

EPS = 2.0**-52
"""Unit of the last place of float64 at 1."""

ROUNDING = 1e-14
"""The same formula in another order: a few dozen roundings of EPS."""

LONG_SUM = 1e-12
"""Thousands of roundings: a descent loop in numpy beside the jitted one."""

PATH = 1e-11
"""All weights on the way beside a numpy loop, relative to the last: rounding of a margin of 1000
changes the weight of its row by 1e-13, and steps of fixed length do not forget."""

GRADIENT = 1e-13
"""A hand-written gradient beside jax.grad of the loss: exp of numbers near 100 loses two digits."""

FLOW = 1e-7
"""A flow beside a closed form or another integrator: rtol = 1e-8 a step, errors that decay or add
up over a few hundred steps."""

FRAMES = 1e-6
"""The co-moving beside the plain frame, absolute: in the plain one w is of order 100 and more at
log_t = 30, each step allows 1e-8 of that, and neutral directions do not forget."""

FLOW_RESIDUAL = 1e-8
"""|w - w_F| of a flow at log_t = 1e6, absolute in units of 1/gamma: w is 1e6 there, its rounding
1e-10, summed over the coordinates and the certified error of w_hat, 1e-16 x 1e6."""

FLOW_LOG_LOSS = 1e-9
"""ln(gamma^2 L t) of a flow at log_t = 1e6, absolute: rounding of two numbers of size 1e6."""

CONSERVED = 64 * EPS
"""A conserved sum of weights, relative to the largest weight: a random walk of roundings over a few
hundred steps; 15 EPS measured."""

SOLVER = 1e-6
"""A linear program by HiGHS at its default tolerance, 1e-7 a row, beside a polished vertex."""

FIRST_ORDER = 1e-5
"""The optimal value that SCS finds, an operator splitting method stopped at residuals of 1e-7."""
