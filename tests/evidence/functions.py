"""Functions of others that are right, with arguments in their domain and the special points where they bend."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import jax.scipy.linalg as sl
import jax.scipy.special as sp
import optax.losses as ol
from jax import lax

from vjpkit.core import Special
from vjpkit.core.draw import booleans, integers, normal, probabilities, uniform

Fn = Callable[..., Any]
SQUARE, TALL, WIDE, ROW = normal(5, 5), normal(5, 3), normal(3, 5), normal(7)
POSITIVE, INSIDE = uniform(3, 5, low=0.2, high=3.0), uniform(3, 5, low=0.1, high=0.9)
KINK = jnp.array([-1.0, 0.0, 2.0])
TIE = jnp.array([[1.0, 3.0, 3.0, 2.0], [2.0, 2.0, 2.0, 2.0]])
FAMILIES = ("jax.nn", "jax.numpy", "jax.scipy.special", "jax.lax.linalg and jax.scipy.linalg", "optax.losses")


class Function(NamedTuple):
    """A function with its arguments and special points; `without` names the checks in which it never returns."""

    family: str
    name: str
    fn: Fn
    args: tuple[Any, ...]
    special: tuple[Any, ...] = ()  # tuples of arguments, or `Special`s
    without: tuple[str, ...] = ()


def functions() -> Iterator[Function]:
    """All of them, by family."""
    for family, table in zip(FAMILIES, (_nn, _numpy, _special, _linalg, _losses), strict=True):
        yield from (Function(family, *row) for row in table())


def _of(module: Any, names: str, *args: Any, special: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Functions of a module, called with the same arguments."""
    for name in names.split():
        yield name, functools.reduce(getattr, name.split("."), module), args, special


def _nn() -> Iterator[tuple[Any, ...]]:
    bent = ((KINK,), (jnp.array([-1e4, 1e4]),))
    yield from _of(jax.nn, "relu relu6 hard_sigmoid hard_silu hard_tanh leaky_relu elu selu celu", WIDE, special=bent)
    yield from _of(jax.nn, "sigmoid softplus silu log_sigmoid gelu soft_sign squareplus mish tanh", WIDE, special=bent)
    yield from _of(jax.nn, "sparse_plus sparse_sigmoid identity", WIDE, special=((KINK,),))
    yield from _of(jax.nn, "softmax log_softmax logsumexp logmeanexp", WIDE, special=((TIE,),))
    yield "gelu, exact", functools.partial(jax.nn.gelu, approximate=False), (WIDE,)
    yield "softmax, where", lambda x, where: jax.nn.softmax(x, where=where), (WIDE, booleans(3, 5))
    factors = (jnp.array([1.0, 2.0]), jnp.array([1.0, 0.0]))
    bars = lambda g: (g * jnp.array([1.0, 0.0]), g * jnp.array([1.0, jnp.e]))  # noqa: E731
    zero = Special(factors, "a factor 0: its derivative is e^x / Σ b e^x, not 0", 1.0, bars)
    yield "logsumexp, b", lambda x, b: jax.nn.logsumexp(x, b=b), (ROW, uniform(7, low=0.5, high=2.0)), (zero,)
    yield "log1mexp", jax.nn.log1mexp, (POSITIVE,)
    yield "glu", jax.nn.glu, (normal(3, 8),)
    yield "standardize", jax.nn.standardize, (WIDE,)
    heads = (normal(2, 3, 2, 5), normal(2, 7, 2, 5), normal(2, 7, 2, 5))
    yield "dot_product_attention", jax.nn.dot_product_attention, heads


def _numpy() -> Iterator[tuple[Any, ...]]:
    yield from _elementwise()
    yield from _reductions()
    yield from _movements()
    yield from _products()


