"""What reverse mode keeps, which map is traced, and how much work and memory that leaves."""

from __future__ import annotations

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from vjpkit.core import Rule, elementwise, mount, rule

from . import functions, kinds
from .probe import Counted, equations, kept
from .row import X_DOT, XS, G, V, W, X, draw, weigh

ROUNDED = 8 * float(np.finfo(np.float64).eps)  # the same few operations by NumPy and by XLA, each good to an ulp or two

OPAQUE = pytest.mark.parametrize("opaque", [False, True], ids=["transparent", "opaque"])


def as_opaque(r: Rule, opaque: bool) -> Rule:
    return r.defrule(fwd=r.fwd, jvp=r.jvp, vjp=r.vjp, opaque=opaque)


def product() -> Rule:
    """x w, whose cotangents each need the other operand."""

    @rule
    def product(x, w):
        return x @ w

    def fwd(x, w):
        return x @ w, (x, w)

    def jvp(res, x_dot, w_dot):
        x, w = res
        return x_dot @ w + x @ w_dot

    def vjp(res, g):
        x, w = res
        return g @ w.T, x.T @ g

    return product.defrule(fwd=fwd, jvp=jvp, vjp=vjp)


def assert_kept(f: Any, args: tuple[Any, ...], want: list[Any]) -> None:
    """The kept arrays are exactly `want`, as a multiset."""
    got = [np.asarray(leaf) for leaf in kept(f, *args)]
    assert len(got) == len(want), [a.shape for a in got]
    for w in want:
        at = next(
            (i for i, a in enumerate(got) if a.shape == np.shape(w) and np.allclose(a, w, rtol=ROUNDED, atol=0)), None
        )
        assert at is not None, f"{np.shape(w)} is not among {[a.shape for a in got]}"
        del got[at]


# --------------------------------------------------------------------------------------------- what is kept


@OPAQUE
def test_the_chosen_residuals_are_kept_and_no_others(opaque: bool) -> None:
    layer = as_opaque(functions.layer(), opaque)
    assert_kept(layer, (X, W), [X, W, np.tanh(X @ W)])
    assert_kept(jax.jit(layer), (X, W), [X, W, np.tanh(X @ W)])
    assert_kept(as_opaque(functions.wave(), opaque), (X,), [np.tanh(X)])


def test_autodiff_keeps_another_set() -> None:
    """The assertion above can fail: for this function autodiff keeps more."""
    double = kinds.power().primal
    assert len(kept(lambda x: jnp.tanh(double(x, n=3)), X)) > 1


@OPAQUE
def test_an_elementwise_rule_keeps_what_its_slopes_read(opaque: bool) -> None:
    @elementwise(slope=(lambda w: w, lambda x: x))
    def times(x, w):
        return x * w

    @elementwise(slope=lambda: 2.0)
    def double(x):
        return 2.0 * x

    assert_kept(as_opaque(times, opaque), (X, X_DOT), [X, X_DOT])
    assert_kept(as_opaque(double, opaque), (X,), [])


@OPAQUE
def test_an_array_that_is_named_twice_among_the_residuals_is_kept_once(opaque: bool) -> None:
    @rule
    def swish(x):
        return x * jax.nn.sigmoid(x)

    def fwd(x):
        s = jax.nn.sigmoid(x)
        return x * s, {"gate": s, "slope": (s, s + x * s * (1 - s), s)}

    def jvp(res, x_dot):
        return (res["slope"][1] + 0 * (res["gate"] - res["slope"][2])) * x_dot

    swish.defrule(fwd=fwd, jvp=jvp, opaque=opaque)
    s = jax.nn.sigmoid(X)
    assert_kept(swish, (X,), [s, s + X * s * (1 - s)])
    assert_kept(jax.jit(swish), (X,), [s, s + X * s * (1 - s)])
    np.testing.assert_allclose(jax.vjp(swish, X)[1](X_DOT)[0], jax.vjp(swish.primal, X)[1](X_DOT)[0], rtol=ROUNDED)


def test_residuals_stay_unbatched_under_vmap() -> None:
    """The weights are kept once, not once for each example."""
    shapes = sorted(leaf.shape for leaf in kept(jax.vmap(functions.layer(), (0, None)), XS, W))
    assert shapes == [(3, 5), (7, 2, 3), (7, 2, 5)]


@OPAQUE
def test_scan_stacks_only_what_varies(opaque: bool) -> None:
    """A loop's stacked residuals are those of the rule, weights once."""
    layer = as_opaque(functions.layer(), opaque)
    shapes = sorted(leaf.shape for leaf in kept(lambda xs, w: lax.map(lambda x: layer(x, w), xs), XS, W))
    assert shapes == [(3, 5), (7, 2, 3), (7, 2, 5)]


# --------------------------------------------------------------------------------------- which map is traced

