"""The truth beside a rule: its primal under JAX's own autodiff in float64, and how far from it is too far."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vjpkit.catalogue import CASES as CASES
from vjpkit.check.compiling import jit
from vjpkit.core import Case, Draw, Rule, inline
from vjpkit.core.calling import with_options
from vjpkit.core.case import fullest

FULLEST = [CASES[i] for i in fullest(CASES)]  # one case of each rule

# A wrong rule differs in the first digits; two right ones, in float64, only where they round and sum otherwise.
FLOAT64 = 4096 * np.finfo(np.float64).eps


def name(case: Case) -> str:
    """The case as a test's id, without drawing anything."""
    shapes = ["x".join(map(str, np.shape(a) if not isinstance(a, Draw) else a.shape)) or "scalar" for a in draws(case)]
    return "-".join([case.rule.name, *shapes, *(f"{k}={v}" for k, v in case.static.items())])


def draws(case: Case) -> list[Any]:
    """The leaves of a case's arguments before they are drawn."""
    return jax.tree.leaves(case.args, is_leaf=lambda a: isinstance(a, Draw))


def is_fullest(case: Case) -> bool:
    """Whether it is its rule's case in FULLEST, or of a rule that has no case in the catalogue."""
    of_rule = [c for c in FULLEST if c.rule is case.rule]
    return not of_rule or of_rule[0] is case


def each(cases: Sequence[Case] = CASES) -> Any:
    """Run the test for every case."""
    return pytest.mark.parametrize("case", cases, ids=map(name, cases))


class Problem:
    """A rule at a point, as a function of its float leaves `x` alone: by the rule (`ours`), by its primal (`plain`)."""

    def __init__(self, rule: Rule, args: tuple[Any, ...], static: Any) -> None:
        paths, self.tree = jax.tree_util.tree_flatten_with_path(args)
        self.rule, self.static, self.leaves = rule, dict(static), [leaf for _, leaf in paths]
        self.moving = [i for i, leaf in enumerate(self.leaves) if jnp.issubdtype(jnp.result_type(leaf), jnp.inexact)]
        self.names = [rule.argument_names(len(args))[paths[i][0][0].idx] for i in self.moving]

    @classmethod
    def of(cls, case: Case, dtype: Any = jnp.float64, seed: int = 0) -> Problem:
        return cls(case.rule, case.draw(seed, dtype), case.static)

    def at(self, leaves: Sequence[Any]) -> Problem:
        """The same rule at other leaves."""
        return Problem(self.rule, jax.tree.unflatten(self.tree, leaves), self.static)

    @property
    def x(self) -> tuple[Any, ...]:
        return tuple(self.leaves[i] for i in self.moving)

    def args(self, *x: Any) -> tuple[Any, ...]:
        """The rule's arguments with `x` for the float leaves."""
        at = dict(enumerate(self.leaves)) | dict(zip(self.moving, x, strict=True))
        return jax.tree.unflatten(self.tree, [at[i] for i in range(len(at))])

    def ours(self, *x: Any) -> Any:
        return joined(call(self.rule, self, x))

    def plain(self, *x: Any) -> Any:
        return joined(inline(lambda *x: call(self.rule.primal, self, x))(*x))

    def only(self, f: Callable[..., Any], k: int) -> Callable[[Any], Any]:
        """`f` as a function of its k-th float leaf."""
        return lambda value: f(*(value if i == k else x for i, x in enumerate(self.x)))

    def exact(self) -> Problem:
        """The same point, its numbers unchanged, in float64."""
        return self.astype(np.float64)

    def astype(self, dtype: Any) -> Problem:
        """The same point, its float leaves rounded to `dtype`; by NumPy, for JAX compiles a program for each shape."""
        return self.at([np.asarray(a).astype(dtype) if i in self.moving else a for i, a in enumerate(self.leaves)])

    def direction(self, seed: int) -> tuple[Any, ...]:
        """A random tangent, one for each float leaf."""
        return tuple(vector(a, seed + 17 * k) for k, a in enumerate(self.x))

    def cotangent(self, seed: int = 3) -> Any:
        """A random cotangent of the output."""
        return vector(jax.eval_shape(self.ours, *self.x), seed)


def joined(out: Any) -> Any:
    """An output as one array: several are strung together."""
    leaves = jax.tree.leaves(out)
    return leaves[0] if len(leaves) == 1 else jnp.concatenate([jnp.ravel(a) for a in leaves])


