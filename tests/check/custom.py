"""Functions with custom rules, right and wrong, for the tests of the checker."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax

Fn = Callable[..., Any]


def with_vjp(f: Fn, vjp: Fn) -> Fn:
    """`f` as a `jax.custom_vjp` function whose cotangents are `vjp(args, g)`."""
    function = jax.custom_vjp(f)
    function.defvjp(lambda *args: (f(*args), args), vjp)
    return function


def with_jvp(f: Fn, jvp: Fn) -> Fn:
    """`f` as a `jax.custom_jvp` function whose tangent is `jvp(args, dots)`."""
    function = jax.custom_jvp(f)
    function.defjvp(lambda args, dots: (f(*args), jvp(args, dots)))
    return function
