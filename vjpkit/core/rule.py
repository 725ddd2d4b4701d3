"""A rule: a function of plain JAX, the primal, with its derivative's two readings written by hand."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any, overload

import jax
from jax import tree_util as tu

from vjpkit.core import mounting
from vjpkit.core.call import Call
from vjpkit.core.errors import RuleError
from vjpkit.core.primitives import bind_function, has_closure, primitives, varying_alike
from vjpkit.core.registry import registry
from vjpkit.core.signature import Signature, options_by_keyword
from vjpkit.core.stock import stock

Fn = Callable[..., Any]


class Rule:
    """A callable with the name, docstring and signature of its primal, whose derivative is `fwd`, `jvp` and `vjp`.

        y, res = fwd(*args, **static)         the value, and what is kept
        ẏ      = jvp(res, *dots, **static)    one tangent per argument, structured like it
        x̄, …   = vjp(res, g, **static)        one cotangent per argument, structured like it

    `None` stands for the tangent and the cotangent of whatever has none: integers, bools, keys.
    A rule of one argument may return its cotangent bare. Made by `rule`, `elementwise` or `linear`.
    """

    def __init__(self, primal: Fn, static: tuple[str, ...] = ()) -> None:
        if not hasattr(primal, "__name__"):
            raise RuleError(f"a rule is made of a function with a name, got {type(primal).__name__} {primal!r}")
        functools.update_wrapper(self, primal)
        self.primal = primal
        self.evaluate = options_by_keyword(primal, static)
        self.name = primal.__name__
        self.path = f"{primal.__module__}.{primal.__qualname__}"
        self.source = _source(primal)
        self.static = static
        self.fwd: Fn = self._undefined
        self.jvp: Fn | None = None
        self.vjp: Fn | None = None
        self.recompute = self.opaque = False
        self.primitives = primitives(self.name)
        self._signature = Signature(primal, static)
        registry.add(self)

    def defrule(
        self,
        *,
        fwd: Fn,
        jvp: Fn | None = None,
        vjp: Fn | None = None,
        recompute: bool = False,
        opaque: bool = False,
        by_fwd: bool = False,
    ) -> Rule:
        """Give the rule its functions; a map that is left out is the transpose of the other, taken by JAX.

        Args:    fwd, jvp, vjp: as in the class's docstring.
                 recompute: the maps compute again, on purpose, what fwd could have kept; a barrier then holds
                 XLA from undoing that by sharing the forward pass's work.
                 opaque: fwd is one equation, so that it may be a loop, a callback or a kernel that JAX cannot
                 differentiate, at every order; residuals that are neither inputs nor outputs are still
                 differentiated through fwd where a higher order asks for it.
                 by_fwd: a call without a derivative goes by fwd, too: the primal says what is meant, raises the
                 named errors, and would take more memory.
        Returns: the rule itself.
        Raises:  RuleError where neither jvp nor vjp is given.
        """
        if jvp is None and vjp is None:
            raise RuleError(f"{self.name}: a rule needs a jvp or a vjp; defrule got neither")
        self.fwd, self.jvp, self.vjp = options_by_keyword(fwd, self.static), jvp, vjp
        self.recompute, self.opaque = recompute, opaque
        if by_fwd:
            self.evaluate = self._by_fwd
        return self

    def _by_fwd(self, *args: Any, **static: Any) -> Any:
        jax.eval_shape(functools.partial(options_by_keyword(self.primal, self.static), **static), *args)  # its errors
        return self.fwd(*args, **static)[0]

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if mounting.current() == "custom_vjp":
            return self.custom_vjp(*args, **kwargs)
        call, leaves, trace = self._read(args, kwargs)
        return tu.tree_unflatten(trace.out_tree, bind_function(call, leaves, trace.jaxpr))

    def custom_vjp(self, *args: Any, **kwargs: Any) -> Any:
        """The rule as a stock `jax.custom_vjp` function: reverse mode alone, no primitive of ours."""
        call, leaves, _ = self._read(args, kwargs)
        return stock(call)(*varying_alike(leaves))

    def complete(self, args: Sequence[Any], options: Mapping[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """All arguments and options as `fwd` takes them, those that are left out at their defaults."""
        return self._signature.complete(args, options)

    def argument_names(self, count: int) -> list[str]:
        """What messages call the first `count` arguments."""
        return [self._signature.argument_name(i) for i in range(count)]

    def _read(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Call, list[Any], Any]:
        """The call, its array leaves, and the primal's trace at their types."""
        if self.jvp is None and self.vjp is None:
            raise RuleError(f"{self.name}: this rule has no derivative yet; give it one with {self.name}.defrule(...)")
        arguments, static = self._signature.bind(args, kwargs)
        paths, tree = tu.tree_flatten_with_path(arguments)
        leaves = [self._signature.array(path, leaf) for path, leaf in paths]
        call = Call(self, tree, static)
        trace = call.program.trace(*leaves)
        if has_closure(trace, leaves):
            raise RuleError(
                f"{self.name}: the primal closes over a traced value, whose derivative would be lost; "
                f"pass it as an argument"
            )
        return call, leaves, trace

    def _undefined(self, *args: Any, **static: Any) -> Any:
        raise RuleError(f"{self.name}: this rule has no fwd yet; give it one with {self.name}.defrule(...)")

    def __repr__(self) -> str:
        return f"<rule {self.name}{self._signature.whole}>"


def _source(primal: Fn) -> str:
    """Where the function is written, as `file:line`."""
    code = getattr(inspect.unwrap(primal), "__code__", None)
    return f"{code.co_filename}:{code.co_firstlineno}" if code else repr(primal)


@overload
def rule(primal: Fn) -> Rule: ...
@overload
def rule(*, static: tuple[str, ...] = ()) -> Callable[[Fn], Rule]: ...
def rule(primal: Fn | None = None, *, static: tuple[str, ...] = ()) -> Rule | Callable[[Fn], Rule]:
    """Make a rule of the function below, whose `fwd`, `jvp` and `vjp` follow with `defrule`.

        @rule
        def dense(x, w, b):
            return x @ w + b

    Args:    static: the names of parameters that are options, hashable and no arrays; they are handed by
             keyword to primal, fwd, jvp and vjp. Every keyword-only parameter must be among them.
    Raises:  RuleError where the signature does not allow that; RegistrationError where another rule of the
             same module has the name.
    """
    if primal is None:
        return functools.partial(Rule, static=static)
    return Rule(primal)
