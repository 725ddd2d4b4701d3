"""The derivative of a function as formulas, in seven notations, each computed and compared before it is shown."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import numpy as np

from vjpkit.derive.asked import Asked
from vjpkit.derive.derivation import Derivation, Formula
from vjpkit.derive.errors import DeriveError
from vjpkit.derive.formulas.differential import Differential
from vjpkit.derive.formulas.dimensions import spelled
from vjpkit.derive.formulas.forward import Forward
from vjpkit.derive.formulas.graph import Graph
from vjpkit.derive.formulas.layouts import Denominator, Kronecker, Numerator
from vjpkit.derive.formulas.moves import Inexpressible
from vjpkit.derive.formulas.naming import Naming
from vjpkit.derive.formulas.notations import Index, Notation, Subscripts, Vjp
from vjpkit.derive.formulas.printing import convention, definitions, line_of, wheres
from vjpkit.derive.formulas.proof import Lines, Proof
from vjpkit.derive.formulas.reading import Reading
from vjpkit.derive.linearise import last_named
from vjpkit.derive.program import CALLS, unfold
from vjpkit.derive.source import closed_over, source_names

NOTATIONS: dict[str, type[Notation]] = {
    "index": Index,
    "numerator": Numerator,
    "denominator": Denominator,
    "kronecker": Kronecker,
    "einsum": Subscripts,
    "vjp": Vjp,
    "differential": Differential,
}


def derive(
    f: Callable[..., Any],
    *args: Any,
    wrt: int | str | Sequence[int | str] = 0,
    style: str | None = None,
    names: Mapping[str, str] | None = None,
    dims: Mapping[str, Any] | None = None,
) -> Derivation:
    """The derivative of a function as formulas, in seven notations.

    Args:    f: a JAX function, or a rule, of one output. A scalar output is the cost C; an array output has the
             cotangent g, and the formulas are for C = ⟨g, f⟩.
             args: arrays, trees of them, draws, or shapes in words ("b i"), whose words then name the dimensions.
             wrt: the argument or arguments to differentiate in, by place or name.
             style: one of index, numerator, denominator, kronecker, einsum, vjp, differential; all if left out.
             names: symbols for arguments and intermediate values by their names in the source ({"w1": "W¹"}), and
             for a cotangent by the name with _bar ({"z1_bar": "δ¹"}).
             dims: names of dimensions, by length ({"N": 7}) or by argument ({"x": ("N", "d")}).
    Returns: a `Derivation`; print it. Each formula in it was computed, in double precision, at args and at random
             arguments near them, and agreed with `jax.vjp`; one that did not, or that a notation has no way to
             write, is in `left_out` with the reason.
    Raises:  DeriveError for an operation that is not covered, with the line it stands on; for unknown styles and
             names, dims that contradict the shapes, arguments without floats, and outputs that are not one array.
    """
    if style is not None and style not in NOTATIONS:
        raise DeriveError(f"derive: no style {style!r}; there are {', '.join(NOTATIONS)}")
    with jax.enable_x64(True):
        asked = Asked(f, args, wrt)
        graph = Graph(_read(asked, dims))
        _reached(asked, graph)
        naming = Naming(graph, names)
        proof = Proof(asked.name, asked.flat, graph.reading, asked.leaves)
    formulas: dict[str, Formula] = {}
    left_out: dict[str, str] = {}
    for wanted in NOTATIONS if style is None else (style,):
        try:
            formulas[wanted] = _formula(NOTATIONS[wanted](graph), naming, proof)
        except Inexpressible as reason:
            left_out[wanted] = str(reason)
    forward = Forward(graph)
    return Derivation(asked.name, definitions(naming, forward), wheres(naming, forward), formulas, left_out)


def _read(asked: Asked, dims: Any) -> Reading:
    """The function, read at its arguments."""
    program = unfold(jax.make_jaxpr(asked.flat)(*asked.leaves), name=source_names(asked.source), whole=CALLS)
    last_named(program.equations)
    for v, name in zip(program.inputs, asked.names, strict=True):
        v.name = name
    own = closed_over(asked.source)
    for v in {v for e in program.equations for v in e.inputs if v.constant is not None and v.number is None}:
        v.name = next((n for n, x in own.items() if np.array_equal(x, v.constant)), "")
    inputs = dict(zip(asked.names, program.inputs, strict=True))
    return Reading(program, [inputs[n] for n in asked.chosen], asked.leaves, spelled(asked.dims(dims), inputs))


def _reached(asked: Asked, graph: Graph) -> None:
    reached = {line.target for line in graph.lines}
    for name, v in zip(asked.chosen, graph.reading.wrt, strict=True):
        if v not in reached:
            raise DeriveError(f"derive: {asked.name} does not depend on {name}: its derivative is 0")


def _formula(notation: Notation, naming: Naming, proof: Proof) -> Formula:
    """The lines in one notation; Inexpressible where it cannot say them, and where they come out wrong."""
    rights: Lines = {line.target: notation.right(line) for line in notation.graph.lines}
    try:
        error = proof.error(notation, rights)
    except ValueError as shapes:  # NumPy's, for factors that do not fit
        raise Inexpressible(f"the formula came out wrong, and cannot be computed: {shapes}") from shapes
    if not error <= proof.tolerance():
        raise Inexpressible(f"the formula came out wrong, {error:.1e} from jax.vjp: not shown")
    lines = [line_of(naming, notation, v, right) for v, right in rights.items()]
    wrt = tuple(naming.key(v) for v in notation.graph.reading.wrt)
    compute = functools.partial(_value, notation, naming, proof, rights)
    return Formula(notation.name, convention(notation, lines), lines, error, wrt, compute)


def _value(notation: Notation, naming: Naming, proof: Proof, rights: Lines, wrt: str, g: Any, argument: bool) -> Any:
    """A line's numbers at the arguments, in the notation's layout or in the argument's."""
    v = naming.keys.get(wrt)
    if v is None or v not in rights:
        raise DeriveError(f"value: no line for {wrt!r}; there are {', '.join(map(naming.key, rights))}")
    shape = proof.reading.out.shape
    given = np.ones(shape) if g is None else np.asarray(g, float)
    if given.shape != shape:
        raise DeriveError(f"value: the cotangent has the output's shape {list(shape)}, got {list(given.shape)}")
    found = proof.computed(notation, rights, proof.values(), given).bars[v]
    return notation.argument(found, v) if argument else found
