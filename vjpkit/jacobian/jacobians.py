"""The Jacobian of a function at a point, as an operator: products in both directions, and numbers when asked for."""

from __future__ import annotations

import functools
import inspect
import math
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from vjpkit.core import ShapeError
from vjpkit.jacobian.colouring import entries
from vjpkit.jacobian.constant import is_constant
from vjpkit.jacobian.display import NUMBERS, Displayed, reals, upright
from vjpkit.jacobian.errors import JacobianError, LayoutError
from vjpkit.jacobian.layouts import layout_named
from vjpkit.jacobian.many import chunked, flat
from vjpkit.jacobian.pattern import TooLarge, linear_program, pattern
from vjpkit.jacobian.patterned import Sparse
from vjpkit.jacobian.structure import Probe, Structure, compressed, find
from vjpkit.jacobian.vec import vec as as_vector

Fn = Callable[..., Any]


def jacobian(f: Fn, *args: Any, wrt: int | str = 0) -> Jacobian:
    """The Jacobian of f at args in one of them, as an operator.

        J = ∂f/∂args[wrt]           J @ v = J v         J.T @ g = Jᵀ g

    Args:    f: from arrays (and whatever else it takes) to one float array.  wrt: which argument, by place or name.
    Returns: a `Jacobian`; nothing of size m × n is formed until `materialize()`.
    Raises:  JacobianError where there is no such argument, or where it or the output is no float array.
    """
    name = getattr(f, "__name__", type(f).__name__)
    if not callable(f):
        raise JacobianError(f"jacobian: expected a function, got {type(f).__name__}")
    place = place_of("jacobian", f, args, wrt)
    x = args[place]
    if not hasattr(x, "dtype") and not isinstance(x, float):
        raise JacobianError(f"jacobian of {name}: argument {wrt!r} is {_told(x)}; wrt names one array of floats")
    x = jnp.asarray(x)
    if not jnp.issubdtype(x.dtype, jnp.floating):
        raise JacobianError(f"jacobian of {name}: argument {wrt!r} is {x.dtype}, which has no derivative; give floats")

    def of_one(value: Any) -> Any:
        return f(*args[:place], value, *args[place + 1 :])

    out = jax.eval_shape(of_one, x)
    if not hasattr(out, "dtype"):
        raise JacobianError(f"jacobian of {name}: its output is {_told(out)}; return one array of it")
    if not jnp.issubdtype(out.dtype, jnp.floating):
        raise JacobianError(f"jacobian of {name}: its output is {out.dtype}, which has no derivative")
    return Jacobian(of_one, x, name)


def sparse_jacobian(f: Fn, *args: Any, wrt: int | str = 0) -> Sparse:
    """The Jacobian's entries alone, compressed by colouring, in the mode that needs fewer products.

    Raises:  JacobianError, as `jacobian` does, and where the pattern is too large to list.
    """
    return jacobian(f, *args, wrt=wrt).sparse()


