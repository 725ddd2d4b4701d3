"""The network of the documents, cut open at every value by its name, and the step from δ^{l+1} to δ^l.

z^l = W^l a^(l−1) + b^l     a^l = σ(z^l)     l = 1 … L     a^0 = x     C = (1/N_L) Σᵢ ½ (a^L_i − y_i)²
"""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence

import jax
import jax.numpy as jnp
import numpy as np
from attempts import Array, Formula, Step, draw

import vjpkit
from vjpkit import losses, nn
from vjpkit.derive import Derivation

RECTANGULAR = (7, 3, 5, 2)  # n_0 … n_L: a product of the wrong factors does not fit
SQUARE = (4, 4, 4, 4)  # every product fits, and nothing warns


class Network:
    """The network at a point: w, b, z, a, σ′(z) and δ by the number of their layer, as the documents write them."""

    def __init__(self, sizes: Sequence[int]) -> None:
        self.L = len(sizes) - 1
        self.layers = range(1, self.L + 1)
        self.w = {l: draw(sizes[l], sizes[l - 1], seed=l) for l in self.layers}
        self.b = {l: draw(sizes[l], seed=10 + l) for l in self.layers}
        self.a, self.z, self.slope = {0: draw(sizes[0])}, {}, {}
        self.y = draw(sizes[-1], seed=99)
        for l in self.layers:
            self.z[l] = self.w[l] @ self.a[l - 1] + self.b[l]
            self.a[l] = np.tanh(self.z[l])
            self.slope[l] = 1 - self.a[l] ** 2

    @property
    def values(self) -> dict[str, Array]:
        """Every value on the way to C by its name, "w1", "z2" or "a0": where the network can be cut."""
        return {f"{kind}{l}": value for kind in "wbza" for l, value in getattr(self, kind).items()}

    def cost(self, shifts: Mapping[str, Array]) -> Array:
        """C, with the values of those names shifted."""

        def at(name: str, value: Array) -> Array:
            return value + shifts[name] if name in shifts else value

        a = at("a0", self.a[0])
        for l in self.layers:
            w, b = at(f"w{l}", self.w[l]), at(f"b{l}", self.b[l])
            z = at(f"z{l}", nn.affine(jnp.asarray(w), jnp.asarray(a), jnp.asarray(b)))
            a = at(f"a{l}", nn.tanh(z))
        return losses.half_mean_squared_error(a, self.y)

    def after(self, cut: str) -> Formula:
        """C as a function of the value at a cut."""
        return lambda value: self.cost({cut: value - self.values[cut]})

    @functools.cached_property
    def gradient(self) -> dict[str, Array]:
        """∂C/∂(the value at each cut), shaped like it: the truth, by autodiff of the plain functions."""
        gradients = jax.jit(jax.grad(vjpkit.inline(self.cost)))({k: np.zeros(v.shape) for k, v in self.values.items()})
        return {cut: np.asarray(value) for cut, value in gradients.items()}

    @property
    def delta(self) -> dict[int, Array]:
        """δ^l = ∂C/∂z^l: at z, not at a."""
        return {l: self.gradient[f"z{l}"] for l in self.layers}


@functools.cache
def network(sizes: tuple[int, ...]) -> Network:
    """The network of these sizes, made once."""
    return Network(sizes)


# ------------------------------------------------------------------------- the step that the thread 478781 asks about


def up_to_next(b: Array, a: Array, w: Array, w_next: Array) -> Array:
    """z^{l+1} as a function of b^l, whose cotangent is δ^l; a is a^{l−1}, w is w^l, w_next is w^{l+1}."""
    z = w @ a + b
    return w_next @ jnp.tanh(z)


TO_DELTA = Step(
    up_to_next,
    "b",
    (draw(3), draw(7), draw(3, 7), draw(5, 3)),
    (draw(4), draw(4, seed=1), draw(4, 4), draw(4, 4, seed=1)),
)


def from_z(z: Array, w: Array, b: Array) -> Array:
    """z^{l+1} as a function of z^l."""
    z_next = w @ jnp.tanh(z) + b
    return z_next


@functools.cache
def delta() -> Derivation:
    """δ^l of δ^{l+1} in seven notations, in the letters of the thread."""
    names = {"z": "z^l", "w": "w^{l+1}", "b": "b^{l+1}", "z_next": "z^{l+1}", "z_bar": "δ^l", "z_next_bar": "δ^{l+1}"}
    dims = {"n_l": 3, "n_{l+1}": 5}
    return vjpkit.derive(from_z, draw(3), draw(5, 3), draw(5), wrt="z", names=names, dims=dims)
