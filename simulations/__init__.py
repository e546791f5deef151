"""Simulations: one runnable file per experiment, whose saved results the figures are drawn from."""
