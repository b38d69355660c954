# SPDX-License-Identifier: BSD-3-Clause
"""Medians, their intervals, ratios of medians, and least squares: few lines each, no library.

The interval of a median is that of order statistics (distribution-free, so no assumption on the noise): the closest pair
of samples, as many from either end, whose coverage is at least 95 %. With fewer than six samples not even the smallest and
the largest reach that; then these two are given, with the coverage they have. A ratio of two medians has a percentile
bootstrap with a fixed seed, so that the same samples give the same interval.
"""

from __future__ import annotations

import math
import random
import statistics
from typing import Sequence

LEVEL = 0.95
BOOTSTRAP_SEED = 20260105
BOOTSTRAP_SAMPLES = 4000


def median_interval(values: Sequence[float], level: float = LEVEL) -> dict:
    """Interval of the median by order statistics: low, high, coverage."""
    ordered = sorted(values)
    n = len(ordered)

    def coverage(cut: int) -> float:
        # P(median between the cut-th sample from below and from above), cut from 0
        return 1 - 2 * sum(math.comb(n, i) for i in range(cut + 1)) / 2**n

    cut = 0
    while cut + 1 < n / 2 and coverage(cut + 1) >= level:
        cut += 1
    return {
        "low": ordered[cut],
        "high": ordered[n - 1 - cut],
        "coverage": round(max(0.0, coverage(cut)), 5),
        "method": "order statistics",
    }


def summary(values: Sequence[float]) -> dict:
    """All samples and what describes them."""
    return {
        "samples": list(values),
        "n": len(values),
        "median": statistics.median(values),
        "min": min(values),
        "max": max(values),
        "interval": median_interval(values),
    }


def ratio(above: Sequence[float], below: Sequence[float], level: float = LEVEL) -> dict:
    """median(above) / median(below) with a percentile bootstrap interval."""
    rng = random.Random(BOOTSTRAP_SEED)
    found = []
    for _ in range(BOOTSTRAP_SAMPLES):
        a = statistics.median(rng.choices(above, k=len(above)))
        b = statistics.median(rng.choices(below, k=len(below)))
        found.append(a / b)
    found.sort()
    tail = (1 - level) / 2
    return {
        "value": statistics.median(above) / statistics.median(below),
        "low": found[int(tail * len(found))],
        "high": found[min(len(found) - 1, math.ceil((1 - tail) * len(found)) - 1)],
        "method": f"percentile bootstrap, {BOOTSTRAP_SAMPLES} resamples, seed {BOOTSTRAP_SEED}",
    }


# --- least squares


def student_t(level: float, freedom: int) -> float:
    """The two-sided quantile of Student's t: P(|T| < t) = level. By bisection over Simpson's rule."""
    if freedom < 1:
        return math.inf
    scale = math.exp(math.lgamma((freedom + 1) / 2) - math.lgamma(freedom / 2)) / math.sqrt(freedom * math.pi)

    def mass(t: float, steps: int = 2000) -> float:
        h = t / steps
        total = 0.0
        for i in range(steps + 1):
            weight = 1 if i in (0, steps) else 4 if i % 2 else 2
            total += weight * (1 + (i * h) ** 2 / freedom) ** (-(freedom + 1) / 2)
        return 2 * scale * total * h / 3

    low, high = 0.0, 1000.0
    for _ in range(60):
        middle = (low + high) / 2
        if mass(middle) < level:
            low = middle
        else:
            high = middle
    return (low + high) / 2


def _invert(matrix: list[list[float]]) -> list[list[float]]:
    """Gauss-Jordan with pivoting; ValueError if it is singular."""
    n = len(matrix)
    work = [row[:] + [float(i == j) for j in range(n)] for i, row in enumerate(matrix)]
    for column in range(n):
        pivot = max(range(column, n), key=lambda r: abs(work[r][column]))
        if abs(work[pivot][column]) < 1e-9:
            raise ValueError("the terms cannot be told apart by these runs")
        work[column], work[pivot] = work[pivot], work[column]
        divisor = work[column][column]
        work[column] = [v / divisor for v in work[column]]
        for r in range(n):
            if r != column and work[r][column]:
                factor = work[r][column]
                work[r] = [v - factor * p for v, p in zip(work[r], work[column])]
    return [row[n:] for row in work]


def least_squares(names: Sequence[str], rows: Sequence[Sequence[float]], values: Sequence[float]) -> dict:
    """Fit values = sum of coefficient x term, weighted by 1 / value, as the noise of a time grows with it.

    Args:
        names: Of the terms.
        rows: The terms of each observation.
        values: What was observed, all above 0.

    Returns:
        Coefficients with standard error and 95 % interval, relative residuals, and R squared of the unweighted values.
    """
    n, p = len(rows), len(names)
    if n <= p:
        raise ValueError(f"{n} observations for {p} terms")
    weighted = [[term / value for term in row] for row, value in zip(rows, values)]
    # Columns of one size, or the inverse is all rounding.
    scale = [math.sqrt(sum(row[j] ** 2 for row in weighted)) or 1.0 for j in range(p)]
    x = [[row[j] / scale[j] for j in range(p)] for row in weighted]
    normal = [[sum(row[i] * row[j] for row in x) for j in range(p)] for i in range(p)]
    inverse = _invert(normal)
    right = [sum(row[i] for row in x) for i in range(p)]
    scaled = [sum(inverse[i][j] * right[j] for j in range(p)) for i in range(p)]
    residuals = [1 - sum(c * v for c, v in zip(scaled, row)) for row in x]
    variance = sum(r * r for r in residuals) / (n - p)
    t = student_t(LEVEL, n - p)
    terms = {}
    for j, name in enumerate(names):
        value, error = scaled[j] / scale[j], math.sqrt(variance * inverse[j][j]) / scale[j]
        terms[name] = {"value": value, "error": error, "low": value - t * error, "high": value + t * error}
    fitted = [sum(terms[name]["value"] * v for name, v in zip(names, row)) for row in rows]
    mean = sum(values) / n
    spread = sum((v - mean) ** 2 for v in values)
    return {
        "terms": terms,
        "observations": n,
        "fitted": fitted,
        "relative_residuals": residuals,
        "worst_relative_residual": max(abs(r) for r in residuals),
        "r_squared": 1 - sum((v - f) ** 2 for v, f in zip(values, fitted)) / spread if spread else None,
        "method": "least squares weighted by 1 / time; 95 % intervals from Student's t",
    }
