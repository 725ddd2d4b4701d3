"""Linear algebra as a hand writes its derivative: whole inverses and products, not what a factorisation is made of.

The derivative of A⁻¹b is written A⁻ᵀ g and −A⁻ᵀ g xᵀ, that of det A is det(A) A⁻ᵀ g. Autodiff goes through
pivots and triangular solves, in which no mistake of a hand can be planted. So a function's call of `jnp.linalg` is one
equation, whose derivative is the hand's; and wherever a solve is linear in its right-hand side, it is the inverse
times that.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

_JAX = str(Path(jax.__file__).parent)
Fn = Callable[..., Any]


class Operator:
    """A function of matrices as a primitive: in NumPy, or in JAX with its hand-written derivative."""

    def __init__(
        self, name: str, in_numpy: Fn, in_jax: Fn, several: bool = False, inverse: Any = None, left: bool = True
    ) -> None:
        self.name, self.in_numpy, self.in_jax, self.multiple_results = name, in_numpy, in_jax, several
        self.inverse, self.left = inverse, left  # of a solve: the matrix that it multiplies by, and on which side

    def bind(self, *values: Any) -> Any:
        return (self.in_numpy if all(isinstance(v, np.ndarray) for v in values) else self.in_jax)(*values)


def operator_of(eqn: Any) -> Operator | None:
    """What an equation is, where it is a call of one of JAX's functions of matrices; None where it is not."""
    if eqn.primitive.name == "triangular_solve":
        return None if eqn.params["conjugate_a"] else triangular(eqn.params)
    if eqn.params.get("name") == _INVERSE:
        return INVERSE
    operator = OPERATORS.get(eqn.params.get("name", "")) if eqn.primitive.name in ("jit", "pjit") else None
    if operator is None:
        return None
    info, ranks = eqn.params["jaxpr"].jaxpr.debug_info, tuple(np.ndim(v.aval) for v in eqn.invars)
    named = info.arg_names and _JAX in (info.func_src_info or "")  # what autodiff has made of a call has no names
    fits = ranks in ((ranks[0],), (ranks[0], ranks[0]), (2, 1)) and len(ranks) == 1 + (operator.inverse is not None)
    return operator if named and fits else None


def product(ranks: tuple[int, int]) -> dict[str, Any]:
    """The parameters of the equation `a @ b`."""
    batch = tuple(range(ranks[0] - 2))
    inner = ((ranks[0] - 1,), (max(ranks[1] - 2, 0),))
    return {"dimension_numbers": (inner, (batch, batch)), "precision": None, "preferred_element_type": None}


def _t(a: Any) -> Any:
    return a.swapaxes(-1, -2)


def _with_derivative(f: Fn, tangent: Fn) -> Fn:
    """`f` with the tangent that a hand writes, a function of the answer, the arguments and their tangents."""
    g = jax.custom_jvp(f)

    @g.defjvp
    def rule(primals: Any, tangents: Any) -> Any:
        y = g(*primals)
        return y, tangent(y, primals, tangents)

    return g


def _coefficient_inverse(a: Any) -> Any:
    """The inverse, where it is no function's own but a coefficient of a tangent."""
    return jnp.linalg.inv(a)


_INVERSE = _coefficient_inverse.__name__
coefficient_inverse = jax.jit(_coefficient_inverse)


def _inverse_tangent(y: Any, primals: Any, tangents: Any) -> Any:  # −A⁻¹ Ȧ A⁻¹
    return -(y @ (tangents[0] @ y))


def _solve_tangent(y: Any, primals: Any, tangents: Any) -> Any:  # A⁻¹ (ḃ − Ȧ y)
    return coefficient_inverse(primals[0]) @ (tangents[1] - tangents[0] @ y)


def _trace_tangent(a: Any, a_dot: Any) -> Any:  # tr(A⁻¹ Ȧ)
    return jnp.sum(_t(coefficient_inverse(a)) * a_dot, (-2, -1))


def _det_tangent(y: Any, primals: Any, tangents: Any) -> Any:  # det(A) tr(A⁻¹ Ȧ)
    return y * _trace_tangent(primals[0], tangents[0])


