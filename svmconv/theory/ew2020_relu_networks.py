"""Two-layer ReLU networks on the line: those of largest margin, and one trained by descent.

Classes are [-2, -1] and [1, 2], sampled at nine rows each. Among h(x) = sum a_j relu(w_j x + b_j)
with sum |a_j| |(w_j, b_j)| <= 1 the program is linear in measures over unit neurons. Neurons are
added one by one (column generation), each the one that gains most. It is found exactly: between its
kinks, the directions +-(1, -x_n), the gain is linear in (w, b). It is also the certificate.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Float64
from scipy.optimize import linprog

Size = Literal["l1", "l2"]
"""Of a neuron: |w| + |b|, or its Euclidean norm."""
ORDER = {"l1": 1, "l2": 2}
ROUNDS = 40

X = np.concatenate([-np.linspace(2.0, 1.0, 9), np.linspace(1.0, 2.0, 9)])
Y = np.sign(X)
INNER, OUTER = (8, 9), (0, 17)
"""Rows of x = -1 and 1, of x = -2 and 2."""

Neurons = Float64[np.ndarray, "m 2"]
Rows = Float64[np.ndarray, " n"]


def outputs(neurons: Neurons, x: Rows) -> Float64[np.ndarray, "m n"]:
    """relu(w x + b) of every neuron (w, b)."""
    return np.maximum(neurons[:, :1] * x + neurons[:, 1:], 0.0)


def sizes(neurons: Neurons, size: Size) -> Float64[np.ndarray, " m"]:
    """|(w, b)| of every neuron."""
    return np.linalg.norm(neurons, ORDER[size], axis=1)


@dataclass(frozen=True, eq=False)
class Network:
    """sum a_j relu(w_j x + b_j)."""

    a: Float64[np.ndarray, " m"]
    neurons: Neurons

    def __call__(self, x: Rows) -> Rows:
        """Its outputs."""
        return self.a @ outputs(self.neurons, x)

    def size(self, size: Size) -> float:
        """sum |a_j| |(w_j, b_j)|."""
        return float(np.abs(self.a) @ sizes(self.neurons, size))

    @property
    def margin(self) -> float:
        """The smallest of y h(x) over both intervals: at their ends or at a kink."""
        bent = self.neurons[self.neurons[:, 0] != 0.0]
        kinks = -bent[:, 1] / bent[:, 0]
        inside = (np.abs(kinks) >= 1.0) & (np.abs(kinks) <= 2.0)
        x = np.concatenate([X, kinks[inside]])
        return float((np.sign(x) * self(x)).min())

    @property
    def ratios(self) -> Float64[np.ndarray, " 2"]:
        """h(-2) / h(-1) and h(2) / h(1)."""
        h = self(X)
        return h[list(OUTER)] / h[list(INNER)]


def best_neuron(weights: Rows, size: Size) -> tuple[Float64[np.ndarray, " 2"], float]:
    """The unit neuron of largest |sum weights_n relu(w x_n + b)|, and that sum."""
    edges = np.stack([np.ones_like(X), -X], axis=1)
    edges = np.concatenate([edges, -edges])
    if size == "l2":  # between two kinks the gain is <g, (w, b)>, largest along g
        turn = np.sort(np.arctan2(edges[:, 1], edges[:, 0]))
        middle = (turn + np.roll(turn, -1)) / 2.0 + np.pi * (turn > np.roll(turn, -1))
        active = outputs(np.stack([np.cos(middle), np.sin(middle)], axis=1), X) > 0.0
        g = (active * weights) @ np.stack([X, np.ones_like(X)], axis=1)
        corners = np.concatenate([g, -g])
    else:
        corners = np.array([[1.0, 0.0], [-1.0, 0.0], [0.0, 1.0], [0.0, -1.0]])
    tried = np.concatenate([edges, corners])
    length = sizes(tried, size)
    tried = tried[length > 0.0] / length[length > 0.0, None]
    gains = outputs(tried, X) @ weights
    best = int(np.abs(gains).argmax())
    return tried[best], float(gains[best])


@dataclass(frozen=True, eq=False)
class Solution:
    """A network of size 1, the value that it attains and a bound of that of any other."""

    network: Network
    value: float
    bound: float
    price: float
    """By how much the value falls, at most, per unit by which the least margin rises."""


def largest_margin(size: Size, rounds: int = ROUNDS) -> Solution:
    """The network of size 1 whose smallest y h(x) over the rows is largest."""
    return _generate(size, np.zeros_like(X), None, _first(size), rounds)


def extreme(size: Size, along: Rows, margin: float, start: Network) -> Solution:
    """Of networks of size 1 with y h(x) >= margin at every row, the one of largest <along, h>."""
    return _generate(size, along, margin, start, ROUNDS)


def _first(size: Size) -> Network:
    neuron, gain = best_neuron(Y / len(Y), size)
    return Network(np.sign([gain]), neuron[None])


def _generate(
    size: Size, along: Rows, floor: float | None, network: Network, rounds: int
) -> Solution:
    """Column generation; floor None: the margin is what is maximised."""
    used = network.a != 0.0
    neurons, signs = network.neurons[used], np.sign(network.a[used])
    value, bound, price = -np.inf, np.inf, np.inf
    for _ in range(rounds):
        h = signs[:, None] * outputs(neurons, X) / sizes(neurons, size)[:, None]
        free = floor is None
        costs = np.append(-(h @ along), -1.0 if free else 0.0)
        rows = np.column_stack([-(h * Y).T, np.full(len(Y), 1.0 if free else 0.0)])
        limits = np.append(np.full(len(Y), 0.0 if free else -floor), 1.0)
        table = np.vstack([rows, np.append(np.ones(len(h)), 0.0)])
        found = linprog(costs, table, limits, bounds=[(0.0, None)] * len(h) + [(None, None)])
        a = found.x[:-1] / max(found.x[:-1].sum(), 1e-300)
        network = Network(signs * a / sizes(neurons, size), neurons)
        value = network.margin if free else float(network(X) @ along)
        mu = np.maximum(-found.ineqlin.marginals[:-1], 0.0)
        mu = mu / mu.sum() if free else mu
        neuron, gain = best_neuron(along + mu * Y, size)
        price = float(mu.sum())
        bound = min(bound, abs(gain) - (0.0 if free else floor * price))
        if bound - value <= 1e-13:
            break
        neurons = np.vstack([neurons, neuron])
        signs = np.append(signs, np.sign(gain))
    return Solution(network, value, bound, price)


def descend(m: int, seed: int, steps: int, rate: float) -> tuple[Network, Rows, Rows]:
    """Train m neurons on ln of the logistic loss, in steps of rate / |ln L|.

    Returns the network, and after every step its size ("l2") and its smallest margin over the rows.
    Every neuron starts with |a| = |(w, b)|, which the flow conserves.
    """
    rng = np.random.default_rng(seed)
    neurons = rng.standard_normal((m, 2)) / np.sqrt(m)
    a = sizes(neurons, "l2") * rng.choice([-1.0, 1.0], m)
    points = np.stack([X, np.ones_like(X)], axis=1)
    size, smallest = np.empty(steps), np.empty(steps)
    for t in range(steps):
        hidden = outputs(neurons, X)
        margins = Y * (a @ hidden)
        size[t], smallest[t] = np.abs(a) @ sizes(neurons, "l2"), margins.min()
        small = np.log(np.maximum(np.logaddexp(0.0, -margins), 1e-300))
        logs = np.where(margins > 30.0, -margins, small)  # ln ln(1 + e^-m) = -m - e^-m / 2
        total = np.logaddexp.reduce(logs)
        pull = Y * np.exp(-np.logaddexp(0.0, margins) - total)
        step = rate / max(1.0, np.log(len(X)) - total)
        da = hidden @ pull
        neurons = neurons + step * a[:, None] * (((hidden > 0.0) * pull) @ points)
        a = a + step * da
    return Network(a, neurons), size, smallest