REVERSE = {
    "grad": lambda f: jax.grad(lambda x: weigh(f(x, W)))(X),
    "jit of grad": lambda f: jax.jit(jax.grad(lambda x: weigh(f(x, W))))(X),
    "vjp": lambda f: jax.vjp(f, X, W)[1](G),
    "jacrev": lambda f: jax.jacrev(f)(X, W),
    "vmap of grad": lambda f: jax.vmap(jax.grad(lambda x: weigh(f(x, W))))(XS),
    "grad of vmap": lambda f: jax.grad(lambda w: weigh(jax.vmap(f, (0, None))(XS, w)))(W),
    "grad of scan": lambda f: jax.grad(lambda w: weigh(lax.map(lambda x: f(x, w), XS)))(W),
    "grad of cond": lambda f: jax.grad(lambda x: weigh(lax.cond(x[0, 0] > 0, f, lambda x, w: f(-x, w), x, W)))(X),
    "jit of grad of checkpoint": lambda f: jax.jit(jax.grad(lambda x: weigh(jax.checkpoint(f)(x, W))))(X),
    "linear_transpose of linearize": lambda f: jax.linear_transpose(jax.linearize(lambda x: f(x, W), X)[1], X)(G),
    "rev(rev)": lambda f: jax.jacrev(jax.jacrev(lambda x: weigh(f(x, W))))(X),
    "jit of rev(rev)": lambda f: jax.jit(jax.jacrev(jax.jacrev(lambda x: weigh(f(x, W)))))(X),
}
FORWARD = {
    "jvp": lambda f: jax.jvp(f, (X, W), (X_DOT, W)),
    "jit of jvp": lambda f: jax.jit(lambda x: jax.jvp(f, (x, W), (x, W)))(X),
    "jacfwd": lambda f: jax.jacfwd(f)(X, W),
    "linearize": lambda f: jax.linearize(f, X, W)[1](X_DOT, W),
    "vmap of jvp": lambda f: jax.vmap(lambda x: jax.jvp(f, (x, W), (x, W)))(XS),
    "jvp of scan": lambda f: jax.jvp(lambda w: lax.map(lambda x: f(x, w), XS), (W,), (W,)),
    "jvp of while": lambda f: jax.jvp(lambda x: _while(f, x), (X,), (X_DOT,)),
    "jvp of checkpoint": lambda f: jax.jvp(jax.checkpoint(f), (X, W), (X_DOT, W)),
    "fwd(fwd)": lambda f: jax.jacfwd(jax.jacfwd(lambda x: weigh(f(x, W))))(X),
    "jit of fwd(fwd)": lambda f: jax.jit(jax.jacfwd(jax.jacfwd(lambda x: weigh(f(x, W)))))(X),
}
EVALUATION = {
    "call": lambda f: f(X, W),
    "jit": lambda f: jax.jit(f)(X, W),
    "vmap": lambda f: jax.vmap(f, (0, None))(XS, W),
    "scan": lambda f: lax.map(lambda x: f(x, W), XS),
}


def _while(f: Any, x: Any) -> Any:
    return lax.while_loop(lambda s: s[0] < 3, lambda s: (s[0] + 1, f(s[1], W) @ V), (0, x))[1]


@OPAQUE
@pytest.mark.parametrize("context", REVERSE)
def test_jvp_is_never_run_in_reverse_mode(context: str, opaque: bool) -> None:
    counted = Counted(as_opaque(functions.layer(), opaque))
    REVERSE[context](counted.rule)
    assert counted.counts["jvp"] == 0
    assert counted.counts["vjp"] > 0


@OPAQUE
@pytest.mark.parametrize("context", FORWARD)
def test_vjp_is_never_run_in_forward_mode(context: str, opaque: bool) -> None:
    counted = Counted(as_opaque(functions.layer(), opaque))
    FORWARD[context](counted.rule)
    assert counted.counts["vjp"] == 0
    assert counted.counts["jvp"] > 0


@OPAQUE
@pytest.mark.parametrize("context", EVALUATION)
def test_no_map_and_no_fwd_is_run_without_a_derivative(context: str, opaque: bool) -> None:
    counted = Counted(as_opaque(functions.layer(), opaque))
    EVALUATION[context](counted.rule)
    assert counted.counts == {"fwd": 0, "jvp": 0, "vjp": 0}


def test_nothing_is_traced_again_at_the_second_call() -> None:
    counted = Counted(functions.layer())
    step = jax.jit(jax.grad(lambda x: weigh(counted.rule(x, W))))
    step(X)
    first = dict(counted.counts)
    step(2 * X)
    assert counted.counts == first


def test_equations_carry_the_names_of_rule_and_map() -> None:
    layer = functions.layer()

    def names(f: Any, *args: Any) -> set[str]:
        return {e.primitive.name for e in equations(jax.make_jaxpr(f)(*args).jaxpr)} & {
            "layer",
            "layer_jvp",
            "layer_vjp",
        }

    assert names(layer, X, W) == {"layer"}
    assert names(lambda x: jax.jvp(layer, (x, W), (x, W)), X) == {"layer_jvp"}
    assert names(jax.grad(lambda x: weigh(layer(x, W))), X) == {"layer_vjp"}