def call(f: Any, p: Problem, x: Sequence[Any]) -> Any:
    """`f`, whose signature is the rule's, at the problem's arguments and options, wherever the signature has them."""
    return with_options(f, p.static, {*p.static, *p.rule.static})(*p.args(*x))


def vector(like: Any, seed: int) -> Any:
    """Random numbers of both signs, none small, in the shape and dtype of `like`: never ones."""
    rng = np.random.default_rng(seed)
    values = rng.uniform(0.5, 2.0, np.shape(like)) * rng.choice([-1.0, 1.0], np.shape(like))
    flat = values.reshape(-1)
    if flat.size:
        flat[-1], flat[0] = abs(flat[-1]), -abs(flat[0])
    return flat.reshape(np.shape(like)).astype(jnp.result_type(like))


def vjp(f: Callable[..., Any], x: Sequence[Any], g: Any) -> tuple[Any, ...]:
    """The cotangents that `f` answers to g."""
    return jax.vjp(f, *x)[1](g)


# What is compared: of a function f of the float leaves x, for tangents u, v and the output's cotangent g.
QUANTITIES: dict[str, Callable[..., Any]] = {
    "value": lambda f, x, u, v, g: f(*x),
    "value of fwd": lambda f, x, u, v, g: jax.vjp(f, *x)[0],
    "dot": lambda f, x, u, v, g: jax.jvp(f, x, u)[1],
    "bars": lambda f, x, u, v, g: vjp(f, x, g),
    "rows": lambda f, x, u, v, g: jax.jacrev(f, _every(x))(*x),
    "columns": lambda f, x, u, v, g: jax.jacfwd(f, _every(x))(*x),
    # the second derivative: ∂/∂x of Jᵀ g along u in three nestings, and f''[u, v]
    "forward over reverse": lambda f, x, u, v, g: jax.jvp(lambda *x: vjp(f, x, g), x, u)[1],
    "reverse over forward": lambda f, x, u, v, g: jax.grad(lambda *x: jnp.vdot(g, jax.jvp(f, x, u)[1]), _every(x))(*x),
    "reverse over reverse": lambda f, x, u, v, g: vjp(lambda g, *x: vjp(f, x, g), (g, *x), u),
    "forward over forward": lambda f, x, u, v, g: jax.jvp(lambda *x: jax.jvp(f, x, u)[1], x, v)[1],
    # J v and Jᵀ g with one leaf perturbed, the others constant
    "alone": lambda f, x, u, v, g: [_alone(f, x, k, v[k], g) for k in _every(x)],
    # J v along each leaf alone, the others' tangents zero, and along all
    "dots": lambda f, x, u, v, g: {chosen: _moved(f, x, chosen, v) for chosen in choices(len(x))},
    # what rounding x and g moves the value and the cotangents by, in eps
    "scales": lambda f, x, u, v, g: _scales(f, x, g),
}
# The truth of a case is one program, whoever asks for it: of all that any of them asks for.
TRUTH = ("value", "dot", "bars", "rows", "columns", "forward over reverse", "forward over forward", "scales")


def _every(x: Any) -> tuple[int, ...]:
    return tuple(range(len(x)))


def _alone(f: Any, x: Any, k: int, v: Any, g: Any) -> Any:
    only = lambda a: f(*x[:k], a, *x[k + 1 :])  # noqa: E731
    return jax.jvp(only, (x[k],), (v,))[1], vjp(only, (x[k],), g)[0]


def choices(n: int) -> list[tuple[int, ...]]:
    """Each of n leaves alone, and all together."""
    return sorted({tuple(range(n)), *((k,) for k in range(n))} - {()})


def _moved(f: Any, x: Any, chosen: tuple[int, ...], v: Any) -> Any:
    return jax.jvp(f, x, tuple(a if k in chosen else jnp.zeros_like(a) for k, a in enumerate(v)))[1]


