"""A small layer as a rule, and ways to spoil it."""

from __future__ import annotations

from typing import Any

from vjpkit.core import Rule, rule


def dense_fwd(x: Any, w: Any, b: Any) -> Any:
    return x @ w + b, (x, w)


def dense_jvp(res: Any, x_dot: Any, w_dot: Any, b_dot: Any) -> Any:
    x, w = res
    return x_dot @ w + x @ w_dot + b_dot


def dense_vjp(res: Any, g: Any) -> Any:
    x, w = res
    return g @ w.T, x.T @ g, g.sum(0)


def dense(**spoiled: Any) -> Rule:
    """y = x W + b, right but for the functions that are given."""

    @rule
    def dense(x: Any, w: Any, b: Any) -> Any:
        return x @ w + b

    return dense.defrule(**({"fwd": dense_fwd, "jvp": dense_jvp, "vjp": dense_vjp} | spoiled))
