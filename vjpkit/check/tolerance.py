"""When two right computations may differ, entry by entry, and how small a wrong entry would still be seen.

    |got − want|ᵢ  ≤  tol · ( 32 · spreadᵢ  +  16 eps · max(|got|, |want|)ᵢ )  +  residue

`spread` is what rounding moves each of the two computations by (`rounding.py`); the second term is the
rounding of the answer itself; the residue takes an exact zero and 2¹⁰ eps² of the leaf's largest entry for the
same, and what the dtype cannot represent for zero. No term is an absolute tolerance, none grows with the array.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import jax.numpy as jnp
import numpy as np

SAFETY = 32.0
LAST_PLACES = 16.0


def bound(
    got: np.ndarray, want: np.ndarray, spread: np.ndarray, dtype: Any, tol: float = 1.0, scale: float = 0.0
) -> np.ndarray:
    """The largest difference that rounding explains, in a computation in `dtype`.

    Args:    scale: the size of the derivative in other directions, where that is larger than in this one.
    """
    info = jnp.finfo(dtype)
    eps = float(info.eps)
    with np.errstate(all="ignore"):
        larger = np.fmax(finite(got), finite(want))
        explained = SAFETY * np.nan_to_num(spread, nan=0.0, posinf=0.0) + LAST_PLACES * eps * larger
    residue = min(2.0**10 * eps, 2.0**-20) * eps * float(np.max(larger, initial=scale))
    underflow = float(info.smallest_subnormal if info.bits == 16 and info.nmant > 7 else info.tiny)
    return tol * explained + residue + SAFETY * underflow


def finite(a: np.ndarray) -> np.ndarray:
    """|a|, and zero where that is not finite."""
    return np.where(np.isfinite(a), np.abs(a), 0.0)


@dataclass(frozen=True)
class Comparison:
    """What the rule says of one leaf, what the truth says, and what they may differ by.

    `exact`: where the truth is right also if it is not finite: there an infinity must be the same one. A derivative
    that is not finite is rather where autodiff broke down.
    """

    got: np.ndarray
    want: np.ndarray
    bound: np.ndarray
    exact: np.ndarray | bool = False

    @property
    def difference(self) -> np.ndarray:
        """|got − want|, zero where both are the same infinity, or neither is finite."""
        with np.errstate(all="ignore"):
            neither = np.where(
                self.exact, np.isnan(self.got) & np.isnan(self.want), ~np.isfinite(self.got) & ~np.isfinite(self.want)
            )
            return np.where((self.got == self.want) | neither, 0.0, np.abs(self.got - self.want))

    @property
    def judged(self) -> np.ndarray:
        """Where the truth decides."""
        return np.isfinite(self.want) | self.exact

    @property
    def wrong(self) -> np.ndarray:
        """Where they differ by more than the bound; a difference that is not finite is one."""
        return ~(self.difference <= self.bound)

    @property
    def excess(self) -> np.ndarray:
        """Difference over bound, for finding the worst entry."""
        with np.errstate(all="ignore"):
            ratio = self.difference / np.fmax(self.bound, np.finfo(np.float64).tiny)
        return np.where(np.isnan(ratio), np.inf, ratio)

    @property
    def worst(self) -> tuple[int, ...]:
        """The index of the worst entry; of the largest one where no entry differs at all."""
        if self.got.size == 0:
            return ()
        rank = self.excess if self.difference.any() else finite(self.want)
        return tuple(int(i) for i in np.unravel_index(int(np.argmax(rank)), self.got.shape))

    def relative(self, what: np.ndarray) -> float | None:
        """`what` at the worst entry, over the larger of the two values there; None where both are zero."""
        if self.got.size == 0:
            return None
        i = self.worst
        size = max(float(finite(self.got[i])), float(finite(self.want[i])))
        return float(what[i]) / size if size else None


@dataclass
class Tally:
    """All comparisons of one leaf in one check: the worst, and the power that they have together."""

    worst: Comparison | None = None
    count: int = 0
    _seen: np.ndarray | None = field(default=None, repr=False)

    def add(self, c: Comparison) -> None:
        self.count += 1
        if self.worst is None or np.max(c.excess, initial=0.0) > np.max(self.worst.excess, initial=0.0):
            self.worst = c
        with np.errstate(all="ignore"):
            visible = np.where((c.want != 0) & np.isfinite(c.want), c.bound / np.abs(c.want), np.inf)
        self._seen = (
            visible if self._seen is None or self._seen.shape != visible.shape else np.fmin(self._seen, visible)
        )

    @property
    def power(self) -> float | None:
        """The relative error that would have been seen in any one entry; None where every entry is zero."""
        seen = self._visible
        return float(np.max(seen)) if seen.size else None

    @property
    def blind(self) -> int:
        """How many entries are not zero, and yet so small beside their rounding that no error would be seen."""
        return 0 if self._seen is None else int(np.sum(np.isfinite(self._seen) & (self._seen >= 1)))

    @property
    def _visible(self) -> np.ndarray:
        return np.zeros(0) if self._seen is None else self._seen[self._seen < 1]