class Jacobian(Displayed):
    """∂out/∂in at a point, in numerator layout: out.shape + in.shape. Made by `jacobian`.

    Attributes: name, out_shape, in_shape, dtype, value (the function's), shape, T, structure, pattern, constant,
    symmetric (known to be, as a Hessian is).
    """

    def __init__(self, f: Callable[[Any], Any], x: Any, name: str, *, symmetric: bool = False) -> None:
        self.name, self.in_shape, self.dtype, self.symmetric = name, x.shape, x.dtype, symmetric
        self._f, self._x = f, x
        self.value, self._jvp, self._program = linear_program(f, x)
        self.out_shape = self.value.shape
        like = jax.ShapeDtypeStruct(x.shape, x.dtype)
        self._transpose = jax.linear_transpose(self._jvp, like)
        self.columns = chunked(flat(lambda J, v: J(v), x), self._jvp, x)
        self.rows = chunked(flat(lambda J, g: jax.linear_transpose(J, like)(g)[0], self.value), self._jvp, self.value)

    @property
    def shape(self) -> tuple[int, ...]:
        return self.out_shape + self.in_shape

    def __matmul__(self, v: Any) -> Any:
        """J v: a JVP, of a tangent shaped like the argument."""
        v = jnp.asarray(v, self.dtype)
        if v.shape != self.in_shape:
            hint = "; a cotangent goes to J.T @ g" if v.shape == self.out_shape else ""
            raise ShapeError(
                f"J @ v, J of {self.name}: expected a tangent {list(self.in_shape)}, got {list(v.shape)}{hint}"
            )
        return self._jvp(v)

    def vjp(self, g: Any) -> Any:
        """Jᵀ g, of a cotangent shaped like the output."""
        g = jnp.asarray(g, self.value.dtype)
        if g.shape != self.out_shape:
            hint = "; a tangent, or the primal, goes to J @ v" if g.shape == self.in_shape else ""
            raise ShapeError(
                f"J.T @ g, J of {self.name}: expected a cotangent {list(self.out_shape)}, got {list(g.shape)}{hint}"
            )
        return self._transpose(g)[0]

    def flat_jvp(self, v: Any) -> Any:
        return self._jvp(v.reshape(self.in_shape)).ravel()

    def flat_vjp(self, g: Any) -> Any:
        return self._transpose(g.reshape(self.out_shape).astype(self.value.dtype))[0].ravel()

    @property
    def T(self) -> Transposed:
        return Transposed(self)

    @functools.cached_property
    def pattern(self) -> np.ndarray | None:
        """A bit mask for each entry of the output: which entries of the input it reads; None where too large."""
        try:
            return pattern(self._program)
        except TooLarge:
            return None

    @functools.cached_property
    def constant(self) -> bool:
        """Whether this is proven to be the Jacobian at every point: the function is affine."""
        return is_constant(self._f, self._x)

    @functools.cached_property
    def structure(self) -> Structure:
        """What kind of matrix this is: of all that could stand here, not of the numbers that happen to."""
        return find(self, self.pattern)

    def elsewhere(self) -> Jacobian:
        """That of the same function at a random point."""
        x = np.random.default_rng(3).standard_normal(self.in_shape)
        return Jacobian(self._f, jnp.asarray(x, self.dtype), self.name, symmetric=self.symmetric)

    # ------------------------------------------------------------------------------------------- numbers

    @functools.cached_property
    def _matrix(self) -> Any:
        """[m, n], rows laid out as `reshape` does; by whichever mode takes fewer products."""
        m, n = math.prod(self.out_shape), math.prod(self.in_shape)
        if self.__dict__.get("structure") and self.structure.operator is not None:
            return self.structure.operator.materialize().astype(self.value.dtype)
        return jnp.asarray(self.columns(np.eye(n)).T if n <= m else self.rows(np.eye(m)))

    def materialize(self, layout: str = "numerator", vec: str | None = None) -> Any:
        """The numbers.

        Args:    layout: "numerator" [*out, *in]; "denominator" [*in, *out]; "argument" [*in], as jax.grad, for a
                 scalar output.  vec: "C" or "F" flattens output and input in that order, to a matrix.
        Raises:  LayoutError for another layout, and for "argument" where the output is no scalar.
        """
        layout = layout_named(layout)
        m, n = len(self.out_shape), len(self.in_shape)
        if layout == "argument" and m:
            raise LayoutError(
                f"jacobian of {self.name}: the argument's layout is for a scalar output, this one is "
                f"{list(self.out_shape)}; take 'numerator' or 'denominator'"
            )
        array = self._matrix.reshape(self.shape)
        if vec is not None:
            array = jax.vmap(lambda row: as_vector(row, vec))(array.reshape(-1, *self.in_shape))  # type: ignore[arg-type]
            array = array.reshape(*self.out_shape, -1)
            array = jax.vmap(lambda c: as_vector(c, vec), -1, -1)(array)  # type: ignore[arg-type]
            m, n = 1, 1
            if layout == "argument":
                return array[0]
        if layout == "denominator":
            return jnp.transpose(array, (*range(m, m + n), *range(m)))
        return array

    def sparse(self) -> Sparse:
        """The entries alone, compressed by colouring, in the mode that needs fewer products.

        Raises:  JacobianError where the pattern is too large to list.
        """
        if self.pattern is None:
            raise JacobianError(f"sparse, of {self!r}: too large for its pattern to be listed")
        return compressed(Probe(self, self.pattern), *entries([int(mask) for mask in self.pattern]))

    def row(self, *index: int) -> Any:
        """The gradient of one entry of the output, shaped like the argument: one VJP."""
        return self.vjp(jnp.zeros(self.out_shape, self.value.dtype).at[self._at(index, self.out_shape)].set(1))

    def column(self, *index: int) -> Any:
        """How the output moves with one entry of the argument: one JVP."""
        return self @ jnp.zeros(self.in_shape, self.dtype).at[self._at(index, self.in_shape)].set(1)

    def block(self, out: int, of: int | None = None) -> Any:
        """The Jacobian of the output's slice `out` of axis 0 in the argument's slice `of` (the same if left out)."""
        of = out if of is None else of
        self._at((out,), self.out_shape), self._at((of,), self.in_shape)
        inner = self.in_shape[1:]

        def column(v: Any) -> Any:
            return (self @ jnp.zeros(self.in_shape, self.dtype).at[of].set(v.reshape(inner)))[out]

        size = math.prod(inner)
        found = jax.vmap(column, out_axes=-1)(jnp.eye(size, dtype=self.dtype))
        return found.reshape(*self.out_shape[1:], *inner)

    def norm(self, kind: str | int | float = "fro") -> Any:
        """Frobenius, or "2" (the largest singular value, by power iteration), 1, inf; row by row, never m × n."""
        m, n = math.prod(self.out_shape), math.prod(self.in_shape)
        if kind in (2, "2"):
            return self._largest_singular_value()
        if kind not in ("fro", 1, float("inf"), "inf"):
            raise ValueError(f"norm of the jacobian of {self.name}: expected 'fro', 1, 2 or inf, got {kind!r}")
        by_column = kind == 1 or (kind == "fro" and n <= m)
        size, product = (n, self.flat_jvp) if by_column else (m, self.flat_vjp)
        measure = (lambda a: jnp.sum(a * a)) if kind == "fro" else (lambda a: jnp.sum(jnp.abs(a)))
        found = jax.lax.map(lambda k: measure(product(jax.nn.one_hot(k, size, dtype=self.dtype))), jnp.arange(size))
        return jnp.sqrt(found.sum()) if kind == "fro" else found.max()

    def _largest_singular_value(self, steps: int = 100) -> Any:
        v = jnp.asarray(np.random.default_rng(0).standard_normal(math.prod(self.in_shape)), self.dtype)

        def step(_: int, v: Any) -> Any:
            w = self.flat_vjp(self.flat_jvp(v / jnp.maximum(jnp.linalg.norm(v), jnp.finfo(v.dtype).tiny)))
            return w.astype(v.dtype)

        return jnp.sqrt(jnp.linalg.norm(jax.lax.fori_loop(0, steps, step, v)))

    def _at(self, index: Sequence[int], shape: tuple[int, ...]) -> tuple[int, ...]:
        if len(index) > len(shape) or any(not -s <= i < s for i, s in zip(index, shape, strict=False)):
            raise IndexError(f"jacobian of {self.name}: no index {list(index)} in a shape of {list(shape)}")
        if len(index) < len(shape) and len(index) != 1:
            raise IndexError(f"jacobian of {self.name}: expected {len(shape)} indices, got {list(index)}")
        return tuple(index)

    @property
    def formula(self) -> str:
        known = self.structure.operator
        space = reals(self.out_shape, self.in_shape)
        return rf"J_{{{upright(self.name)}}} \in {space}" + (rf", \, J = {known.formula}" if known is not None else "")

    def facts(self) -> dict[str, str]:
        shape = f"{list(self.out_shape)} by {list(self.in_shape)}"
        return {"jacobian of": self.name, "shape": shape, "structure": str(self.structure)}

    def few_numbers(self) -> Any:
        return self.materialize(vec="C") if math.prod(self.shape) <= NUMBERS else None

    def __repr__(self) -> str:
        return f"<jacobian of {self.name}: {list(self.out_shape)} by {list(self.in_shape)}>"