def _elementwise() -> Iterator[tuple[Any, ...]]:
    odd = "sin cos tan arctan sinh cosh arcsinh exp expm1 exp2 square sinc deg2rad nan_to_num positive negative i0"
    yield from _of(jnp, odd, WIDE, special=((jnp.zeros(3),),))
    yield from _of(jnp, "abs fabs", WIDE, special=((KINK,),))
    yield from _of(jnp, "log log1p log2 log10 sqrt cbrt reciprocal", POSITIVE, special=((jnp.array([1e-5, 1e5]),),))
    yield from _of(jnp, "arcsin arccos arctanh", INSIDE)
    yield "arccosh", jnp.arccosh, (uniform(3, 5, low=1.2, high=4.0),)
    both = ((jnp.array([1.0, 0.0]), jnp.array([1.0, 0.0])),)
    yield from _of(jnp, "add subtract multiply maximum minimum fmax fmin", WIDE, normal(5), special=both)
    yield from _of(jnp, "arctan2 hypot logaddexp logaddexp2", WIDE, normal(5))
    yield from _of(jnp, "divide power float_power fmod remainder", POSITIVE, uniform(5, low=0.5, high=2.5))
    yield "clip", lambda x: jnp.clip(x, -1, 1), (WIDE,), ((jnp.array([-1.0, 0.5, 1.0]),),)
    yield "where", jnp.where, (booleans(3, 5), WIDE, normal(5))
    yield "copysign", jnp.copysign, (WIDE, normal(5))
    yield "polyval", jnp.polyval, (normal(3), WIDE)
    yield "interp", lambda x, fp: jnp.interp(x, jnp.linspace(-3, 3, 7).astype(x.dtype), fp), (normal(5), ROW)


def _reductions() -> Iterator[tuple[Any, ...]]:
    yield from _of(jnp, "sum mean prod var std nansum nanmean nanprod nanvar nanstd average trapezoid", WIDE)
    yield from _of(jnp, "max min ptp median nanmax nanmin nanmedian", WIDE, special=((TIE,),))
    yield from _of(jnp, "cumsum cumprod diff ediff1d gradient sort cov corrcoef trace", WIDE)
    yield "quantile", lambda x: jnp.quantile(x, 0.3), (WIDE,)
    yield "nanquantile", lambda x: jnp.nanquantile(x, 0.3, axis=1), (WIDE,)
    yield "percentile", lambda x: jnp.percentile(x, 30, axis=0), (WIDE,)
    yield "sum, axis and where", lambda x, where: x.sum(0, where=where), (WIDE, booleans(3, 5))
    yield "partition", lambda x: jnp.sort(jnp.partition(x, 2)[:3]), (ROW,)
    yield "lax.cumlogsumexp", lax.cumlogsumexp, (WIDE,)
    yield "lax.cummax", lax.cummax, (WIDE,)
    yield "lax.top_k", lambda x: lax.top_k(x, 2)[0], (WIDE,)
    yield "lax.reduce_window", lambda x: lax.reduce_window(x, -jnp.inf, lax.max, (2, 2), (1, 1), "VALID"), (WIDE,)


def _movements() -> Iterator[tuple[Any, ...]]:
    names = "ravel transpose fliplr flipud rot90 tril triu diagonal squeeze"
    yield from _of(jnp, names, WIDE)
    yield from _of(jnp, "vstack hstack stack concatenate column_stack dstack", (WIDE, WIDE))
    yield "reshape", lambda x: x.reshape(5, 3), (WIDE,)
    yield "swapaxes", lambda x: x.swapaxes(0, 1), (WIDE,)
    yield "moveaxis", lambda x: jnp.moveaxis(x, 0, -1), (normal(2, 3, 5),)
    yield "tile", lambda x: jnp.tile(x, (2, 3)), (WIDE,)
    yield "repeat", lambda x: jnp.repeat(x, 3, 1), (WIDE,)
    yield "roll", lambda x: jnp.roll(x, 2, 1), (WIDE,)
    yield "flip", lambda x: jnp.flip(x, 1), (WIDE,)
    yield "pad, reflect", lambda x: jnp.pad(x, 2, mode="reflect"), (WIDE,)
    yield "pad, constant", lambda x, c: jnp.pad(x, 2, constant_values=c), (WIDE, normal())
    yield "take", lambda x, i: jnp.take(x, i, axis=0), (TALL, integers(7, high=5))
    yield "take_along_axis", lambda x, i: jnp.take_along_axis(x, i, 1), (WIDE, integers(3, 2, high=5))
    yield "x.at[i].add", lambda x, i, u: x.at[i].add(u), (TALL, integers(7, high=5), normal(7, 3))
    yield "x.at[i].multiply", lambda x, u: x.at[jnp.array([0, 2])].multiply(u), (TALL, normal(2, 3))
    yield "diag", jnp.diag, (ROW,)
    yield "vander", lambda x: jnp.vander(x, 4), (ROW,)
    yield "select", lambda c, x, y: jnp.select([c], [x], y), (booleans(3, 5), WIDE, WIDE)
    yield "meshgrid", lambda x, y: jnp.meshgrid(x, y), (normal(3), normal(5))
    yield "insert", lambda x, v: jnp.insert(x, 2, v), (ROW, normal())
    yield "delete", lambda x: jnp.delete(x, 2), (ROW,)
    yield "append", lambda x, v: jnp.append(x, v), (ROW, normal(3))


