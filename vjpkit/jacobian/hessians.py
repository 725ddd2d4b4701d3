"""Second derivatives of scalar functions: the Jacobian of the gradient, known to be symmetric."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax

from vjpkit.jacobian.errors import JacobianError
from vjpkit.jacobian.jacobians import Jacobian, jacobian, place_of
from vjpkit.jacobian.patterned import Sparse


def hessian(f: Callable[..., Any], *args: Any, wrt: int | str = 0) -> Jacobian:
    """The Hessian of a scalar function at args in one of them, as an operator.

        H = ∂²f/∂args[wrt]²         H @ v = H v, a JVP of the gradient

    Args:    as `jacobian`'s.
    Returns: the `Jacobian` of the gradient; nothing of size n × n is formed until `materialize()`.
    Raises:  JacobianError where f gives no scalar, and as `jacobian` does.
    """
    if not callable(f):
        raise JacobianError(f"hessian: expected a function, got {type(f).__name__}")
    place = place_of("hessian", f, args, wrt)
    out = jax.eval_shape(f, *args)
    if getattr(out, "shape", None) != ():
        told = list(out.shape) if hasattr(out, "shape") else f"a {type(out).__name__}"
        name = getattr(f, "__name__", type(f).__name__)
        raise JacobianError(f"hessian of {name}: its output is {told}; a Hessian is of a scalar function")
    H = jacobian(jax.grad(f, argnums=place), *args, wrt=place)
    H.symmetric = True
    return H


def sparse_hessian(f: Callable[..., Any], *args: Any, wrt: int | str = 0) -> Sparse:
    """The Hessian's entries alone, compressed by colouring: an entry is read from one of the two places it has.

    Raises:  JacobianError, as `hessian` does, and where the pattern is too large to list.
    """
    return hessian(f, *args, wrt=wrt).sparse()
