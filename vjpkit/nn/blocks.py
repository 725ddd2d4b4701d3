"""Feed-forward blocks, norm, dense, activation, dense, each as one rule: what is kept is chosen for the block."""

from __future__ import annotations

import jax.numpy as jnp
from jax import Array

from vjpkit.core import Rule, rule
from vjpkit.core.answers import show, spec
from vjpkit.nn.arguments import floating, same_dtype, shaped
from vjpkit.nn.gated_units import swiglu
from vjpkit.nn.gates import gelu
from vjpkit.nn.norms import (
    layer_norm_fwd,
    layer_norm_jvp,
    layer_norm_vjp,
    rms_norm_fwd,
    rms_norm_jvp,
    rms_norm_vjp,
)
from vjpkit.nn.precision import wide
from vjpkit.nn.rows import like

# ---------------------------------------------------------------------------------------------------- mlp


@rule(static=("activation", "norm", "epsilon", "save"))
def mlp(
    x: Array,
    w_in: Array,
    w_out: Array,
    b_in: Array | None = None,
    b_out: Array | None = None,
    scale: Array | None = None,
    bias: Array | None = None,
    *,
    activation: Rule = gelu,
    norm: str | None = "layer",
    epsilon: float = 1e-6,
    save: str = "pre",
) -> Array:
    """A feed-forward block: norm, dense layer, activation, dense layer. The residual connection is the caller's.

        y = φ(h) V + c              h = n W + b,  n = norm(x)

    Args:    x: [..., d], any real float dtype.  w_in: W, [d, f].  w_out: V, [f, o], all three of one dtype.
             b_in: b, [f] and b_out: c, [o], same dtype; 0 if None.  scale, bias: [d], those of the norm.
             activation: φ, an elementwise rule of one argument.
             norm: "layer", "rms", or None for n = x.  epsilon: the norm's.
             save: what is kept beside the arguments; see Rule.
    Returns: [..., o], same dtype; products add up in float32 at least.
    Rule:    ẏ = ȧ V + a V̇ + ċ     ȧ = φ′(h) ḣ     ḣ = ṅ W + n Ẇ + ḃ                    ṅ as the norm's
             ā = g Vᵀ     h̄ = φ′(h) ā     n̄ = h̄ Wᵀ                                       x̄ as the norm's of n̄
             V̄ = Σ aᵀ g     c̄ = Σ g     W̄ = Σ nᵀ h̄     b̄ = Σ h̄            the sums over the leading axes
             keeps the arguments, and for save="pre": h; for "out": a = φ(h) and what φ's own rule keeps, h unless it
             is a itself; for "none": nothing. The rest is computed again: n, a for "pre", all for "none", which costs
             one product more.
    Wins:    residuals 3.5× less; temp memory 1.4× less alone; temp memory 1.6× less in a stack; temp memory 4.5× less
             in a scan; there as lean as jax.checkpoint with dots_saveable.
    Edges:   as those of norm and activation.
    Raises:  ShapeError, DtypeError where an argument does not fit; TypeError unless activation is a rule;
             ValueError for another norm or save, and a bias without a layer norm.
    Source:  Vaswani et al. 2017; pre-norm, Xiong et al. 2020.
    """
    _check("mlp", x, {"w_in": w_in}, w_out, {"b_in": b_in}, b_out, scale, bias, norm, save)
    _check_unit("mlp", "activation", activation, 1)
    args, unit = (x, (w_in,), w_out, (b_in,), b_out, scale, bias), activation
    return _fwd(args, unit=unit, norm=norm, epsilon=epsilon, save=save)[0]


def mlp_fwd(x, w_in, w_out, b_in, b_out, scale, bias, *, activation, **options):
    return _fwd((x, (w_in,), w_out, (b_in,), b_out, scale, bias), unit=activation, **options)


def mlp_jvp(res, x_dot, w_in_dot, w_out_dot, b_in_dot, b_out_dot, scale_dot, bias_dot, *, activation, **options):
    dots = (x_dot, (w_in_dot,), w_out_dot, (b_in_dot,), b_out_dot, scale_dot, bias_dot)
    return _jvp(res, dots, unit=activation, **options)


def mlp_vjp(res, g, *, activation, **options):
    x_bar, (w_in_bar,), w_out_bar, (b_in_bar,), *others = _vjp(res, g, unit=activation, **options)
    return x_bar, w_in_bar, w_out_bar, b_in_bar, *others


mlp.defrule(fwd=mlp_fwd, jvp=mlp_jvp, vjp=mlp_vjp)


# ---------------------------------------------------------------------------------------------- gated mlp


