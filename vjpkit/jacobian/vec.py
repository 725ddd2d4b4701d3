"""Matrices as vectors, in both orders, and the identities of the Kronecker product that follow.

`vec="C"` lays rows one after the other, as `reshape` does; `vec="F"` lays columns, as most books do.

    Z = W X       vec F:  dvec(Z)/dvec(W) = Xᵀ ⊗ I     dvec(Z)/dvec(X) = I ⊗ W
                  vec C:  dvec(Z)/dvec(W) = I ⊗ Xᵀ     dvec(Z)/dvec(X) = W ⊗ I
"""

from __future__ import annotations

from typing import Any, Literal

import jax.numpy as jnp
import numpy as np

from vjpkit.core import ShapeError
from vjpkit.jacobian.operators import Dense, Identity
from vjpkit.jacobian.patterned import Kronecker, Selection

Order = Literal["C", "F"]


def vec(x: Any, order: Order = "F") -> Any:
    """The entries of x as a vector."""
    return jnp.ravel(x, order=_order(order))


def unvec(v: Any, shape: tuple[int, ...], order: Order = "F") -> Any:
    """The array of that shape of which v is the vec."""
    return jnp.reshape(v, shape, order=_order(order))


def commutation(m: int, n: int, order: Order = "F") -> Selection:
    """K with K vec(A) = vec(Aᵀ) for A [m, n]; K_mnᵀ = K_nm."""
    places = np.arange(m * n).reshape((m, n), order=_order(order))
    return Selection(places.T.ravel(order=order), m * n)


def matmul_jacobian(w: Any, x: Any, wrt: Literal["w", "x"], order: Order = "F") -> Kronecker:
    """The Jacobian of Z = W X in one of its factors, as a Kronecker product.

    Raises:  ShapeError where W and X do not fit; ValueError for another factor or order.
    """
    w, x = jnp.asarray(w), jnp.asarray(x)
    if w.ndim != 2 or x.ndim != 2 or w.shape[1] != x.shape[0]:
        raise ShapeError(f"matmul_jacobian: expected w [k, d] and x [d, n], got {list(w.shape)} and {list(x.shape)}")
    if wrt not in ("w", "x"):
        raise ValueError(f"matmul_jacobian: expected wrt 'w' or 'x', got {wrt!r}")
    factors = (Dense(x.T), Identity(w.shape[0])) if wrt == "w" else (Identity(x.shape[1]), Dense(w))
    return Kronecker(*(factors if _order(order) == "F" else factors[::-1]))


def _order(order: str) -> Any:
    if order not in ("C", "F"):
        raise ValueError(f"vec: expected order 'C' (rows) or 'F' (columns), got {order!r}")
    return order
