"""What calling a rule costs beside the same function under `jax.custom_vjp`: `python -m vjpkit.bench.calling_cost`.

Three ratios, below 1 where the rule is cheaper: an eager call, the trace of a chain's jitted gradient, and the
size of that chain's lowered program. Both sides are timed in turn, in one process, and medians are compared.
"""

from __future__ import annotations

import gc
import statistics
import time
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from vjpkit.core import Rule, rule

LAYERS = 40


def _primal(x: jax.Array, w: jax.Array) -> jax.Array:
    return jnp.tanh(x @ w)


def _fwd(x: jax.Array, w: jax.Array) -> tuple[jax.Array, Any]:
    y = _primal(x, w)
    return y, (x, w, y)


def _jvp(res: Any, x_dot: jax.Array, w_dot: jax.Array) -> jax.Array:  # ẏ = (1 − y²) ⊙ (ẋ W + x Ẇ)
    x, w, y = res
    return (1 - y * y) * (x_dot @ w + x @ w_dot)


def _vjp(res: Any, g: jax.Array) -> tuple[jax.Array, jax.Array]:  # z̄ = g ⊙ (1 − y²)    x̄ = z̄ Wᵀ    W̄ = xᵀ z̄
    x, w, y = res
    z_bar = g * (1 - y * y)
    return z_bar @ w.T, x.T @ z_bar


def contestants() -> tuple[Rule, Callable[..., Any]]:
    """The layer as a rule, and as a `jax.custom_vjp` function with the same fwd and vjp."""

    def layer(x: jax.Array, w: jax.Array) -> jax.Array:
        return _primal(x, w)

    ours = rule(layer).defrule(fwd=_fwd, jvp=_jvp, vjp=_vjp)
    stock = jax.custom_vjp(lambda x, w: _primal(x, w))
    stock.defvjp(_fwd, _vjp)
    return ours, stock


def chain(layer: Callable[..., Any]) -> Callable[..., Any]:
    """The gradient of a stack of LAYERS layers, not jitted yet."""

    def loss(x: jax.Array, w: jax.Array) -> jax.Array:
        for _ in range(LAYERS):
            x = layer(x, w)
        return x.sum()

    return jax.grad(loss, argnums=(0, 1))


def _seconds(f: Callable[[], Any], repeat: int) -> float:
    start = time.perf_counter()
    for _ in range(repeat):
        f()
    return (time.perf_counter() - start) / repeat


def _ratio(ours: Callable[[], Any], stock: Callable[[], Any], repeat: int, rounds: int) -> tuple[float, float, float]:
    """Median seconds of both, timed in turn, and the median of their ratio round by round."""
    pairs = []
    gc.disable()
    for _ in range(rounds):
        pairs.append((_seconds(ours, repeat), _seconds(stock, repeat)))
    gc.enable()
    a, b = zip(*pairs, strict=True)
    return statistics.median(a), statistics.median(b), statistics.median(x / y for x, y in pairs)


def measure(rounds: int = 15) -> dict[str, tuple[float, float, float]]:
    """For each cost: ours, that of `jax.custom_vjp`, and their ratio; seconds, and bytes for the program."""
    ours, stock = contestants()
    x, w = jnp.ones((3, 5)), jnp.ones((5, 5)) / 5

    def trace(layer: Callable[..., Any]) -> Callable[[], Any]:
        return lambda: jax.jit(chain(layer)).trace(x, w)

    def program(layer: Callable[..., Any]) -> int:
        return len(jax.jit(chain(layer)).lower(x, w).as_text())

    for f in (ours, stock):  # warm up
        f(x, w).block_until_ready()
        trace(f)()
    sizes = program(ours), program(stock)
    return {
        "eager call": _ratio(lambda: ours(x, w), lambda: stock(x, w), repeat=100, rounds=rounds),
        f"trace of {LAYERS} layers": _ratio(trace(ours), trace(stock), repeat=1, rounds=rounds),
        "lowered program": (*sizes, sizes[0] / sizes[1]),
    }


def main() -> None:
    device = jax.devices()[0].platform
    print(f"calling cost, rule / jax.custom_vjp (jax {jax.__version__}, {device})")
    for cost, (ours, stock, ratio) in measure().items():
        unit = "{:9.0f} B " if cost == "lowered program" else "{:9.1f} us"
        scale = 1 if cost == "lowered program" else 1e6
        print(f"  {cost:20} {ratio:5.2f}   {unit.format(ours * scale)}  {unit.format(stock * scale)}")


if __name__ == "__main__":
    main()
