"""The cases of gated units and positions: shapes, options, special points, and each value by NumPy and SciPy."""

from __future__ import annotations

import numpy as np
from scipy import special

from vjpkit.core import Case, Special
from vjpkit.core.draw import integers, normal
from vjpkit.nn.gated_units import geglu, glu, reglu, swiglu
from vjpkit.nn.positions import rotary
from vjpkit.nn.references import gelu_

INF = np.inf
FAR = np.array([-INF, -1e4, 1e4])
V = np.array([2.0, -3.0, 0.5])


def rotary_(x, positions, *, base=10000.0, scale=1.0, interleaved=False):
    d = x.shape[-1]
    i = np.arange(d // 2)
    turn = np.exp(1j * scale * np.asarray(positions)[..., None, None] * base ** (-2.0 * i / d))
    first, second = (2 * i, 2 * i + 1) if interleaved else (i, i + d // 2)
    z = (x[..., first] + 1j * x[..., second]) * turn
    y = np.empty(x.shape)
    y[..., first], y[..., second] = z.real, z.imag
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
)

CASES: tuple[Case, ...] = (*UNITS, *POSITIONS)
