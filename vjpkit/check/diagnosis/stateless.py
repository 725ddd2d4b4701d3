"""Whether a function may be traced without being called: nothing that it reads can remember an earlier call."""

from __future__ import annotations

import dis
import inspect
import types
from collections.abc import Iterator
from typing import Any

import jax
import numpy as np

_PACKAGES = {"jax", "numpy", "scipy", "math", "operator", "functools", "itertools"}
_PLAIN = (bool, int, float, complex, str, bytes, type(None), type, np.ndarray, np.generic, np.dtype, jax.Array)
_JITTED = type(jax.jit(abs))
_STORES = {"STORE_GLOBAL", "STORE_DEREF", "DELETE_GLOBAL", "DELETE_DEREF"}


def stateless(f: Any) -> bool:
    """Whether a function, and what it calls of its kind, reads only functions, arrays, numbers, JAX and NumPy."""
    return isinstance(f, types.FunctionType) and _remembers_nothing(f, set())


def _remembers_nothing(value: Any, seen: set[int]) -> bool:
    if id(value) in seen or isinstance(value, (*_PLAIN, types.BuiltinFunctionType, np.ufunc)):
        return True
    seen.add(id(value))
    if isinstance(value, types.ModuleType):
        return value.__name__.partition(".")[0] in _PACKAGES
    if isinstance(value, tuple):
        return all(_remembers_nothing(v, seen) for v in value)
    if isinstance(value, _JITTED):
        return _remembers_nothing(inspect.unwrap(value), seen)
    if not isinstance(value, types.FunctionType):
        return False
    if (value.__module__ or "").partition(".")[0] in _PACKAGES:
        return True
    return not any(_writes(code) for code in _codes(value.__code__)) and all(
        _remembers_nothing(v, seen) for v in (*_read(value), *(value.__defaults__ or ()))
    )


def _codes(code: types.CodeType) -> Iterator[types.CodeType]:
    """The code of a function and of those defined in it."""
    yield code
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from _codes(constant)


def _writes(code: types.CodeType) -> bool:
    """Whether it sets a name that is not its own."""
    return any(i.opname in _STORES and i.argval not in code.co_cellvars for i in dis.get_instructions(code))


def _read(f: types.FunctionType) -> Iterator[Any]:
    """What stands for the names of other scopes; of names that are attributes, too, where they are also global."""
    for cell in f.__closure__ or ():
        try:
            yield cell.cell_contents
        except ValueError:  # not set yet
            continue
    for code in _codes(f.__code__):
        yield from (f.__globals__[name] for name in code.co_names if name in f.__globals__)