@rule(static=("unit", "norm", "epsilon", "offset", "save"))
def gated_mlp(
    x: Array,
    w_gate: Array,
    w_value: Array,
    w_out: Array,
    scale: Array | None = None,
    bias: Array | None = None,
    *,
    unit: Rule = swiglu,
    norm: str | None = "rms",
    epsilon: float = 1e-6,
    offset: float = 0.0,
    save: str = "pre",
) -> Array:
    """A gated feed-forward block: norm, two dense layers, their gated unit, dense layer; no biases, as in Llama.

        y = φ(h, k) V               h = n W,  k = n U,  n = norm(x)

    Args:    x: [..., d], any real float dtype.  w_gate: W, w_value: U, [d, f].  w_out: V, [f, o], all of one dtype.
             scale, bias: [d], those of the norm.
             unit: φ, an elementwise rule of gate and value: swiglu, geglu, reglu, or one's own.
             norm: "layer", "rms", or None for n = x.  epsilon: the norm's.  offset: the RMS norm's; Gemma's is 1.
             save: what is kept beside the arguments; see Rule.
    Returns: [..., o], same dtype; products add up in float32 at least.
    Rule:    ẏ = ȧ V + a V̇     ȧ = φₕ ḣ + φₖ k̇     ḣ = ṅ W + n Ẇ     k̇ = ṅ U + n U̇       ṅ as the norm's
             ā = g Vᵀ     h̄ = φₕ ā     k̄ = φₖ ā     n̄ = h̄ Wᵀ + k̄ Uᵀ                       x̄ as the norm's of n̄
             V̄ = Σ aᵀ g     W̄ = Σ nᵀ h̄     Ū = Σ nᵀ k̄                     the sums over the leading axes
             keeps the arguments, and for save="pre": h and k; for "out": a = φ(h, k) and what φ's own rule keeps;
             for "none": nothing. The rest is computed again: n, a for "pre", all for "none", which costs two products
             more.
    Wins:    residuals 2.9× less; temp memory 1.2× less in a stack; temp memory 3× less in a scan; there as lean as
             jax.checkpoint with dots_saveable.
    Edges:   as those of norm and unit.
    Raises:  ShapeError, DtypeError where an argument does not fit; TypeError unless unit is a rule;
             ValueError for another norm or save, and a bias without a layer norm.
    Source:  Shazeer 2020; Touvron et al. 2023.
    """
    _check("gated_mlp", x, {"w_gate": w_gate, "w_value": w_value}, w_out, {}, None, scale, bias, norm, save)
    _check_unit("gated_mlp", "unit", unit, 2)
    args = (x, (w_gate, w_value), w_out, (None, None), None, scale, bias)
    return _fwd(args, unit=unit, norm=norm, epsilon=epsilon, offset=offset, save=save)[0]


def gated_mlp_fwd(x, w_gate, w_value, w_out, scale, bias, **options):
    return _fwd((x, (w_gate, w_value), w_out, (None, None), None, scale, bias), **options)


def gated_mlp_jvp(res, x_dot, w_gate_dot, w_value_dot, w_out_dot, scale_dot, bias_dot, **options):
    dots = (x_dot, (w_gate_dot, w_value_dot), w_out_dot, (None, None), None, scale_dot, bias_dot)
    return _jvp(res, dots, **options)


def gated_mlp_vjp(res, g, **options):
    x_bar, w_in_bars, w_out_bar, _, _, *of_norm = _vjp(res, g, **options)
    return x_bar, *w_in_bars, w_out_bar, *of_norm


gated_mlp.defrule(fwd=gated_mlp_fwd, jvp=gated_mlp_jvp, vjp=gated_mlp_vjp)


# ------------------------------------------------------- the block, of a unit that takes one dense layer or two
#
# Not declared recompute=True: in unrolled code a barrier saved no memory on a CPU, and cost that of norm and unit.


def _fwd(args, *, unit, save, **options):  # y = a V + c    a = φ(hᵢ)    hᵢ = n Wᵢ + bᵢ    n = norm(x)
    x, w_in, w_out, b_in, b_out, *of_norm = args
    n, _ = _norm_fwd(x, *of_norm, **options)
    h = tuple(map(_dense, (n,) * len(w_in), w_in, b_in))
    a, unit_res = unit.fwd(*h, **_options(unit))
    return _dense(a, w_out, b_out), (args, {"pre": h, "out": (a, unit_res), "none": ()}[save])


def _jvp(res, dots, *, unit, save, **options):  # ẏ = ȧ V + a V̇ + ċ    ȧ = φ′ ḣ    ḣ = ṅ W + n Ẇ + ḃ
    x_dot, w_in_dots, w_out_dot, b_in_dots, b_out_dot, *of_norm = dots
    _, w_in, w_out, *_ = res[0]
    n, norm_res, a, unit_res = _again(res, unit, save, options)
    n_dot = _norm_jvp(norm_res, x_dot, *of_norm, **options)
    h_dots = [
        _dense(n_dot, w) + _dense(n, w_dot, b_dot) for w, w_dot, b_dot in zip(w_in, w_in_dots, b_in_dots, strict=True)
    ]
    return _dense(unit.jvp(unit_res, *h_dots, **_options(unit)), w_out) + _dense(a, w_out_dot, b_out_dot)