def _slogdet_tangent(y: Any, primals: Any, tangents: Any) -> Any:
    return jnp.zeros_like(y[0]), _trace_tangent(primals[0], tangents[0])


def _symmetric(a: Any) -> Any:
    return (a + _t(a)) / 2


def _cholesky_tangent(y: Any, primals: Any, tangents: Any) -> Any:  # L (Φ ⊙ L⁻¹ Ȧ L⁻ᵀ), Φ: 1 below, ½ on the diagonal
    inverse, n = coefficient_inverse(y), y.shape[-1]
    return y @ ((np.tri(n) - np.eye(n) / 2) * (inverse @ _symmetric(tangents[0]) @ _t(inverse)))


def _eigh_tangent(y: Any, primals: Any, tangents: Any) -> Any:  # diag(VᵀȦV), V (F ⊙ VᵀȦV)
    w, v = y
    middle = _t(v) @ _symmetric(tangents[0]) @ v
    apart = w[..., None, :] - w[..., :, None] + np.eye(w.shape[-1])
    return jnp.diagonal(middle, axis1=-2, axis2=-1), v @ ((1 - np.eye(w.shape[-1])) / apart * middle)


def _solve_in_numpy(a: Any, b: Any) -> Any:
    return np.linalg.solve(a, b[..., None])[..., 0] if b.ndim == 1 else np.linalg.solve(a, b)


def triangular(params: dict[str, Any]) -> Operator:
    """`triangular_solve` with these options."""

    def matrix(a: Any, unit: Any = 1.0) -> Any:
        """The triangle of `a` that is read, as it is read; `unit`: what stands for a diagonal of ones."""
        like = np if isinstance(a, np.ndarray) else jnp
        k = int(params["unit_diagonal"])
        half = like.tril(a, -k) if params["lower"] else like.triu(a, k)
        half = half + unit * np.eye(a.shape[-1]) * k
        return _t(half) if params["transpose_a"] else half

    def in_numpy(a: Any, b: Any) -> Any:
        inverse = np.linalg.inv(matrix(a))
        return inverse @ b if params["left_side"] else b @ inverse

    def in_jax(a: Any, b: Any) -> Any:
        return jax.lax.linalg.triangular_solve(a, b, **params)

    def tangent(y: Any, primals: Any, tangents: Any) -> Any:
        inverse, m_dot = coefficient_inverse(matrix(primals[0])), matrix(tangents[0], 0.0)
        if params["left_side"]:
            return inverse @ (tangents[1] - m_dot @ y)
        return (tangents[1] - y @ m_dot) @ inverse

    inverse = Operator("inv", lambda a: np.linalg.inv(matrix(a)), lambda a: jnp.linalg.inv(matrix(a)))
    return Operator(
        "triangular_solve", in_numpy, _with_derivative(in_jax, tangent), False, inverse, params["left_side"]
    )


INVERSE = Operator("inv", np.linalg.inv, _with_derivative(jnp.linalg.inv, _inverse_tangent))
OPERATORS = {
    "inv": INVERSE,
    "solve": Operator("solve", _solve_in_numpy, _with_derivative(jnp.linalg.solve, _solve_tangent), False, INVERSE),
    "det": Operator("det", np.linalg.det, _with_derivative(jnp.linalg.det, _det_tangent)),
    "slogdet": Operator(
        "slogdet",
        lambda a: [np.asarray(x) for x in np.linalg.slogdet(a)],
        _with_derivative(lambda a: tuple(jnp.linalg.slogdet(a)), _slogdet_tangent),
        True,
    ),
    "cholesky": Operator(
        "cholesky",
        lambda a: np.linalg.cholesky((a + _t(a)) / 2),
        _with_derivative(jnp.linalg.cholesky, _cholesky_tangent),
    ),
    "eigh": Operator(
        "eigh",
        lambda a: [np.asarray(x) for x in np.linalg.eigh((a + _t(a)) / 2)],
        _with_derivative(lambda a: tuple(jnp.linalg.eigh(a)), _eigh_tangent),
        True,
    ),
}