class Transposed:
    """Jᵀ, of a `Jacobian`: `J.T @ g` is a VJP."""

    def __init__(self, J: Jacobian) -> None:
        self.T = J
        self.shape = J.in_shape + J.out_shape

    def __matmul__(self, g: Any) -> Any:
        return self.T.vjp(g)

    def materialize(self) -> Any:
        return self.T.materialize("denominator")

    def __repr__(self) -> str:
        return f"{self.T!r}.T"


def place_of(asked: str, f: Fn, args: Sequence[Any], wrt: int | str) -> int:
    """Where the argument stands that `wrt` names."""
    name = getattr(f, "__name__", type(f).__name__)
    if isinstance(wrt, str):
        try:
            names = list(inspect.signature(f).parameters)
        except (TypeError, ValueError):
            names = []
        if wrt in names[: len(args)]:
            return names.index(wrt)
        raise JacobianError(f"{asked} of {name}: no argument {wrt!r} among {', '.join(names[: len(args)]) or 'none'}")
    if not isinstance(wrt, int) or not -len(args) <= wrt < len(args):
        raise JacobianError(f"{asked} of {name}: wrt names one of {len(args)} arguments, got {wrt!r}")
    return wrt % len(args)


def _told(x: Any) -> str:
    return f"a {type(x).__name__} of {len(x)}" if isinstance(x, dict | list | tuple) else f"a {type(x).__name__}"
