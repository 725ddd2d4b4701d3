"""A rule for a function, written as Python, run, checked, and only then handed over."""

from __future__ import annotations

import functools
import inspect
import textwrap
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from vjpkit.check import check
from vjpkit.check.arguments import drawn, specified
from vjpkit.core.rule import Rule
from vjpkit.core.signature import options_by_keyword
from vjpkit.derive.errors import DeriveError
from vjpkit.derive.linearise import floats, linearise
from vjpkit.derive.module import RESERVED, Module
from vjpkit.derive.program import Value
from vjpkit.derive.source import source_names
from vjpkit.derive.trees import Tree

CHECKS = ("structure", "value", "linearity", "adjoint", "reverse", "forward")


def write_rule(f: Callable[..., Any], *args: Any, name: str = "", **options: Any) -> str:
    """Python source of an explicit rule for f: a module with `<name>`, `<name>_fwd`, `<name>_jvp`, `<name>_vjp`.

    Args:    f: any JAX function, or a rule, whose primal is then taken.  args: arrays, trees of them (dict, list,
             tuple), draws, or shapes in words such as "b i": where it is traced and checked.
             name: of the rule; f's own if left out.  options: handed to f by keyword, and fixed in the rule.
    Returns: the source. It was executed, and its rule checked against autodiff of f at args.
    Raises:  DeriveError for an operation that is not covered, with the line it stands on; for arguments without
             a float; where f closes over a large array. CheckFailed where the rule came out wrong.
    """
    if not callable(f):
        raise DeriveError(f"write_rule: expected a function, got {type(f).__name__} {f!r}")
    name = name or _name_of(f)
    if not name.isidentifier() or name in RESERVED:
        raise DeriveError(f"write_rule: {name!r} cannot be a rule's name; give another with name=")
    function, every = f, args
    if isinstance(f, Rule):
        function, (every, options) = options_by_keyword(f.primal, f.static), f.complete(args, options)
    given = _given(name, args)
    fixed = {k: a for k, a in enumerate(every) if k not in given}

    def called(*arrays: Any) -> Any:
        full = fixed | dict(zip(given, arrays, strict=True))
        return function(*(full[k] for k in sorted(full)), **options)

    params = [n for k, n in enumerate(_parameters(f, len(args))) if k in given]
    source = _written(f, called, name, params, list(given.values()))
    rule = executed(source, name)
    report = check(rule, *given.values(), reference=called, checks=CHECKS, dtypes=())
    report.raise_if_failed()
    return source


def executed(source: str, name: str) -> Rule:
    """The rule that a source defines; made inside a function, so that it is not registered."""
    scope: dict[str, Any] = {}
    inside = textwrap.indent(source, "    ")
    exec(compile(f"def made():\n{inside}\n    return {name}", f"<rule {name}>", "exec"), scope)
    return scope["made"]()


def _written(f: Any, called: Callable[..., Any], name: str, params: list[str], args: list[Any]) -> str:
    wide, x64 = _widened(args)
    with jax.enable_x64(x64):
        leaves, tree = jax.tree.flatten(wide)
        try:
            out = jax.eval_shape(called, *wide)
        except Exception as error:
            raise DeriveError(f"write_rule: {name} itself fails at {_shapes(params, args)}: {_first(error)}") from error
        if not any(floats(y) for y in jax.tree.leaves(out)):
            raise DeriveError(f"write_rule: {name} returns no float; there is nothing to differentiate")

        def flat(*values: Any) -> list[Any]:
            return [jnp.asarray(y) for y in jax.tree.leaves(called(*jax.tree.unflatten(tree, values)))]

        d = linearise(flat, leaves, source_names(f))
        trees, rest = [], list(d.args)
        for param, a in zip(params, wide, strict=True):
            count = len(jax.tree.leaves(a))
            trees.append((param, Tree.of(f"argument {param} of {name}", a, rest[:count])))
            rest = rest[count:]
        sentence = f"{_opening(f, name)}, as traced at {_shapes(params, args)}."
        out_tree = Tree.of(f"the output of {name}", out, [Value(v.shape, v.dtype) for v in d.out])
        return Module(d, name, trees, out_tree, sentence).source


def _given(name: str, args: Sequence[Any]) -> dict[int, Any]:
    """The arguments that are arrays or trees of them, drawn where they are described, by their places."""
    if not args:
        raise DeriveError(f'write_rule: {name} needs arguments to be traced at: arrays, or shapes such as "b i"')
    values = drawn(specified(args), 0, jnp.float32)
    found = {}
    for k, a in enumerate(values):
        leaves = jax.tree.leaves(a)
        if all(isinstance(x, jax.Array | np.ndarray | np.generic | float) for x in leaves):
            found[k] = jax.tree.map(jnp.asarray, a)
    if not any(floats(x) for x in jax.tree.leaves(list(found.values()))):
        raise DeriveError(f"write_rule: no argument of {name} is a float; there is nothing to differentiate")
    return found


def _widened(args: list[Any]) -> tuple[list[Any], bool]:
    """The arguments in float64, so that numbers in the source have all their digits; half precision stays."""
    dtypes = {x.dtype for x in jax.tree.leaves(args) if jnp.issubdtype(x.dtype, jnp.floating)}
    if not dtypes <= {jnp.dtype("float32"), jnp.dtype("float64")}:
        return args, bool(jax.config.read("jax_enable_x64"))
    with jax.enable_x64(True):
        return jax.tree.map(lambda x: x.astype(jnp.float64) if jnp.issubdtype(x.dtype, jnp.floating) else x, args), True


def _name_of(f: Any) -> str:
    while isinstance(f, functools.partial):
        f = f.func
    name = getattr(f, "__name__", "f")
    return name if name.isidentifier() else "f"


def _parameters(f: Any, count: int) -> list[str]:
    """What f calls its first arguments."""
    if isinstance(f, Rule):
        return [n.replace("[", "").replace("]", "") for n in f.argument_names(count)]
    try:
        parameters = list(inspect.signature(f).parameters.values())
    except (TypeError, ValueError):
        return [f"x{k}" for k in range(count)] if count > 1 else ["x"]
    names = [p.name for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)][:count]
    several = next((p.name for p in parameters if p.kind is p.VAR_POSITIONAL), "x")
    names += [f"{several}{k}" for k in range(count - len(names))]
    return [f"{n}_" if n in RESERVED - {"g"} else n for n in names]


def _shapes(params: Sequence[str], args: Sequence[Any]) -> str:
    told = []
    for p, a in zip(params, args, strict=True):
        leaves = jax.tree.leaves(a)
        told.append(
            f"{p} {leaves[0].dtype}{list(leaves[0].shape)}" if hasattr(a, "dtype") else f"{p} ({len(leaves)} leaves)"
        )
    return ", ".join(told)


def _opening(f: Any, name: str) -> str:
    """The first line of the function's docstring, its name where there is none."""
    line = (inspect.getdoc(f) or "").partition("\n")[0].strip(" .") if not isinstance(f, functools.partial) else ""
    return line.replace("\\", "").replace('"', "'") or name


def _first(error: Exception) -> str:
    return f"{type(error).__name__}: {next((s for s in str(error).splitlines() if s.strip()), '')[:200]}"
