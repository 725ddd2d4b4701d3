"""Linear layers: rows (`dense`), columns (`affine`) and any contraction of two arrays (`einsum`)."""

from __future__ import annotations

import jax.numpy as jnp
from jax import Array

from vjpkit.core import rule
from vjpkit.nn.arguments import same_dtype, shaped
from vjpkit.nn.subscripts import exchange, read

# ------------------------------------------------------------------------------------------------ dense


@rule
def dense(x: Array, w: Array, b: Array | None = None) -> Array:
    """A linear layer on rows.

        y[..., o] = Σ_i x[..., i] w[i, o] + b[o]

    Args:    x: [..., i], any float or complex dtype, any leading axes, also none.  w: [i, o] and b: [o], same dtype;
             b is 0 if None.
    Returns: [..., o], same dtype.
    Rule:    ẏ = ẋ W + x Ẇ + ḃ
             x̄ = g Wᵀ     W̄ = Σ xᵀ g     b̄ = Σ g            the sums over the leading axes
             keeps x, w.
    Edges:   none: an empty axis sums to 0.
    Raises:  ShapeError where i or o differs, DtypeError for integers and for two dtypes: nothing is promoted.
    Source:  y = x W + b, differentiated entry by entry.
    """
    same_dtype("dense", x=x, w=w, b=b)
    *_, i = shaped("dense", "x", x, ..., "i")
    _, o = shaped("dense", "w", w, i, "o")
    if b is not None:
        shaped("dense", "b", b, o)
    return _plus(x @ w, b)


def dense_fwd(x, w, b):
    return _plus(x @ w, b), (x, w, None if b is None else ())  # of b only that it is there


def dense_jvp(res, x_dot, w_dot, b_dot):  # ẏ = ẋ W + x Ẇ + ḃ
    x, w, _ = res
    return _plus(x_dot @ w + x @ w_dot, b_dot)


def dense_vjp(res, g):  # x̄ = g Wᵀ    W̄ = Σ xᵀ g    b̄ = Σ g
    x, w, b = res
    rows = tuple(range(x.ndim - 1))
    return g @ w.T, jnp.tensordot(x, g, (rows, rows)), None if b is None else g.sum(rows)


def _plus(y, b):
    return y if b is None else y + b


dense.defrule(fwd=dense_fwd, jvp=dense_jvp, vjp=dense_vjp)


# ----------------------------------------------------------------------------------------------- affine


@rule
def affine(w: Array, x: Array, b: Array) -> Array:
    """A linear layer on columns, as the documents write it.

        z[o, n] = Σ_i w[o, i] x[i, n] + b[o]

    Args:    w: [o, i], any float or complex dtype.  x: [i], or [i, n] with a sample in each column, same dtype.
             b: [o], same dtype, added to every column.
    Returns: [o] or [o, n], same dtype.
    Rule:    ż = Ẇ x + W ẋ + ḃ
             W̄ = g xᵀ     x̄ = Wᵀ g     b̄ = Σ_n g
             keeps w, x.
    Edges:   none: an empty axis sums to 0.
    Raises:  ShapeError where i or o differs, DtypeError for integers and for two dtypes: nothing is promoted.
    Source:  z = W x + b, differentiated entry by entry.
    """
    same_dtype("affine", w=w, x=x, b=b)
    o, i = shaped("affine", "w", w, "o", "i")
    shaped("affine", "x", x, i, *("n" for _ in x.shape[1:2]))
    shaped("affine", "b", b, o)
    return w @ x + _column(b, x)


def affine_fwd(w, x, b):
    return w @ x + _column(b, x), (w, x)


def affine_jvp(res, w_dot, x_dot, b_dot):  # ż = Ẇ x + W ẋ + ḃ
    w, x = res
    return w_dot @ x + w @ x_dot + _column(b_dot, x)


def affine_vjp(res, g):  # W̄ = g xᵀ    x̄ = Wᵀ g    b̄ = Σ_n g
    w, x = res
    columns = tuple(range(1, x.ndim))
    return jnp.tensordot(g, x, (columns, columns)), w.T @ g, g.sum(columns)


def _column(b, x):
    """`b` beside every column of `x`, which may be the only one."""
    return b if x.ndim == 1 else b[:, None]


affine.defrule(fwd=affine_fwd, jvp=affine_jvp, vjp=affine_vjp)


# ----------------------------------------------------------------------------------------------- einsum


@rule(static=("subscripts",))
def einsum(subscripts: str, x: Array, w: Array) -> Array:
    """Einstein's sum of two arrays.

        y[out] = Σ x[x's subscripts] w[w's subscripts]      over every subscript that is not in out

    Args:    subscripts: as `jnp.einsum` reads them, "ij,jk->ik"; also with an ellipsis, or with no output.
             x, w: their axes are the subscripts', any float or complex dtype, the same for both.
    Returns: the axes of out, same dtype.
    Rule:    ẏ = einsum("x,w->out", ẋ, w) + einsum("x,w->out", x, ẇ)
             x̄ = einsum("out,w->x", g, w)     w̄ = einsum("out,x->w", g, x)
             the transpose is the exchange of subscripts; one that x alone has is broadcast back.
             keeps x, w.
    Edges:   a subscript may have 1 entry in one array and n in the other: it is broadcast, and x̄ summed.
    Raises:  ShapeError for subscripts that are malformed, do not fit, or are repeated within one array ("ii");
             DtypeError for integers and for two dtypes: nothing is promoted.
    Source:  ∂y[out] / ∂x[…] = w[…] wherever the subscripts agree.
    """
    same_dtype("einsum", x=x, w=w)
    read(subscripts, x.shape, w.shape)
    return jnp.einsum(subscripts, x, w)


def einsum_fwd(x, w, *, subscripts):
    return jnp.einsum(subscripts, x, w), (x, w)


def einsum_jvp(res, x_dot, w_dot, *, subscripts):  # ẏ = einsum("x,w->out", ẋ, w) + einsum("x,w->out", x, ẇ)
    x, w = res
    return jnp.einsum(subscripts, x_dot, w) + jnp.einsum(subscripts, x, w_dot)


def einsum_vjp(res, g, *, subscripts):  # x̄ = einsum("out,w->x", g, w)    w̄ = einsum("out,x->w", g, x)
    x, w = res
    of_x, of_w, of_out = read(subscripts, x.shape, w.shape)
    return exchange((of_out, g), (of_w, w), (of_x, x)), exchange((of_out, g), (of_x, x), (of_w, w))


einsum.defrule(fwd=einsum_fwd, jvp=einsum_jvp, vjp=einsum_vjp)
