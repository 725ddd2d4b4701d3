"""Convolution and transposed convolution, channels last, as in flax and jax.lax.

The window's axes say how many of x's are spatial: NWC with WIO, NHWC with HWIO, NDHWC with DHWIO.
"""

from __future__ import annotations

from jax import Array, lax

from vjpkit.core import ShapeError, rule
from vjpkit.core.broadcasting import Shape
from vjpkit.nn.arguments import same_dtype, shaped
from vjpkit.nn.convolving import Convolution, letters, turned
from vjpkit.nn.windows import Padding, known_padding, per_axis, rows, spans

# ------------------------------------------------------------------------------------------------- conv


@rule(static=("strides", "padding", "dilation", "feature_group_count"))
def conv(
    x: Array,
    w: Array,
    b: Array | None = None,
    *,
    strides: int | Shape = 1,
    padding: Padding = "SAME",
    dilation: int | Shape = 1,
    feature_group_count: int = 1,
) -> Array:
    """A convolution as neural networks have it: the window is not turned round.

        y[p, o] = Σ_k Σ_i x[s p + d k − low, i] w[k, i, o] + b[o]           i over the channels of o's group

    Args:    x: [..., *spatial, c], any float or complex dtype, any leading axes, also none.
             w: [*window, c / feature_group_count, o], one to three window axes.  b: [o], or None.  Same dtype.
             strides, dilation: s and d, one number, or one for each spatial axis.
             padding: "SAME", "SAME_LOWER", "VALID", "CAUSAL" (one spatial axis), or a pair (low, high) for each.
             feature_group_count: how many groups the channels fall into, each with outputs of its own.
    Returns: [..., *places, o], same dtype.
    Rule:    ẏ = ẋ ∗ w + x ∗ ẇ + ḃ
             x̄[q, i] = Σ_k Σ_o g[p, o] w[k, i, o], where s p + d k − low = q
             w̄[k, i, o] = Σ_p x[s p + d k − low, i] g[p, o]            b̄ = Σ_p g[p]
             keeps x, w.
    Wins:    temp memory 255× less alone; FLOPs 137× less alone; 24× as fast on a CPU (depthwise, causal, a window of 4
             on 8×512×256, float32); on a CPU groups are 7× as fast, three axes 6×, for 4.5× the temp memory.
    Edges:   none: padding is zeros, and the cotangent that falls there is dropped.
    Raises:  ShapeError where the channels do not fit, strides, dilation or padding do not fit the window's axes, or
             no window fits into x; DtypeError for integers and for two dtypes: nothing is promoted.
    Source:  flax.linen.Conv, jax.lax.conv_general_dilated.
    """
    c = _conv(x, w, b, strides, padding, dilation, feature_group_count)
    names = letters(len(c.sizes))
    y = lax.conv_general_dilated(
        rows(x, len(c.sizes)), w, c.strides, c.padding, None, c.dilation, names, feature_group_count
    )
    return _plus(_like(x, y), b)


def conv_fwd(x, w, b, *, strides, padding, dilation, feature_group_count):
    c = _conv(x, w, b, strides, padding, dilation, feature_group_count)
    return _y(c, x, w, b), _residuals(x, w, b, c)


def conv_jvp(res, x_dot, w_dot, b_dot, **options):  # ẏ = ẋ ∗ w + x ∗ ẇ + ḃ
    x, w, c, _ = res
    return _y(c, x_dot, w, b_dot) + _y(c, x, w_dot)


def conv_vjp(res, g, **options):  # x̄[q] = Σ_k g[p] w[k]ᵀ    w̄[k] = Σ_p x[s p + d k − low]ᵀ g[p]    b̄ = Σ_p g[p]
    x, w, c, b = res
    return _x_bar(c, w, g), _w_bar(c, x, g), _b_bar(b, g)


conv.defrule(fwd=conv_fwd, jvp=conv_jvp, vjp=conv_vjp)


# --------------------------------------------------------------------------------------- conv_transpose


