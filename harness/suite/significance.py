"""Intervals and tests for small suites; exact where an exact one exists.

    wilson      interval of a share (Wilson 1927); sound near 0 and 1 and for a handful of cases
    mcnemar     exact paired test (McNemar 1947): are changes in one direction more frequent than a fair coin gives
    fisher      exact one-sided test of two shares (Fisher 1922): did this case pass less often than before
    bootstrap   percentile interval of a weighted mean over cases (Efron 1979), seeded
    sign_flip   paired permutation test of the mean difference; exact up to 2**12 patterns, seeded sampling above

All are deterministic: the same results give the same interval on every machine. Not supported: parametric tests, since
scores are mostly 0 and never normally distributed.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist

__all__ = ["Interval", "bootstrap", "fisher", "mcnemar", "sign_flip", "wilson"]

BOOTSTRAP_ROUNDS = 1000
SEED = 20_240_229
_BLOCK = 250
"""Sign patterns that are drawn at once; 5,000 cases then take 10 MB."""


@dataclass(frozen=True, slots=True)
class Interval:
    """An estimate with its interval."""

    value: float
    low: float
    high: float
    n: int
    """Cases (or answers) that it is computed from."""

    @property
    def estimate(self) -> float | None:
        """The value; None where nothing was measured."""
        return self.value if self.n else None


def wilson(hits: int, n: int, confidence: float = 0.95) -> Interval:
    """Share ``hits / n`` with its Wilson score interval; 0..1 where ``n`` is 0."""
    if n == 0:
        return Interval(0.0, 0.0, 1.0, 0)
    z = NormalDist().inv_cdf(0.5 + confidence / 2)
    share = hits / n
    scale = 1 + z * z / n
    middle = (share + z * z / (2 * n)) / scale
    half = z * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n)) / scale
    # At the ends the formula gives exactly 0 and 1, up to rounding.
    low = 0.0 if hits == 0 else max(0.0, middle - half)
    high = 1.0 if hits == n else min(1.0, middle + half)
    return Interval(share, low, high, n)


def mcnemar(broken: int, fixed: int) -> float:
    """One-sided exact p-value of at least ``broken`` changes that way, if both ways were equally likely."""
    n = broken + fixed
    # C(n, k + 1) out of C(n, k), because thousands of binomials of large numbers take seconds.
    ways, chosen = 0, math.comb(n, broken)
    for k in range(broken, n + 1):
        ways += chosen
        chosen = chosen * (n - k) // (k + 1)
    return float(ways / 2**n)


def fisher(passes_before: int, n_before: int, passes_after: int, n_after: int) -> float:
    """One-sided exact p-value of at most ``passes_after`` passes, given the margins: that the second share is lower."""
    passes = passes_before + passes_after
    minimum = max(0, passes - n_before)
    total = math.comb(n_before + n_after, passes)
    if passes == 0:
        return 1.0
    ways = sum(math.comb(n_after, k) * math.comb(n_before, passes - k) for k in range(minimum, passes_after + 1))
    return ways / total


def bootstrap(
    values: Sequence[float],
    weights: Sequence[float] | None = None,
    confidence: float = 0.95,
    rounds: int = BOOTSTRAP_ROUNDS,
) -> Interval:
    """Weighted mean with its percentile bootstrap interval over cases; NaN without values.

    Cases with the same value and weight are drawn together (multinomial), which keeps large suites of zeros cheap.
    """
    n = len(values)
    if n == 0:
        return Interval(math.nan, math.nan, math.nan, 0)
    counts = Counter(zip(values, weights or [1.0] * n, strict=True))
    total = sum(w * c for (_, w), c in counts.items())
    mean = sum(v * w * c for (v, w), c in counts.items()) / total if total else 0.0
    if len(counts) == 1 or not math.isfinite(mean):
        return Interval(mean, mean, mean, n)
    import numpy as np

    kinds = np.array(sorted(counts))
    draws = np.random.default_rng(SEED).multinomial(n, [counts[v, w] / n for v, w in kinds.tolist()], rounds)
    bottoms = draws @ kinds[:, 1]
    means = np.divide(draws @ (kinds[:, 0] * kinds[:, 1]), bottoms, out=np.zeros(rounds), where=bottoms > 0)
    tail = (1 - confidence) / 2
    low, high = np.quantile(means, [tail, 1 - tail]).tolist()
    return Interval(mean, low, high, n)


def sign_flip(differences: Sequence[float], rounds: int = 4000) -> float:
    """One-sided p-value that the mean difference is above 0: the share of sign patterns with as large a sum."""
    moved = [d for d in differences if d != 0.0]
    n = len(moved)
    if n == 0:
        return 1.0
    observed = sum(moved)
    # Sums in another order differ in their last bits; the observed pattern must count itself.
    reached = observed - 1e-9 * sum(map(abs, moved))
    if n <= 12:
        sums = [0.0]
        for d in moved:
            sums = [s + d for s in sums] + [s - d for s in sums]
        return sum(s >= reached for s in sums) / len(sums)
    import numpy as np

    draw, sizes, hits = np.random.default_rng(SEED), np.array(moved), 0
    for start in range(0, rounds, _BLOCK):
        block = draw.integers(0, 256, (min(_BLOCK, rounds - start), -(-n // 8)), np.uint8)
        plus = np.unpackbits(block, axis=1, count=n)
        hits += int(np.count_nonzero(2.0 * (plus @ sizes) - observed >= reached))
    return (hits + 1) / (rounds + 1)
