"""The error e = predictions − targets, which a loss of numbers against numbers is a function of."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jax import Array

from vjpkit.losses.arguments import FLOAT, REAL, check_alike, check_dtype


@jax.tree_util.register_static
class Dtypes(tuple):
    """The dtypes of predictions and targets, which their cotangents take; None for targets without one."""


def check_pair(function: str, predictions: Array, targets: Array | None) -> None:
    """Named errors for predictions and targets that do not fit each other."""
    check_dtype(function, "predictions", predictions, FLOAT)
    check_dtype(function, "targets", targets, REAL)
    check_alike(function, {"predictions": predictions, "targets": targets})  # [n, 1] − [n] would be [n, n] unseen


def difference(predictions: Array, targets: Array | None) -> Array:
    """e = a − y, or a without targets. Linear, so it gives ė = ȧ − ẏ from tangents too."""
    return predictions if targets is None else predictions - targets


def dtypes(predictions: Array, targets: Array | None) -> Dtypes:
    """What `difference_transposed` answers in."""
    if targets is None or not jnp.issubdtype(targets.dtype, jnp.floating):
        return Dtypes((predictions.dtype, None))
    return Dtypes((predictions.dtype, targets.dtype))


def difference_transposed(e_bar: Array, dtypes: Dtypes) -> tuple[Array, Array | None]:
    """ē ↦ (ē, −ē), each in its argument's dtype."""
    predictions, targets = dtypes
    return e_bar.astype(predictions), None if targets is None else -e_bar.astype(targets)