def _products() -> Iterator[tuple[Any, ...]]:
    yield from _of(jnp, "dot matmul", WIDE, normal(5, 7))
    yield from _of(jnp, "vdot inner", ROW, ROW)
    yield from _of(jnp, "outer kron convolve correlate", ROW, normal(3))
    yield "tensordot", lambda x, y: jnp.tensordot(x, y, ((0, 1), (1, 0))), (normal(2, 3, 5), normal(3, 2))
    yield "einsum", functools.partial(jnp.einsum, "bij,jk->bik"), (normal(2, 3, 5), normal(5, 7))
    yield "cross", jnp.cross, (normal(5, 3), normal(3))
    yield "polymul", jnp.polymul, (normal(5), normal(3))
    yield "vecdot", jnp.vecdot, (WIDE, normal(5))
    yield from _of(jnp, "fft.fft fft.rfft fft.fft2 fft.rfftn", WIDE)
    yield "fft.irfft", lambda x: jnp.fft.irfft(x, 7), (ROW,)
    images = (normal(2, 3, 5, 7), normal(4, 3, 3, 2))
    yield "lax.conv_general_dilated", lambda x, w: lax.conv_general_dilated(x, w, (1, 1), "SAME"), images
    yield from _of(jnp, "linalg.det linalg.inv linalg.cond", SQUARE)
    yield "linalg.slogdet", lambda x: jnp.linalg.slogdet(x)[1], (SQUARE,)
    yield "linalg.norm", jnp.linalg.norm, (WIDE,)
    yield "linalg.norm, nuclear", lambda x: jnp.linalg.norm(x, "nuc"), (WIDE,)
    yield "linalg.norm, 1", lambda x: jnp.linalg.norm(x, 1, axis=1), (WIDE,)
    yield "linalg.solve", jnp.linalg.solve, (SQUARE, TALL)
    yield "linalg.lstsq", lambda a, b: jnp.linalg.lstsq(a, b)[0], (TALL, normal(5, 2)), (), ("extremes",)
    yield "linalg.pinv", jnp.linalg.pinv, (TALL,), (), ("extremes",)
    yield "linalg.matrix_power", lambda x: jnp.linalg.matrix_power(x, 3), (SQUARE,)
    yield "linalg.multi_dot", lambda *x: jnp.linalg.multi_dot(x), (WIDE, normal(5, 7), normal(7, 2))


def _special() -> Iterator[tuple[Any, ...]]:
    names = "gammaln digamma entr expi spence gamma"
    yield from _of(sp, names, POSITIVE)
    yield from _of(sp, "erf erfc expit i0 i0e i1 i1e ndtr dawsn sici wofz erfcx", WIDE)
    yield from _of(sp, "erfinv logit ndtri", INSIDE)
    yield "fresnel", lambda x: sp.fresnel(x)[0], (WIDE,)
    yield "log_ndtr", sp.log_ndtr, (WIDE,)
    pair = (POSITIVE, uniform(5, low=0.3, high=2.5))
    yield from _of(sp, "xlogy xlog1py betaln beta kl_div rel_entr gammainc gammaincc", *pair)
    yield from _of(sp, "boxcox boxcox1p poch", *pair)
    yield "betainc", lambda x: sp.betainc(1.5, 2.5, x), (INSIDE,)
    yield "zeta", lambda q: sp.zeta(2.5, q), (POSITIVE,)
    yield "polygamma", lambda x: sp.polygamma(2, x), (POSITIVE,)
    yield "multigammaln", lambda x: sp.multigammaln(x, 3), (uniform(7, low=2.0, high=5.0),)
    yield "exp1", sp.exp1, (POSITIVE,), (), ("precision", "extremes")
    yield "expn", lambda x: sp.expn(3, x), (POSITIVE,), (), ("precision", "extremes")
    yield "hyp1f1", lambda x: sp.hyp1f1(1.5, 2.5, x), (POSITIVE,)
    yield from _of(sp, "softmax log_softmax logsumexp", WIDE, special=((TIE,),))


