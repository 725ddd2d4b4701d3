"""The cases of embeddings: shapes, special points, and each value by NumPy."""

from __future__ import annotations

import numpy as np

from vjpkit.core import Case, Special
from vjpkit.core.draw import integers, normal
from vjpkit.nn.embeddings import attend, embed

NAN = np.nan
T = np.array([[1.0, 2.0], [3.0, -5.0], [7.0, 11.0]])

CASES: tuple[Case, ...] = (
    Case(embed, (integers(2, 7, high=5, low=-5), normal(5, 3)), special=(
        Special((np.array([0, 2, 0, 0, -1]), T), "ids that repeat, one of them from the end", T[[0, 2, 0, 0, 2]],
                lambda g: (None, np.stack([g[0] + g[2] + g[3], 0 * g[0], g[1] + g[4]]))),
        Special((np.array([1, 3, -3, -4]), T), "ids out of range: NaN, and nothing of g",
                np.array([T[1], [NAN, NAN], T[0], [NAN, NAN]]),
                lambda g: (None, np.stack([g[2], g[0], 0 * g[0]]))),
    ), reference=lambda ids, table: table[ids]),
    Case(embed, (integers(13, high=3), normal(307, 2)), reference=lambda ids, table: table[ids]),
    Case(attend, (normal(2, 5, 3), normal(7, 3)), reference=lambda x, table: np.einsum("abd,vd->abv", x, table)),
    Case(attend, (normal(3), normal(7, 3)), reference=lambda x, table: table @ x),
)  # fmt: skip