# ------------------------------------------------------------------------------------ what the compiler drops


def temporaries(f: Any, *args: Any) -> int:
    """Temporary memory of the compiled program, in bytes."""
    return jax.jit(f).lower(*args).compile().memory_analysis().temp_size_in_bytes


def flops(f: Any, *args: Any) -> float:
    """Floating-point operations of the compiled program."""
    cost = jax.jit(f).lower(*args).compile().cost_analysis()
    return (cost[0] if isinstance(cost, list) else cost)["flops"]


def test_residuals_of_an_unperturbed_arguments_cotangent_are_dropped_under_jit() -> None:
    """x serves w̄ alone; where w is a constant, the layers' inputs are not held until the backward pass."""
    times, weights = product(), [draw(257, 257 + i, seed=i)[:, :257] for i in range(6)]

    def loss(x: Any, ws: Any, f: Any) -> Any:
        for w in ws:
            x = f(jnp.sin(x), w)
        return jnp.sum(x)

    x = draw(1021, 257)
    rule_x, rule_both = (temporaries(jax.grad(functools.partial(loss, f=times), n), x, weights) for n in (0, (0, 1)))
    plain_x, plain_both = (
        temporaries(jax.grad(functools.partial(loss, f=times.primal), n), x, weights) for n in (0, (0, 1))
    )
    assert rule_x <= 1.05 * plain_x
    assert rule_both <= 1.05 * plain_both


def test_scan_does_not_stack_residuals_that_no_cotangent_needs() -> None:
    """The same in a loop: with w constant only the sine's input is stacked, as autodiff does."""
    times, w = product(), draw(5, 5)

    def loss(x: Any, w: Any, f: Any) -> Any:
        return jnp.sum(lax.scan(lambda x, _: (f(x, w), None), x, length=11)[0])

    for argnums in (0, 1, (0, 1)):
        ours = temporaries(jax.grad(functools.partial(loss, f=times), argnums), draw(997, 5), w)
        plain = temporaries(jax.grad(functools.partial(loss, f=times.primal), argnums), draw(997, 5), w)
        assert ours <= 1.05 * plain, argnums


def test_the_vjp_computes_only_the_cotangents_that_are_asked_for() -> None:
    times = product()
    x, w = draw(31, 37), draw(37, 41)

    def loss(x: Any, w: Any, f: Any = times) -> Any:
        return weigh(f(x, w))

    one = 2 * 31 * 37 * 41
    plain = functools.partial(loss, f=times.primal)
    for argnums, products in ((0, 1), (1, 1), ((0, 1), 2)):
        ours = flops(jax.grad(loss, argnums), x, w)
        assert products * one <= ours < (products + 0.5) * one
        assert ours <= 1.01 * flops(jax.grad(plain, argnums), x, w)


def test_the_jvp_computes_only_the_terms_of_perturbed_arguments() -> None:
    times = product()
    x, w = draw(31, 37), draw(37, 41)
    one = 2 * 31 * 37 * 41
    in_x = flops(lambda x, t: jax.jvp(lambda x: times(x, w), (x,), (t,))[1], x, x)
    assert in_x < 1.5 * one


def block(recompute: bool) -> Rule:
    """x + tanh(softmax(tanh x)), which keeps x; its maps compute everything else again."""

    @rule
    def block(x):
        return x + jnp.tanh(jax.nn.softmax(jnp.tanh(x)))

    def fwd(x):
        return block.primal(x), x

    def jvp(x, x_dot):
        a = jnp.tanh(x)
        p = jax.nn.softmax(a)
        a_dot = (1 - a * a) * x_dot
        p_dot = p * (a_dot - jnp.sum(p * a_dot, -1, keepdims=True))
        return x_dot + (1 - jnp.tanh(p) ** 2) * p_dot

    def vjp(x, g):
        a = jnp.tanh(x)
        p = jax.nn.softmax(a)
        p_bar = (1 - jnp.tanh(p) ** 2) * g
        a_bar = p * (p_bar - jnp.sum(p_bar * p, -1, keepdims=True))
        return g + (1 - a * a) * a_bar

    return block.defrule(fwd=fwd, jvp=jvp, vjp=vjp, recompute=recompute)


@pytest.mark.parametrize("mounted", ["primitive", "custom_vjp"])
def test_recompute_lowers_the_memory_of_an_unrolled_stack(mounted: str) -> None:
    """Without it, common-subexpression elimination holds inner values of every layer until its backward pass."""
    x = draw(1021, 509)

    def loss(x: Any, f: Any) -> Any:
        for _ in range(8):
            x = f(x)
        return jnp.sum(x * x)

    with mount(mounted):
        kept, again = (temporaries(jax.grad(functools.partial(loss, f=block(r))), x) for r in (False, True))
    assert again < 0.9 * kept
