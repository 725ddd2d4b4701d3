"""Embeddings: rows of a table that ids ask for (`embed`), and the table again as the output layer (`attend`)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array, lax

from vjpkit.core import rule
from vjpkit.nn.arguments import integer, same_dtype, shaped
from vjpkit.nn.precision import wide

# ------------------------------------------------------------------------------------------------ embed


@rule
def embed(ids: Array, table: Array) -> Array:
    """The rows of a table that ids ask for.

        y[n, :] = T[ids[n], :]

    Args:    ids: [...], any integer dtype; negative ones count from the end.  table: T, [v, d], any float or complex
             dtype.
    Returns: [..., d], the dtype of table.
    Rule:    ẏ[n] = Ṫ[ids[n]]     T̄[k] = Σ g[n] over the n with ids[n] = k
             linear in T; keeps ids. Half precision is added up in float32 and rounded once; the order of the additions
             is fixed on every platform.
    Wins:    1000 times one id in bfloat16: an error of 0.3 % in T̄ (autodiff adds in bfloat16: 50 %).
    Edges:   an id outside [−v, v): a row of NaN, as jnp.take, and T̄ gets nothing of it.
             A g that is not finite spreads over all of T̄ where a table of few rows is not on a CPU.
    Raises:  DtypeError unless ids are integers and table is float or complex; ShapeError unless table has two axes.
    Source:  jnp.take; torch.nn.functional.embedding.
    """
    integer("embed", ids=ids)
    same_dtype("embed", table=table)
    shaped("embed", "table", table, "v", "d")
    return jnp.take(table, ids, axis=0)


@jax.tree_util.register_static
@dataclass(frozen=True)
class _Table:
    """What the transpose must know of the table."""

    rows: int
    dtype: Any


def embed_fwd(ids, table):
    return embed.primal(ids, table), (ids, _Table(len(table), table.dtype))


def embed_jvp(res, ids_dot, table_dot):  # ẏ[n] = Ṫ[ids[n]]
    ids, _ = res
    return jnp.take(table_dot, ids, axis=0, mode="fill", fill_value=0)


def embed_vjp(res, g):  # T̄[k] = Σ g[n] over the n with ids[n] = k
    ids, table = res
    v = table.rows
    k = jnp.take(jnp.arange(v), ids.reshape(-1), mode="fill", fill_value=v)  # v where there is no such row
    g = g.reshape(-1, g.shape[-1])
    by_size = _by_product if v <= FEW else _by_sorting
    sums = lax.platform_dependent(k, g, cpu=_added(_one_by_one, v), default=_added(by_size, v))
    return None, sums.astype(table.dtype)


embed.defrule(fwd=embed_fwd, jvp=embed_jvp, vjp=embed_vjp)

# Three programs for Σ g[n] over the n with k[n] = k, [v, d] in float32 at least; k[n] = v counts nowhere.
# A CPU adds one by one in order, which is 2 to 100 times as fast there as either other, also for 16 rows. On a GPU
# rows that meet in a scatter are added in any order: there every addition has its place in a product or a tree.
FEW = 256  # rows of a table for which a product costs an accelerator no more than a few passes over g


def _added(program, v):
    return lambda k, g: program(k, g, v)


def _one_by_one(k, g, v):
    g = wide(g)
    return jnp.zeros((v, g.shape[-1]), g.dtype).at[k].add(g, mode="drop")


def _by_product(k, g, v):
    one_hot = jax.nn.one_hot(k, v, dtype=g.dtype)
    g = jnp.where(k[:, None] < v, g, 0)  # 0 · NaN would be NaN
    return jnp.einsum("nk,nd->kd", one_hot, g, precision="highest", preferred_element_type=wide(g).dtype)


def _by_sorting(k, g, v):
    """A scan over sorted rows that begins anew at each k; the last sum of each is the answer."""
    order = jnp.argsort(k)
    k, g = k[order], wide(g)[order]
    first = k != jnp.roll(k, 1).at[:1].set(-1)
    _, sums = lax.associative_scan(_from_the_first, (first, g))
    elsewhere = v + 1 + jnp.arange(len(k), dtype=k.dtype)  # no place twice
    place = jnp.where(jnp.roll(first, -1).at[-1:].set(True), k, elsewhere)
    return jnp.zeros((v, g.shape[-1]), g.dtype).at[place].set(sums, mode="drop", unique_indices=True)


def _from_the_first(left, right):
    (a, s), (b, t) = left, right
    return a | b, jnp.where(b[:, None], t, s + t)


# ----------------------------------------------------------------------------------------------- attend


@rule
def attend(x: Array, table: Array) -> Array:
    """The output layer of a model whose input layer is `embed` of the same table: logits.

        y[..., k] = Σ_d x[..., d] T[k, d]

    Args:    x: [..., d], any float or complex dtype, any leading axes, also none.  table: T, [v, d], same dtype.
    Returns: [..., v], same dtype; half precision is added up in float32.
    Rule:    ẏ = ẋ Tᵀ + x Ṫᵀ
             x̄ = g T     T̄ = Σ gᵀ x                       the sum over the leading axes
             keeps x, table.
    Edges:   none: an empty axis sums to 0.
    Raises:  ShapeError where d differs, DtypeError for integers and for two dtypes: nothing is promoted.
    Source:  Press and Wolf 2017; flax.linen.Embed.attend.
    """
    same_dtype("attend", x=x, table=table)
    *_, d = shaped("attend", "x", x, ..., "d")
    shaped("attend", "table", table, "v", d)
    return _product(x, table, (-1, 1)).astype(x.dtype)


def _product(a, b, axes):
    return jnp.tensordot(a, b, axes, preferred_element_type=jnp.promote_types(a.dtype, jnp.float32))


def attend_fwd(x, table):
    return attend.primal(x, table), (x, table)


def attend_jvp(res, x_dot, table_dot):  # ẏ = ẋ Tᵀ + x Ṫᵀ
    x, table = res
    return (_product(x_dot, table, (-1, 1)) + _product(x, table_dot, (-1, 1))).astype(x.dtype)


def attend_vjp(res, g):  # x̄ = g T    T̄ = Σ gᵀ x
    x, table = res
    rows = tuple(range(x.ndim - 1))
    x_bar, table_bar = _product(g, table, (-1, 0)), _product(g, x, (rows, rows))
    return x_bar.astype(x.dtype), table_bar.astype(table.dtype)


attend.defrule(fwd=attend_fwd, jvp=attend_jvp, vjp=attend_vjp)