@rule(static=("strides", "padding", "dilation", "transpose_kernel"))
def conv_transpose(
    x: Array,
    w: Array,
    b: Array | None = None,
    *,
    strides: int | Shape = 1,
    padding: Padding = "SAME",
    dilation: int | Shape = 1,
    transpose_kernel: bool = False,
) -> Array:
    """A convolution of x with zeros between its entries: fractionally strided, it makes x larger.

        y[p, o] = Σ_k Σ_i x[q, i] w[k, i, o] + b[o], where s q = p + d k − low

    Args:    x: [..., *spatial, i], any float or complex dtype, any leading axes, also none.
             w: [*window, i, o], one to three window axes, or [*window, o, i] with transpose_kernel; b: [o], or None.
             strides, dilation: s and d, one number, or one for each spatial axis.
             padding: "SAME", "VALID": those of the convolution that this turns back; or the zeros, (low, high) for
             each axis, that are put round x.
             transpose_kernel: take w as the window of that convolution, with its window turned round.
    Returns: [..., *places, o], same dtype; s times as many places with "SAME".
    Rule:    ẏ = ẋ ∗ w + x ∗ ẇ + ḃ
             x̄[q, i] = Σ_k Σ_o g[p, o] w[k, i, o]       w̄[k, i, o] = Σ_q x[q, i] g[p, o], where s q = p + d k − low
             b̄ = Σ_p g[p]
             keeps x, w.
    Wins:    14× as fast on a CPU (4×4 windows, 64 channels to 32, strides of 2, on 16×16×16×64, float32).
    Edges:   none: padding is zeros, and the cotangent that falls there is dropped.
    Raises:  ShapeError where the channels do not fit, strides, dilation or padding do not fit the window's axes, or
             no window fits into x; DtypeError for integers and for two dtypes: nothing is promoted.
    Source:  flax.linen.ConvTranspose, jax.lax.conv_transpose.
    """
    c = _conv_transpose(x, w, b, strides, padding, dilation, transpose_kernel)
    zeros = padding if isinstance(padding, str) else c.padding
    names = letters(len(c.sizes))
    y = lax.conv_transpose(
        rows(x, len(c.sizes)), w, c.spread, zeros, c.dilation, names, transpose_kernel=transpose_kernel
    )
    return _plus(_like(x, y), b)


def conv_transpose_fwd(x, w, b, *, strides, padding, dilation, transpose_kernel):
    c = _conv_transpose(x, w, b, strides, padding, dilation, transpose_kernel)
    return _y(c, x, turned(w) if transpose_kernel else w, b), _residuals(x, w, b, c)


def conv_transpose_jvp(res, x_dot, w_dot, b_dot, *, transpose_kernel, **options):  # ẏ = ẋ ∗ w + x ∗ ẇ + ḃ
    x, w, c, _ = res
    if transpose_kernel:
        w, w_dot = turned(w), turned(w_dot)
    return _y(c, x_dot, w, b_dot) + _y(c, x, w_dot)


def conv_transpose_vjp(res, g, *, transpose_kernel, **options):  # x̄[q] = Σ_k g[p] w[k]ᵀ  w̄[k] = Σ_q x[q]ᵀ g[p]
    x, w, c, b = res
    if transpose_kernel:
        return _x_bar(c, turned(w), g), turned(_w_bar(c, x, g)), _b_bar(b, g)
    return _x_bar(c, w, g), _w_bar(c, x, g), _b_bar(b, g)


conv_transpose.defrule(fwd=conv_transpose_fwd, jvp=conv_transpose_jvp, vjp=conv_transpose_vjp)


# --------------------------------------------------------------------------------------- what they share


def _y(c, x, w, b=None):
    return _plus(_like(x, c.y(rows(x, len(c.sizes)), w)), b)


def _x_bar(c, w, g):
    return _like(g, c.x_bar(w, rows(g, len(c.sizes))))


def _w_bar(c, x, g):
    return c.w_bar(rows(x, len(c.sizes)), rows(g, len(c.sizes)))


def _b_bar(b, g):
    return None if b is None else g.sum(range(g.ndim - 1))


