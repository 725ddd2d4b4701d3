"""Arrays for examples, the same for the same shape."""

from __future__ import annotations

import numpy as np


def drawn(*shape: int) -> np.ndarray:
    return np.random.default_rng(shape).standard_normal(shape)
