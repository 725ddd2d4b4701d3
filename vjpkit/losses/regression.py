"""Losses of numbers against numbers: squares of the error e = predictions − targets."""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp
from jax import Array

from vjpkit.core import rule
from vjpkit.losses.arguments import wide
from vjpkit.losses.differences import check_pair, difference, difference_transposed, dtypes

# ------------------------------------------------------------------------------------------ squared error


@rule
def squared_error(predictions: Array, targets: Array | None = None) -> Array:
    """The square of each error.

        ℓ = (p − t)²

    Args:    predictions: [...], any float dtype.  targets: the same shape, any real dtype; None stands for zeros.
    Returns: [...], the promoted dtype.
    Units:   the square of the targets' unit, per entry, not averaged.
    Rule:    with e = p − t:    ℓ̇ = 2 e (ṗ − ṫ)
             p̄ = 2 e g     t̄ = −2 e g
             keeps e, one array, where the elementwise door would keep both arguments.
    Edges:   none; ∞ − ∞ is NaN, as in optax.
    Raises:  DtypeError if predictions are not float or targets not real; ShapeError if the shapes differ, for a
             square of [n, 1] against [n] is [n, n].
    Source:  optax.losses.squared_error.
    """
    check_pair("squared_error", predictions, targets)
    return jnp.square(difference(predictions, targets))


def squared_error_fwd(predictions: Array, targets: Array | None) -> tuple[Array, Any]:
    e = difference(predictions, targets)
    return jnp.square(e), (e, dtypes(predictions, targets))


def squared_error_jvp(res: Any, predictions_dot: Array, targets_dot: Array | None) -> Array:  # 2 e ė
    e, _ = res
    return 2 * e * difference(predictions_dot, targets_dot)


def squared_error_vjp(res: Any, g: Array) -> tuple[Array, Array | None]:  # p̄ = 2 e g    t̄ = −2 e g
    e, kinds = res
    return difference_transposed(2 * e * g, kinds)


squared_error.defrule(fwd=squared_error_fwd, jvp=squared_error_jvp, vjp=squared_error_vjp)


# ------------------------------------------------------------------------------------------------ l2 loss


@rule
def l2_loss(predictions: Array, targets: Array | None = None) -> Array:
    """Half the square of each error, so that the slope is the error itself.

        ℓ = ½ (p − t)²

    Args:    predictions: [...], any float dtype.  targets: the same shape, any real dtype; None stands for zeros.
    Returns: [...], the promoted dtype.
    Units:   the square of the targets' unit, per entry, not averaged.
    Rule:    with e = p − t:    ℓ̇ = e (ṗ − ṫ)
             p̄ = e g     t̄ = −e g
             keeps e.
    Edges:   none; ∞ − ∞ is NaN, as in optax.
    Raises:  DtypeError if predictions are not float or targets not real; ShapeError if the shapes differ.
    Source:  optax.losses.l2_loss; the ½ as in Bishop, Pattern Recognition and Machine Learning.
    """
    check_pair("l2_loss", predictions, targets)
    return 0.5 * jnp.square(difference(predictions, targets))


def l2_loss_fwd(predictions: Array, targets: Array | None) -> tuple[Array, Any]:
    e = difference(predictions, targets)
    return 0.5 * jnp.square(e), (e, dtypes(predictions, targets))


def l2_loss_jvp(res: Any, predictions_dot: Array, targets_dot: Array | None) -> Array:  # e ė
    e, _ = res
    return e * difference(predictions_dot, targets_dot)


def l2_loss_vjp(res: Any, g: Array) -> tuple[Array, Array | None]:  # p̄ = e g    t̄ = −e g
    e, kinds = res
    return difference_transposed(e * g, kinds)


l2_loss.defrule(fwd=l2_loss_fwd, jvp=l2_loss_jvp, vjp=l2_loss_vjp)


# -------------------------------------------------------------------------------- half mean squared error


@rule
def half_mean_squared_error(predictions: Array, targets: Array) -> Array:
    """Half the mean of the squared errors: one number.

        C = (1/N) Σᵢ ½ (pᵢ − tᵢ)²        N the number of entries

    For one sample, a vector, N is the size of the output layer and C the textbook cost. For a batch the mean
    over every entry is the mean over the samples of each sample's C, whether the samples are rows or columns;
    each sample's own C is jax.vmap of this.

    Args:    predictions: [...], any float dtype.  targets: the same shape, any real dtype.
    Returns: [], the promoted dtype; summed in float32 or wider.
    Units:   the square of the targets' unit, averaged over all entries.
    Rule:    with e = p − t:    Ċ = (1/N) Σ e (ṗ − ṫ)
             p̄ = g (p − t) / N     t̄ = −p̄
             keeps e. The 1/N belongs to the slope: without it every gradient is N times too long.
    Edges:   no entries: NaN, as the mean of nothing.
    Raises:  DtypeError if predictions are not float or targets not real; ShapeError if the shapes differ.
    Source:  the half mean square error of a network's output layer; ½ jnp.mean((p − t)²).
    """
    check_pair("half_mean_squared_error", predictions, targets)
    e = difference(predictions, targets)
    return (0.5 * jnp.mean(jnp.square(wide(e)))).astype(e.dtype)


def half_mean_squared_error_fwd(predictions: Array, targets: Array) -> tuple[Array, Any]:
    e = difference(predictions, targets)
    return (0.5 * jnp.mean(jnp.square(wide(e)))).astype(e.dtype), (e, dtypes(predictions, targets))


def half_mean_squared_error_jvp(res: Any, predictions_dot: Array, targets_dot: Array | None) -> Array:  # (1/N) Σ e ė
    e, _ = res
    return jnp.mean(wide(e) * difference(predictions_dot, targets_dot)).astype(e.dtype)


def half_mean_squared_error_vjp(res: Any, g: Array) -> tuple[Array, Array | None]:  # p̄ = g e / N    t̄ = −p̄
    e, kinds = res
    return difference_transposed(wide(e) * (g / e.size), kinds)


half_mean_squared_error.defrule(
    fwd=half_mean_squared_error_fwd, jvp=half_mean_squared_error_jvp, vjp=half_mean_squared_error_vjp
)
