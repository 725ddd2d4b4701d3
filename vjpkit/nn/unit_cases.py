"""The cases of gated units and positions: shapes, options, special points, and each value by NumPy and SciPy."""

from __future__ import annotations

import numpy as np
from scipy import special

from vjpkit.core import Case, Special
from vjpkit.core.draw import integers, normal
from vjpkit.nn.gated_units import geglu, glu, reglu, swiglu
from vjpkit.nn.positions import alibi, rotary, sinusoidal
from vjpkit.nn.references import gelu_

INF = np.inf
FAR = np.array([-INF, -1e4, 1e4])
V = np.array([2.0, -3.0, 0.5])
MASKED = np.array([[[0.5, -INF], [1.0, 2.0], [-INF, 0.25]]])


def rotary_(x, positions, *, base=10000.0, scale=1.0, interleaved=False):
    d = x.shape[-1]
    i = np.arange(d // 2)
    turn = np.exp(1j * scale * np.asarray(positions)[..., None, None] * base ** (-2.0 * i / d))
    first, second = (2 * i, 2 * i + 1) if interleaved else (i, i + d // 2)
    z = (x[..., first] + 1j * x[..., second]) * turn
    y = np.empty(x.shape)
    y[..., first], y[..., second] = z.real, z.imag
    return y


def alibi_(logits, slopes=None):
    h, q, k = logits.shape[-3:]
    if slopes is None:
        slopes = slopes_(h)
    distance = np.abs(np.subtract.outer(np.arange(q) + k - q, np.arange(k)))
    return logits - np.multiply.outer(slopes, distance)


def slopes_(heads):
    """As get_slopes of the published code."""
    power = 2 ** int(np.floor(np.log2(heads)))
    start = 2.0 ** -(2.0 ** -(np.log2(power) - 3))
    slopes = [start * start**i for i in range(power)]
    return slopes if heads == power else [*slopes, *slopes_(2 * power)[0::2][: heads - power]]


def sinusoidal_(positions, features, base=10000.0, interleaved=False):
    turn = np.exp(1j * np.asarray(positions)[..., None] * base ** (-2.0 * np.arange(features // 2) / features))
    y = np.empty((*np.shape(positions), features))
    first = slice(0, None, 2) if interleaved else slice(0, features // 2)
    second = slice(1, None, 2) if interleaved else slice(features // 2, None)
    y[..., first], y[..., second] = turn.imag, turn.real
    return y


UNITS = (
    Case(swiglu, (normal(3, 5), normal(3, 5)), special=(
        Special((FAR, V), "gates far out: the limits", np.array([0.0, 0.0, 5e3]),
                lambda g: (g * V * np.array([0, 0, 1]), g * np.array([0.0, 0.0, 1e4]))),
    ), reference=lambda gate, value: gate * special.expit(gate) * value),
    Case(geglu, (normal(3, 5), normal(3, 5)), special=(
        Special((FAR, V), "gates far out: the limits", np.array([0.0, 0.0, 5e3]),
                lambda g: (g * V * np.array([0, 0, 1]), g * np.array([0.0, 0.0, 1e4]))),
    ), reference=lambda gate, value: gelu_(gate, True) * value),
    Case(geglu, (normal(5, 3), normal(5, 3)), {"approximate": False},
         reference=lambda gate, value, approximate: gelu_(gate, approximate) * value),
    Case(reglu, (normal(3, 5), normal(3, 5)), special=(
        Special((np.array([-1.0, 0.0, 2.0]), V), "a gate of 0: slope 0", np.array([0.0, 0.0, 1.0]),
                lambda g: (g * V * np.array([0, 0, 1]), g * np.array([0.0, 0.0, 2.0]))),
    ), reference=lambda gate, value: np.maximum(gate, 0) * value),
    Case(glu, (normal(3, 14),), special=(
        Special((np.array([2.0, 3.0, INF, -INF]),), "gates at ±∞: the limits", np.array([2.0, 0.0]),
                lambda g: (np.array([g[0], 0.0, 0.0, 0.0]),)),
    ), reference=lambda x: x[:, :7] * special.expit(x[:, 7:])),
    Case(glu, (normal(6, 5),), {"axis": 0}, reference=lambda x, axis: x[:3] * special.expit(x[3:])),
)  # fmt: skip

POSITIONS = (
    Case(rotary, (normal(2, 5, 3, 14), integers(5, high=40)), reference=rotary_),
    Case(
        rotary,
        (normal(2, 5, 3, 14), integers(2, 5, high=40)),
        {"base": 500.0, "scale": 0.25, "interleaved": True},
        reference=rotary_,
    ),
    Case(alibi, (normal(2, 5, 3, 7), normal(5)), reference=alibi_),
    Case(
        alibi,
        (normal(2, 5, 3, 7),),
        special=(Special((MASKED,), "a masked key, and more queries than keys"),),
        reference=alibi_,
    ),
    Case(
        sinusoidal,
        (normal(3, 5, scale=10.0),),
        {"features": 14},
        (Special((np.zeros(2),), "at 0 the sines' slopes are the frequencies"),),
        sinusoidal_,
    ),
    Case(
        sinusoidal,
        (normal(5, scale=10.0),),
        {"features": 6, "base": 500.0, "interleaved": True},
        reference=sinusoidal_,
    ),
)

CASES: tuple[Case, ...] = (*UNITS, *POSITIONS)