def _vjp(res, g, *, unit, save, **options):  # ā = g Vᵀ    h̄ = φ′ ā    n̄ = h̄ Wᵀ    V̄ = Σ aᵀ g    W̄ = Σ nᵀ h̄    b̄ = Σ h̄
    _, w_in, w_out, b_in, b_out, *_ = res[0]
    n, norm_res, a, unit_res = _again(res, unit, save, options)
    h_bars = unit.vjp(unit_res, _dense(g, w_out.T), **_options(unit))
    n_bar = sum(_dense(h_bar, w.T) for h_bar, w in zip(h_bars, w_in, strict=True))
    x_bar, *of_norm = _norm_vjp(norm_res, n_bar, **options)
    return (
        x_bar,
        tuple(_outer(n, h_bar) for h_bar in h_bars),
        _outer(a, g),
        tuple(map(_across, h_bars, b_in)),
        _across(g, b_out),
        *of_norm,
    )


def _again(res, unit, save, options):
    """The norm's output and the unit's, with the residuals of both rules: kept, or computed again."""
    (x, w_in, _, b_in, _, *of_norm), kept = res
    n, norm_res = _norm_fwd(x, *of_norm, **options)
    if save == "out":
        return n, norm_res, *kept
    h = kept if save == "pre" else map(_dense, (n,) * len(w_in), w_in, b_in)
    return n, norm_res, *unit.fwd(*h, **_options(unit))


# ---------------------------------------------------------------------------------------------- what it is made of


def _dense(x, w, b=None):  # x W + b, summed in float32 at least
    y = jnp.matmul(x, w, preferred_element_type=wide(x).dtype)
    return (y if b is None else y + b).astype(x.dtype)


def _outer(x, g):  # Σ xᵀ g
    rows = tuple(range(x.ndim - 1))
    return jnp.tensordot(x, g, (rows, rows), preferred_element_type=wide(x).dtype).astype(x.dtype)


def _across(g, b):  # Σ g, the cotangent of b
    return like(wide(g).sum(tuple(range(g.ndim - 1))), b)


def _options(unit):
    """The unit's options, at their defaults."""
    return unit.complete((), {})[1]


def _norm_fwd(x, scale, bias, **options):
    if options["norm"] == "layer":
        return layer_norm_fwd(x, scale, bias, None, **_of_layer_norm(x, **options))
    return rms_norm_fwd(x, scale, None, **_of_rms_norm(x, **options)) if options["norm"] == "rms" else (x, None)


def _norm_jvp(res, x_dot, scale_dot, bias_dot, **options):
    if options["norm"] == "layer":
        return layer_norm_jvp(res, x_dot, scale_dot, bias_dot, None, **_of_layer_norm(x_dot, **options))
    return rms_norm_jvp(res, x_dot, scale_dot, None, **_of_rms_norm(x_dot, **options)) if options["norm"] else x_dot


def _norm_vjp(res, g, **options):
    if options["norm"] == "layer":
        return layer_norm_vjp(res, g, **_of_layer_norm(g, **options))[:3]
    x_bar, scale_bar, _ = rms_norm_vjp(res, g, **_of_rms_norm(g, **options)) if options["norm"] else (g, None, None)
    return x_bar, scale_bar, None


def _of_layer_norm(x, *, norm, epsilon, offset=0.0):
    return {"axis": -1, "epsilon": epsilon, "dtype": x.dtype}


def _of_rms_norm(x, *, norm, epsilon, offset=0.0):
    return {"axis": -1, "epsilon": epsilon, "offset": offset, "casting": "gemma", "dtype": x.dtype}


def _check(function, x, w_in, w_out, b_in, b_out, scale, bias, norm, save):
    """Named errors for what does not fit; `w_in` and `b_in` by name."""
    given = {**w_in, "w_out": w_out, **b_in, "b_out": b_out}
    floating(function, x=x, scale=scale, bias=bias)
    same_dtype(function, x=x, **{name: a for name, a in given.items() if a is not None})
    *_, d = shaped(function, "x", x, ..., "d")
    f, o = shaped(function, "w_out", w_out, "f", "o")
    for name, w in w_in.items():
        shaped(function, name, w, d, f)
    for size, vectors in ((f, b_in), (o, {"b_out": b_out}), (d, {"scale": scale, "bias": bias})):
        for name, v in vectors.items():
            if v is not None:
                shaped(function, name, v, size)
    if norm not in ("layer", "rms", None):
        raise ValueError(f"{function}: option norm: expected 'layer', 'rms' or None, got {norm!r}")
    if save not in ("pre", "out", "none"):
        raise ValueError(f"{function}: option save: expected 'pre', 'out' or 'none', got {save!r}")
    for name, v in {"scale": scale if norm is None else None, "bias": bias if norm != "layer" else None}.items():
        if v is not None:
            raise ValueError(f"{function}: argument {name}: expected None for norm={norm!r}, got {show(spec(v))}")


def _check_unit(function, option, unit, count):
    """TypeError unless `unit` is a rule of `count` arguments whose two maps are written."""
    if not isinstance(unit, Rule) or unit.jvp is None or unit.vjp is None or len(unit.complete((), {})[0]) != count:
        raise TypeError(
            f"{function}: option {option}: expected an elementwise rule of {count} argument{'s' * (count > 1)}, such "
            f"as vjpkit.nn.{'gelu' if count == 1 else 'swiglu'}, got {unit!r}"
        )
