"""vjpkit.inline: no primitive of ours is left, at any depth; the value is the same, the derivative is autodiff's."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import pytest
from jax import lax
from jax.sharding import PartitionSpec as P

from vjpkit.core import inline

from .probe import primitives
from .row import X_DOT, XS, V, W, X, assert_close, weigh
from .subjects import RULES, subjects


def _sharded(f: Any) -> Any:
    mesh = jax.make_mesh((2,), ("i",), axis_types=(jax.sharding.AxisType.Auto,), devices=jax.devices()[:2])
    return jax.shard_map(f, mesh=mesh, in_specs=(P("i"), P()), out_specs=P("i"))


def _custom_jvp(f: Any) -> Any:
    g = jax.custom_jvp(lambda x: f.wave(x))
    g.defjvp(lambda primals, tangents: jax.jvp(f.wave, primals, tangents))
    return g


def _custom_vjp(f: Any) -> Any:
    g = jax.custom_vjp(lambda x: f.wave(x))
    g.defvjp(lambda x: jax.vjp(f.wave, x), lambda pull, bar: pull(bar))
    return g


# Functions of one array; `f` is the rules, planted, or the primals.
FUNCTIONS: dict[str, Any] = {
    "one rule": lambda f: lambda x: f.layer(x, W),
    "two rules": lambda f: lambda x: f.wave(f.layer(f.layer(x, W), V)),
    "a rule in a rule": lambda f: f.nest,
    "pytrees": lambda f: lambda x: f.pair({"x": x, "w": (W,)}),
    "integer output": lambda f: f.peak,
    "static option": lambda f: lambda x: f.power(x, n=3),
    "a loop in a rule": lambda f: f.relax,
    "linear": lambda f: f.running,
    "closed-over array": lambda f: lambda x: f.layer(x, jnp.asarray(W)) + jnp.asarray(V).sum(),
    "no rule at all": lambda f: lambda x: jnp.sin(x),
    "jit": lambda f: jax.jit(lambda x: f.layer(x, W)),
    "jit in jit": lambda f: jax.jit(lambda x: jax.jit(f.wave)(jax.jit(f.wave)(x))),
    "scan": lambda f: lambda x: lax.scan(lambda c, _: (f.layer(f.layer(c, W), V), f.wave(c)), x, length=3),
    "map": lambda f: lambda x: lax.map(lambda row: f.layer(row[None], W), x),
    "fori_loop": lambda f: lambda x: lax.fori_loop(0, 3, lambda _, c: f.wave(c), x),
    "cond": lambda f: lambda x: lax.cond(x[0, 0] > 0, f.wave, lambda x: f.wave(-x), x),
    "switch": lambda f: lambda x: lax.switch(jnp.argmax(x[0]), [f.wave, jnp.sin, lambda x: f.wave(2 * x)], x),
    "checkpoint": lambda f: jax.checkpoint(lambda x: f.layer(x, W)),
    "checkpoint in scan": lambda f: lambda x: lax.scan(lambda c, _: (jax.checkpoint(f.wave)(c), None), x, length=3)[0],
    "shard_map": lambda f: lambda x: _sharded(f.layer)(x, W),
    "vmap": lambda f: jax.vmap(lambda row: f.layer(row[None], W)),
    "vmap, axis_name": lambda f: jax.vmap(f.spread, axis_name="i"),
    "custom_vjp": _custom_vjp,
    "jvp": lambda f: lambda x: jax.jvp(f.wave, (x,), (X_DOT,)),
    "grad": lambda f: jax.grad(lambda x: weigh(f.layer(x, W))),
    "grad of vmap": lambda f: jax.grad(lambda x: weigh(jax.vmap(f.wave)(x))),
    "hessian": lambda f: jax.hessian(lambda x: weigh(f.wave(x))),
    "grad of scan": lambda f: jax.grad(lambda x: weigh(lax.map(f.wave, x))),
    "grad of checkpoint": lambda f: jax.grad(lambda x: weigh(jax.checkpoint(f.wave)(x))),
    "grad of shard_map": lambda f: jax.grad(lambda x: weigh(_sharded(f.layer)(x, W))),
}
# Derivatives of these are taken of the inlined function; not where the function is itself a derivative by the rule.
PLAIN = tuple(FUNCTIONS)[: tuple(FUNCTIONS).index("custom_vjp")]
OURS = {f"{name}{suffix}" for name in (*RULES, "sine") for suffix in ("", "_fwd", "_jvp", "_vjp")}
MOUNTS = pytest.mark.parametrize("mount", ["rule", "opaque"])


@MOUNTS
@pytest.mark.parametrize("name", FUNCTIONS)
def test_no_primitive_of_ours_is_left_and_the_value_is_the_same(name: str, mount: str) -> None:
    f = FUNCTIONS[name](subjects(mount))
    assert name == "no rule at all" or primitives(f, X) & OURS
    assert not primitives(inline(f), X) & OURS
    assert_close(inline(f)(X), FUNCTIONS[name](subjects("primal"))(X), 1e-12)


@MOUNTS
@pytest.mark.parametrize("name", PLAIN)
def test_the_gradient_is_that_of_autodiff(name: str, mount: str) -> None:
    """The planted factors are gone with the rule; so they are in forward mode."""
    inlined, plain = (inline(FUNCTIONS[name](subjects(f"planted {mount}"))), FUNCTIONS[name](subjects("primal")))
    assert_close(jax.grad(lambda x: weigh(inlined(x)))(X), jax.grad(lambda x: weigh(plain(x)))(X), 1e-12)
    got, want = (jax.jvp(lambda x, f=f: weigh(f(x)), (X,), (X_DOT,)) for f in (inlined, plain))
    assert_close(got, want, 1e-12)


@pytest.mark.parametrize(("factor", "derive"), [(2, jax.jacfwd), (3, jax.jacrev)])
def test_a_derivative_inside_is_inlined_as_the_rule_wrote_it(factor: int, derive: Any) -> None:
    """What is traced is what runs: a map that was bound before inlining is replaced by its own formula."""
    planted, plain = subjects("planted rule"), subjects("primal")
    assert_close(inline(derive(lambda x: planted.wave(x)))(X), factor * derive(plain.wave)(X), 1e-12)


def test_a_while_loop_inside() -> None:
    def f(wave: Any) -> Any:
        return lambda x: lax.while_loop(
            lambda s: jnp.sum(s[1] ** 2) > 0.01, lambda s: (s[0] + 1, wave(s[1]) / 2), (0, x)
        )

    ours, plain = subjects("planted rule").wave, subjects("primal").wave
    assert primitives(f(ours), X) & OURS
    assert not primitives(inline(f(ours)), X) & OURS
    assert_close(inline(f(ours))(X), f(plain)(X), 1e-12)
    got, want = (jax.jvp(lambda x, g=g: g(x)[1], (X,), (X_DOT,)) for g in (inline(f(ours)), f(plain)))
    assert_close(got, want, 1e-12)


def test_a_custom_jvp_function_inside() -> None:
    f = _custom_jvp(subjects("rule"))
    assert not primitives(inline(f), X) & OURS
    assert_close(inline(f)(X), jnp.tanh(X), 1e-12)


def test_the_derivative_of_a_custom_function_that_calls_rules() -> None:
    """Such a function's rules are traced when it is differentiated: inline what is differentiated, not the function."""
    for f in (_custom_jvp(subjects("rule")), _custom_vjp(subjects("rule"))):
        derivative = inline(jax.grad(lambda x, f=f: weigh(f(x))))
        assert_close(derivative(X), jax.grad(lambda x: weigh(jnp.tanh(x)))(X), 1e-12)
        assert not primitives(derivative, X) & OURS


def test_under_transformations_of_its_own() -> None:
    layer, plain = inline(subjects("rule").layer), subjects("primal").layer
    assert_close(jax.jit(layer)(X, W), plain(X, W), 1e-12)
    assert_close(jax.vmap(layer, (0, None))(XS, W), jax.vmap(plain, (0, None))(XS, W), 1e-12)
    assert_close(inline(jax.jit(layer))(X, W), plain(X, W), 1e-12)
    assert not primitives(jax.jit(layer), X, W) & OURS


def test_it_keeps_name_keywords_and_structure() -> None:
    def pair(p: Any, *, scale: float = 1.0) -> Any:
        return {"y": subjects("rule").layer(p["x"], p["w"]) * scale, "n": 3}

    inlined = inline(pair)
    assert inlined.__name__ == "pair"
    got = inlined({"x": X, "w": W}, scale=2.0)
    assert set(got) == {"y", "n"}
    assert_close(got["y"], 2.0 * jnp.tanh(X @ W), 1e-12)
