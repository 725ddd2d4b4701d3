"""A formula written in NumPy, with JAX's functions of the same names in their place: one that can be traced."""

from __future__ import annotations

import types
from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
import numpy as np


def in_jax(f: Callable[..., Any]) -> Callable[..., Any]:
    """`f`, and what it calls of its own module, reading `jax.numpy` where they say `numpy`."""
    if not isinstance(f, types.FunctionType):
        return f
    scope: dict[str, Any] = {}
    for name, value in f.__globals__.items():
        scope[name] = _lifted(value, f.__globals__, scope)
    return _with_scope(f, scope, f.__globals__)


def _lifted(value: Any, old: dict[str, Any], scope: dict[str, Any]) -> Any:
    if value is np:
        return jnp
    if isinstance(value, types.FunctionType) and value.__globals__ is old:
        return _with_scope(value, scope, old)
    return value


def _with_scope(f: types.FunctionType, scope: dict[str, Any], old: dict[str, Any]) -> types.FunctionType:
    cells = tuple(types.CellType(_lifted(c.cell_contents, old, scope)) for c in f.__closure__ or ())
    g = types.FunctionType(f.__code__, scope, f.__name__, f.__defaults__, cells)
    g.__kwdefaults__ = f.__kwdefaults__
    return g