def _linalg() -> Iterator[tuple[Any, ...]]:
    spd = lambda f: lambda x: f(x @ x.T + 5 * jnp.eye(len(x), dtype=x.dtype))  # noqa: E731
    yield "cholesky", spd(lax.linalg.cholesky), (TALL,)
    yield "eigh, values", lambda x: jnp.linalg.eigh(x + x.T)[0], (SQUARE,)
    yield "eigh, projector", spd(lambda a: jnp.outer((v := jnp.linalg.eigh(a)[1])[:, -1], v[:, -1])), (WIDE,)
    yield "svd, values", lambda x: jnp.linalg.svd(x, compute_uv=False), (WIDE,)
    yield "qr", lambda x: lax.linalg.qr(x, full_matrices=False), (TALL,)
    yield "lu", lambda x: lax.linalg.lu(x)[0], (SQUARE,)
    yield "triangular_solve", lambda a, b: lax.linalg.triangular_solve(a, b, left_side=True, lower=True), (SQUARE, TALL)
    bands = ((0.0, 1.0, 1.0), (4.0, 4.0, 4.0), (1.0, 1.0, 0.0))
    yield "tridiagonal_solve", lambda b: lax.linalg.tridiagonal_solve(*jnp.array(bands, b.dtype), b), (normal(3, 2),)
    yield "householder_product", lambda a, t: lax.linalg.householder_product(a, t), (TALL, normal(3))
    product = functools.partial(lax.linalg.symmetric_product, alpha=2.0, beta=0.5)
    yield "symmetric_product", lambda a, c: product(a, c + c.T), (WIDE, normal(3, 3))
    yield "eig, values", lambda x: lax.linalg.eig(x, compute_left_eigenvectors=False)[0], (SQUARE,)
    yield "scipy expm", sl.expm, (normal(3, 3),)
    yield "scipy solve", spd(lambda a: sl.solve(a, jnp.ones(len(a), a.dtype), assume_a="pos")), (TALL,)
    yield "scipy cho_solve", spd(lambda a: sl.cho_solve(sl.cho_factor(a), jnp.ones(len(a), a.dtype))), (TALL,)
    yield "scipy solve_triangular", lambda a, b: sl.solve_triangular(a, b, lower=True), (SQUARE, TALL)
    yield "scipy sqrtm", spd(lambda a: sl.sqrtm(a).real), (WIDE,)
    yield "scipy block_diag", sl.block_diag, (WIDE, TALL)
    yield "scipy toeplitz", sl.toeplitz, (ROW, normal(3))


def _losses() -> Iterator[tuple[Any, ...]]:
    rows = (WIDE, probabilities(3, 5))
    names = "squared_error l2_loss huber_loss log_cosh cosine_similarity cosine_distance softmax_cross_entropy"
    yield from _of(ol, f"{names} sigmoid_binary_cross_entropy sigmoid_focal_loss", *rows)
    masked = (jnp.array([[1.0, 2.0, -jnp.inf]]), jnp.array([[0.5, 0.5, 0.0]]))
    yield "safe_softmax_cross_entropy", ol.safe_softmax_cross_entropy, rows, (masked,)
    yield from _of(ol, "kl_divergence convex_kl_divergence generalized_kl_divergence poly_loss_cross_entropy", *rows)
    yield from _of(ol, "binary_dice_loss dice_loss multiclass_generalized_dice_loss ranking_softmax_loss", *rows)
    yield "kl_divergence_with_log_targets", ol.kl_divergence_with_log_targets, (WIDE, WIDE)
    signs = jnp.array([1.0, -1, 1, 1, -1, 1, -1])
    yield "hinge_loss", lambda x: ol.hinge_loss(x, signs.astype(x.dtype)), (ROW,), ((signs,),)
    yield "perceptron_loss", lambda x: ol.perceptron_loss(x, signs.astype(x.dtype)), (ROW,)
    yield "sparsemax_loss", lambda x: ol.sparsemax_loss(x, (signs > 0).astype(x.dtype)), (ROW,)
    labelled = (normal(7, 5), integers(7, high=5))
    yield from _of(
        ol,
        "softmax_cross_entropy_with_integer_labels ntxent multiclass_hinge_loss multiclass_perceptron_loss "
        "multiclass_sparsemax_loss",
        *labelled,
    )
    yield "make_fenchel_young_loss", ol.make_fenchel_young_loss(jax.nn.logsumexp), rows
    yield "triplet_margin_loss", ol.triplet_margin_loss, (WIDE, WIDE, WIDE)
    yield "smooth_labels", lambda x: ol.smooth_labels(x, 0.1), (probabilities(3, 5),)
    yield "ctc_loss", _ctc_loss, (normal(2, 7, 5),)


def _ctc_loss(logits: Any) -> Any:
    labels, padded = jnp.array([[1, 2, 2], [3, 1, 4]]), jnp.array([[0.0, 0, 0], [0, 0, 1]])
    return ol.ctc_loss(logits, jnp.zeros((2, 7), logits.dtype), labels, padded.astype(logits.dtype))