def _residuals(x, w, b, c):
    return x, w, c, None if b is None else ()  # of b only whether there is one


def _plus(y, b):
    return y if b is None else y + b


def _like(x, y):
    """`y`, [n, *spatial, c], with the leading axes of `x`."""
    return y.reshape(*x.shape[: x.ndim - y.ndim + 1], *y.shape[1:])


def _conv(x, w, b, strides, padding, dilation, groups):
    """The convolution over x's spatial axes; ShapeError, DtypeError where the arguments do not fit."""
    same_dtype("conv", x=x, w=w, **({} if b is None else {"b": b}))
    rank = _rank("conv", w)
    *_, channels = sizes = shaped("conv", "x", x, ..., *"dhw"[-rank:], "c")[-rank - 1 :]
    if groups < 1 or channels % groups or w.shape[-1] % groups:
        raise ShapeError(
            f"conv: argument feature_group_count does not fit: expected a divisor of {channels} channels and of "
            f"{w.shape[-1]} outputs, got {groups}"
        )
    shaped("conv", "w", w, *"dhw"[-rank:], channels // groups, "o")
    if b is not None:
        shaped("conv", "b", b, w.shape[-1])
    strides, dilation = per_axis("conv", "strides", strides, rank), per_axis("conv", "dilation", dilation, rank)
    span = spans(w.shape[:rank], dilation)
    words = ("SAME", "SAME_LOWER", "VALID", *(["CAUSAL"] if rank == 1 else []))
    padding = known_padding("conv", padding, words, rank)
    if padding == "CAUSAL":
        padding = ((span[0] - 1, 0),)
    elif isinstance(padding, str):
        padding = tuple(lax.padtype_to_pads(sizes[:-1], span, strides, padding))
    return _with_places("conv", x, sizes[:-1], w.shape[:rank], strides, padding, (1,) * rank, dilation, groups)


def _conv_transpose(x, w, b, strides, padding, dilation, transpose_kernel):
    """The convolution over x's spread axes; ShapeError, DtypeError where the arguments do not fit."""
    name = "conv_transpose"
    same_dtype(name, x=x, w=w, **({} if b is None else {"b": b}))
    rank = _rank(name, w)
    *_, channels = sizes = shaped(name, "x", x, ..., *"dhw"[-rank:], "i")[-rank - 1 :]
    ends = ("o", channels) if transpose_kernel else (channels, "o")
    shaped(name, "w", w, *"dhw"[-rank:], *ends)
    if b is not None:
        shaped(name, "b", b, w.shape[-2 if transpose_kernel else -1])
    strides, dilation = per_axis(name, "strides", strides, rank), per_axis(name, "dilation", dilation, rank)
    padding = known_padding(name, padding, ("SAME", "VALID"), rank)
    if isinstance(padding, str):
        span = spans(w.shape[:rank], dilation)
        padding = tuple(_zeros_round(padding, k, s) for k, s in zip(span, strides, strict=True))
    return _with_places(name, x, sizes[:-1], w.shape[:rank], (1,) * rank, padding, strides, dilation, 1)


def _zeros_round(padding, k, s):
    """How many zeros before and after x, by jax.lax.conv_transpose, for a window that covers k, and the stride s."""
    if padding == "VALID":
        return k - 1, s - 1 + max(k - s, 0)
    low = k - 1 if s > k - 1 else -(-(k + s - 2) // 2)
    return low, k + s - 2 - low


def _rank(name, w):
    if not 3 <= w.ndim <= 5:
        raise ShapeError(
            f"{name}: argument w does not fit: expected [*window, i, o] with 1 to 3 window axes, got {w.ndim - 2}"
        )
    return w.ndim - 2


def _with_places(name, x, *geometry):
    c = Convolution(*geometry)
    if 0 in c.counts:
        span = spans(c.window, c.dilation)
        raise ShapeError(
            f"{name}: argument w does not fit: expected a window that fits into x, {list(x.shape)}, with padding "
            f"{c.padding}, got one over {span} places"
        )
    return c
