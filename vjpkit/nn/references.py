"""The values of this package's rules by NumPy and SciPy, in float64."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy import special


def softplus_(x: np.ndarray) -> np.ndarray:
    return np.logaddexp(x, 0)


def silu_(x: np.ndarray) -> np.ndarray:
    return x * special.expit(x)


def mish_(x: np.ndarray) -> np.ndarray:
    return x * np.tanh(softplus_(x))


def gelu_(x: np.ndarray, approximate: bool) -> np.ndarray:
    if approximate:
        return x * special.expit(np.sqrt(8 / np.pi) * (x + 0.044715 * x**3))
    return x * special.ndtr(x)


def elu_(x: np.ndarray, alpha: Any = 1.0) -> np.ndarray:
    return np.where(x > 0, x, alpha * np.expm1(np.minimum(x, 0)))


def celu_(x: np.ndarray, alpha: Any = 1.0) -> np.ndarray:
    return np.where(x > 0, x, alpha * np.expm1(np.minimum(x, 0) / alpha))


def leaky_(x: np.ndarray, negative_slope: Any = 0.01) -> np.ndarray:
    return np.where(x >= 0, x, negative_slope * x)


def squareplus_(x: np.ndarray, b: Any = 4) -> np.ndarray:
    return (x + np.sqrt(x * x + b)) / 2


def softmax_(x: np.ndarray, where: Any, axis: Any) -> np.ndarray:
    return special.softmax(x if where is None else np.where(where, x, -np.inf), axis)


def log_softmax_(x: np.ndarray, where: Any, axis: Any) -> np.ndarray:
    y = special.log_softmax(x if where is None else np.where(where, x, -1e9), axis)
    return y if where is None else np.where(where, y, -np.inf)


def logsumexp_(a: np.ndarray, b: Any, where: Any, axis: Any, keepdims: bool = False) -> np.ndarray:
    factors = (
        None if b is None and where is None else np.where(True if where is None else where, 1 if b is None else b, 0)
    )
    return special.logsumexp(a, axis, factors, keepdims)
