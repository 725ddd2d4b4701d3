"""A bare formula, candidate_vjp(g, *args) or candidate_jvp(dots, *args), as a function whose derivative it is."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from vjpkit.check.layout import kind
from vjpkit.core.answers import cotangent_leaves, spec, tangent_leaves


@dataclass(frozen=True)
class Formula:
    """What someone says the derivative of `f` is: `mode` is "reverse" or "forward"."""

    f: Callable[..., Any]
    candidate: Callable[..., Any]
    mode: str
    names: tuple[str, ...]

    @property
    def word(self) -> str:
        return "candidate_vjp" if self.mode == "reverse" else "candidate_jvp"

    def mounted(self, args: Sequence[Any]) -> Callable[..., Any]:
        """`f` as a `jax.custom_vjp` or `jax.custom_jvp` function with the formula as its rule."""
        leaves, tree = jax.tree.flatten(tuple(args))
        arrays = [i for i, leaf in enumerate(leaves) if kind(leaf) != "constant"]

        def rebuilt(values: Sequence[Any]) -> tuple[Any, ...]:
            return jax.tree.unflatten(
                tree, [dict(zip(arrays, values, strict=True)).get(i, leaf) for i, leaf in enumerate(leaves)]
            )

        def f(*values: Any) -> Any:
            return self.f(*rebuilt(values))

        on_arrays = self._with_vjp(f, rebuilt, arrays) if self.mode == "reverse" else self._with_jvp(f, rebuilt, arrays)

        def mounted(*args: Any) -> Any:
            given = jax.tree.leaves(tuple(args))
            return on_arrays(*(given[i] for i in arrays))

        return mounted

    def _with_vjp(self, f: Any, rebuilt: Any, arrays: Sequence[int]) -> Any:
        def bwd(values: Any, g: Any) -> tuple[Any, ...]:
            args = rebuilt(values)
            specs, tree = _specs(args)
            bars = cotangent_leaves(self.word, self.names, self._called(g, args), tree, specs)
            return tuple(bars[i] for i in arrays)

        function = jax.custom_vjp(f)
        function.defvjp(lambda *values: (f(*values), values), bwd)
        return function

    def _with_jvp(self, f: Any, rebuilt: Any, arrays: Sequence[int]) -> Any:
        def jvp(values: Any, dots: Any) -> tuple[Any, Any]:
            args = rebuilt(values)
            leaves, tree = jax.tree.flatten(args)
            known = dict(zip(arrays, dots, strict=True))
            moving = [known[i] if kind(leaf) in ("float", "complex") else None for i, leaf in enumerate(leaves)]
            y = f(*values)
            want, out_tree = _specs(y)
            y_dot = tangent_leaves(self.word, self._called(jax.tree.unflatten(tree, moving), args), out_tree, want)
            zeros = [np.zeros(s.shape, jax.dtypes.float0) if t is None else t for t, s in zip(y_dot, want, strict=True)]
            return y, jax.tree.unflatten(out_tree, zeros)

        function = jax.custom_jvp(f)
        function.defjvp(jvp)
        return function

    def _called(self, vector: Any, args: tuple[Any, ...]) -> Any:
        """The formula at a vector and a point; one written in NumPy is called back."""
        try:
            return _arrays(self.candidate(vector, *args))
        except jax.errors.TracerArrayConversionError:
            in_numpy = functools.partial(jax.pure_callback, self._on_host, vmap_method="sequential")
            return in_numpy(self._shapes(vector, args), vector, args)

    def _on_host(self, vector: Any, args: tuple[Any, ...]) -> Any:
        return _arrays(self.candidate(vector, *args))

    def _shapes(self, vector: Any, args: tuple[Any, ...]) -> Any:
        """What a formula in NumPy answers, found by running it once on ones."""
        answer = self._on_host(*jax.tree.map(lambda a: np.ones(a.shape, a.dtype), (vector, args)))
        return jax.tree.map(lambda a: jax.ShapeDtypeStruct(np.shape(a), jnp.result_type(a)), answer)


def _arrays(answer: Any) -> Any:
    return jax.tree.map(lambda a: jnp.asarray(a) if isinstance(a, float | int | np.generic) else a, answer)


def _specs(tree: Any) -> tuple[list[Any], Any]:
    leaves, structure = jax.tree.flatten(tree)
    return [spec(leaf) for leaf in leaves], structure
