"""Einstein's subscripts: read, and exchanged."""

from __future__ import annotations

import string

import jax
import jax.numpy as jnp

from vjpkit.core import ShapeError
from vjpkit.core.broadcasting import Shape, unbroadcast


def read(subscripts: str, x_shape: Shape, w_shape: Shape) -> tuple[str, str, str]:
    """One letter for each axis of x, of w and of the output: an ellipsis and a missing output written out.

    Raises:  ShapeError where they are malformed, do not fit the shapes, or repeat a letter within one array.
    """
    text = subscripts.replace(" ", "")
    inputs, arrow, out = text.partition("->")
    if inputs.count(",") != 1:
        raise _error(subscripts, "expected two arrays, as in 'ij,jk->ik'", text)
    x, w = inputs.split(",")
    spare = "".join(c for c in string.ascii_letters if c not in text)
    dots = max((len(s) - len(t.replace("...", "")) for s, t in ((x_shape, x), (w_shape, w)) if "..." in t), default=0)
    x, w = (_written_out(subscripts, t, len(s), spare[:dots]) for s, t in ((x_shape, x), (w_shape, w)))
    if arrow:
        out = out.replace("...", spare[:dots], 1)
    else:
        out = spare[:dots] + "".join(sorted(c for c in set(x) ^ set(w) if c not in spare[:dots]))
    if len(set(out)) != len(out) or set(out) - set(x + w):
        raise _error(subscripts, "expected in the output only letters of the arrays, each once", repr(out))
    _check_sizes(subscripts, (x, x_shape), (w, w_shape))
    return x, w, out


def exchange(out: tuple[str, jax.Array], other: tuple[str, jax.Array], mine: tuple[str, jax.Array]) -> jax.Array:
    """The cotangent of `mine` = einsum("out,other->mine", g, other), each given by its letters and its array.

    A letter that only `mine` has was summed there: its cotangent is the same along it. A letter of which
    `mine` has one entry was broadcast: its cotangent is the sum.
    """
    letters, shape = mine[0], mine[1].shape
    shared = "".join(c for c in letters if c in out[0] + other[0])
    # The last axis of a product is its second factor's, which for jnp.einsum is the first: so it need not be moved.
    first, second = sorted((out, other), key=lambda factor: letters[-1:] not in factor[0])
    bar = jnp.einsum(f"{first[0]},{second[0]}->{shared}", first[1], second[1])
    bar = jnp.expand_dims(bar, [i for i, c in enumerate(letters) if c not in shared])
    return unbroadcast(jnp.broadcast_to(bar, jnp.broadcast_shapes(bar.shape, shape)), shape)


def _written_out(subscripts: str, letters: str, ndim: int, dots: str) -> str:
    """`letters` with the ellipsis replaced by the last of `dots`, as many as the array has further axes."""
    if "..." in letters:
        further = ndim - len(letters.replace("...", "", 1))
        letters = letters.replace("...", dots[len(dots) - further :] if further > 0 else "", 1)
    if len(letters) != ndim:
        raise _error(subscripts, f"expected {len(letters)} axes for {letters!r}", f"an array of {ndim}")
    if not all(c in string.ascii_letters for c in letters):
        raise _error(subscripts, "expected letters", repr(letters))
    if len(set(letters)) != len(letters):
        raise _error(subscripts, "expected each letter once in an array (take jnp.diagonal first)", repr(letters))
    return letters


def _check_sizes(subscripts: str, x: tuple[str, Shape], w: tuple[str, Shape]) -> None:
    sizes = dict(zip(*x, strict=True))
    for c, n in zip(*w, strict=True):
        if sizes.get(c, n) != n and 1 not in (sizes[c], n):
            raise _error(subscripts, f"expected one size for {c!r}", f"{sizes[c]} in x and {n} in w")


def _error(subscripts: str, expected: str, got: str) -> ShapeError:
    return ShapeError(f"einsum: argument subscripts {subscripts!r} does not fit: {expected}, got {got}")
