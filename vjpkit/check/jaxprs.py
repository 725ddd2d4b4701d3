"""Looking into programs: what equations they have, and why some cannot be had."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from vjpkit.core.primitives import ClosedJaxpr, Jaxpr, equation_jaxpr

_CALLS = {"jit", "pjit", "closed_call", "core_call", "custom_jvp_call", "custom_vjp_call", "remat2", "checkpoint"}
NO_FORWARD = "a jax.custom_vjp function has no forward mode"


def reason(error: Exception) -> str:
    """The first line of an error that says something."""
    if any(sign in str(error) for sign in ("forward-mode autodiff (jvp) to a custom_vjp", "rule for 'custom_lin'")):
        return NO_FORWARD
    text = next((line.strip() for line in str(error).splitlines() if line.strip()), "")
    return f"{type(error).__name__}: {text[:300]}"


def refusal(traced: Callable[..., Any], *inputs: Any) -> str | None:
    """Why a program, which `traced` makes for such inputs, cannot be had, or None.

    A `jax.custom_vjp` function can be traced in forward mode; only the compiler refuses what that leaves. And
    the maps of this library's rules are traced when they are compiled: `equations` goes into them.
    """
    try:
        jaxpr = traced(*inputs).jaxpr.jaxpr
        found = {eqn.primitive.name for eqn in equations(jaxpr)}
    except Exception as error:  # whatever a function under trial raises
        return reason(error)
    return NO_FORWARD if "custom_lin" in found else None


def equations(jaxpr: Any) -> Iterator[Any]:
    """Every equation of a jaxpr, of the jaxprs within it, and of the programs that its rules carry."""
    for eqn in jaxpr.eqns:
        yield eqn
        carried = equation_jaxpr(eqn)
        if carried is not None:
            yield from equations(carried.jaxpr)
            continue
        for value in eqn.params.values():
            for inner in value if isinstance(value, tuple | list) else (value,):
                if isinstance(inner, ClosedJaxpr):
                    yield from equations(inner.jaxpr)
                elif isinstance(inner, Jaxpr):
                    yield from equations(inner)


def scan_sizes(params: dict[str, Any]) -> tuple[int, int]:
    """How many constants and carries a scan has, first among its operands."""
    if "num_consts" in params:
        return params["num_consts"], params["num_carry"]
    consts, carry, _ = params["ft_in"].unpack()  # from jax 0.11 on
    return len(consts), len(carry)


def called(eqn: Any) -> Any:
    """The closed jaxpr that an equation calls, None where it computes something itself."""
    carried = equation_jaxpr(eqn)
    if carried is not None or eqn.primitive.name not in _CALLS:
        return carried
    inner = next((eqn.params[k] for k in ("jaxpr", "call_jaxpr", "fun_jaxpr") if k in eqn.params), None)
    if isinstance(inner, Jaxpr):
        return ClosedJaxpr(inner, ())
    return inner