def _scales(f: Any, x: Any, g: Any) -> Any:
    """|y| + Σ |J| |x| for the value, Σ |J|ᵀ |g| + |∂(Jᵀ g)/∂x| |x| for each cotangent."""
    times = lambda jacobians: sum(jnp.tensordot(abs(J), abs(a), jnp.ndim(a)) for J, a in zip(jacobians, x, strict=True))  # noqa: E731
    rows, turns = jax.jacrev(f, _every(x))(*x), jax.jacfwd(lambda *x: vjp(f, x, g), _every(x))(*x)
    direct = [jnp.tensordot(abs(g), abs(J), g.ndim) for J in rows]
    return [abs(f(*x)) + times(rows), *(d + times(turn) for d, turn in zip(direct, turns, strict=True))]


def derivatives(p: Problem, by: str, quantities: Sequence[str], u: Any, v: Any, g: Any) -> dict[str, Any]:
    """Several of the quantities by the rule ("ours") or by autodiff of its primal ("plain"), in one program."""
    program = _program(by, tuple(quantities), p.rule, p.tree, tuple(sorted(p.static.items())))
    return program(p.leaves, u, v, g)


def truth(p: Problem, quantities: Sequence[str], u: Any, v: Any, g: Any) -> dict[str, Any]:
    """The same at the same numbers, in float64, by autodiff of the primal."""
    return derivatives(
        p.exact(), "plain", quantities, *jax.tree.map(lambda a: np.asarray(a).astype(np.float64), (u, v, g))
    )


@functools.lru_cache(maxsize=4096)
def _program(by: str, quantities: tuple[str, ...], rule: Rule, tree: Any, static: tuple[tuple[str, Any], ...]) -> Any:
    def program(leaves: Any, u: Any, v: Any, g: Any) -> Any:
        p = Problem(rule, jax.tree.unflatten(tree, leaves), dict(static))
        f = p.ours if by == "ours" else jax.jit(p.plain)  # which is traced once so
        return {q: QUANTITIES[q](f, p.x, u, v, g) for q in quantities}

    return jit(program)


def largest(a: Any) -> float:
    """The largest magnitude among the finite entries."""
    a = np.asarray(a, np.float64)
    return float(np.abs(a[np.isfinite(a)]).max(initial=0.0))


def error(got: Any, want: Any, scale: Any = None) -> float:
    """The largest error relative to the largest entry of `scale`, the truth itself if None; inf for a NaN."""
    got, want = (np.asarray(a, np.float64) for a in (got, want))
    assert got.shape == want.shape, f"shape {got.shape}, expected {want.shape}"
    finite = np.isfinite(want)
    if not np.array_equal(got[~finite], want[~finite], equal_nan=True) or not np.isfinite(got[finite]).all():
        return np.inf
    worst = np.abs(got[finite] - want[finite]).max(initial=0.0)
    size = largest(want if scale is None else scale)
    return 0.0 if worst == 0 else float(worst / size) if size else np.inf


def assert_close(got: Any, want: Any, what: str, within: float = FLOAT64, scale: Any = None) -> None:
    """Fail, showing both, where the error relative to the truth's scale is more than `within`."""
    e = error(got, want, scale)
    assert e <= within, f"{what}: error {e:.3g} of its scale, allowed {within:.3g}\ngot      {got}\nexpected {want}"


def assert_all_close(got: Sequence[Any], want: Sequence[Any], p: Problem, what: str, within: float = FLOAT64) -> None:
    """`assert_close` for one array per float leaf, at the scale of the largest: some are 0 but for rounding."""
    scale = max(map(largest, want))
    for name, a, b in zip(p.names, got, want, strict=True):
        assert_close(a, b, f"{p.rule.name}: {what} {name}", within, scale)


def inner(a: Any, b: Any) -> tuple[float, float]:
    """⟨a, b⟩ in float64, and the sum of the products' magnitudes, which its rounding is measured by."""
    products = np.asarray(a, np.float64) * np.asarray(b, np.float64)
    return float(products.sum()), float(np.abs(products).sum())


def assert_adjoint(g: Any, dot: Any, bar: Any, v: Any, what: str, eps: float = float(np.finfo(np.float64).eps)) -> None:
    """⟨g, J v⟩ = ⟨Jᵀ g, v⟩ to rounding."""
    (left, left_size), (right, right_size) = inner(g, dot), inner(bar, v)
    allowed = 64 * eps * (left_size + right_size)
    assert abs(left - right) <= allowed, (
        f"{what}: ⟨g, J v⟩ = {left!r}, ⟨Jᵀ g, v⟩ = {right!r}, allowed {allowed:.3g} apart"
    )
