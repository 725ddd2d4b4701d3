"""A question as it is asked, read: the function, its arguments in float64 or as given, the reference."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from vjpkit.check.arguments import drawn, has_draws, specified, usable
from vjpkit.check.errors import CheckError
from vjpkit.check.formula import Formula
from vjpkit.check.jaxprs import equations, reason
from vjpkit.check.layout import Layout, Point, argument_names, function_name, output_names
from vjpkit.check.modes import Modes, Unavailable, scope
from vjpkit.check.reference import custom_rules, plain
from vjpkit.check.report import Gap
from vjpkit.check.trial import Trial
from vjpkit.core.calling import with_options
from vjpkit.core.case import Special
from vjpkit.core.rule import Rule

Fn = Callable[..., Any]
CANDIDATES = 20  # points that may be drawn
DTYPES = ("float32", "bfloat16", "float16")


@dataclass
class Question:
    """The arguments of `check`, by the names that `vjpkit.check`'s docstring gives them."""

    fn: Any
    args: Sequence[Any]
    formula: tuple[str, Fn] | None = None
    reference: Fn | None = None
    static: Mapping[str, Any] = field(default_factory=dict)
    special: Sequence[Any] = ()
    value: Fn | None = None
    dtypes: Sequence[str] = DTYPES
    seed: int = 0
    tol: float = 1.0
    thorough: bool = False

    def __post_init__(self) -> None:
        self.name = function_name(self.fn)
        if not self.args:
            raise CheckError(f'{self.name}: no arguments to check at; give arrays, draws, or shapes such as "b i"')
        self.static = dict(self.static or {})
        self._specified = specified(self.args)
        self._args = drawn(self._specified, self.seed, jnp.float32)
        self._layout = Layout.of(self._args, self._argument_names())
        self._options = {*self.static, *(self.fn.static if isinstance(self.fn, Rule) else ())}
        self._called = with_options(self.fn, self.static, self._options)
        if not any(isinstance(s, Special) and s.args is self.args for s in self.special):  # which may be NaN
            usable(self.name, self._args, self._layout.paths)

    @property
    def leaves(self) -> list[tuple[str, Any]]:
        """The arguments as drawn, leaf by leaf, with what messages call them."""
        return list(zip(self._layout.paths, jax.tree.leaves(self._args), strict=True))

    def trial(self) -> tuple[Trial, str, list[Gap]]:
        """The function on trial, what it is held against, and what cannot be covered from the outset."""
        given = self._layout.point(self._args, _widest(self._args))
        out = self._output(given)
        flat = self._layout.flat(self._called)
        subject = Modes(self._layout.flat(self._mounted()))
        points, gaps = self._points(subject)
        specials = [s for s in self._specials() if self._alike(s)]
        trial = Trial(
            name=self.name,
            fn=self._called,
            layout=self._layout,
            subject=subject,
            reference=self._reference(),
            of_primal=self.reference is None,
            points=points,
            given=given,
            output_names=output_names(out),
            rule=self.fn if isinstance(self.fn, Rule) and self.formula is None else None,
            static=dict(self.static),
            specials=[self._layout.point(s.args, points[0].dtype, s.why) for s in specials],
            expected=specials,
            value=self.value and with_options(self.value, self.static, self._options),
            dtypes=tuple(self.dtypes),
            seed=self.seed,
            tol=self.tol,
            thorough=self.thorough,
        )
        return trial, self._held_against(flat, given), gaps

    def apart(self) -> Iterator[Trial]:
        """A trial for each special point with options, or kinds of arguments, of its own."""
        for special in self._specials():
            if not self._alike(special):
                static = {**self.static, **special.static}
                args, shared = special.args, (self.formula, self.reference)
                yield Question(self.fn, args, *shared, static, (special,), None, (), self.seed, self.tol).trial()[0]

    def _argument_names(self) -> list[str]:
        count = len(self._specified)
        return self.fn.argument_names(count) if isinstance(self.fn, Rule) else argument_names(self.fn, count)

    def _output(self, at: Point) -> Any:
        """The shapes of the output; CheckError where the function fails, or where nothing is a float."""
        try:
            with scope(at):
                out = jax.eval_shape(lambda x, fixed: self._called(*self._layout.arguments(x, fixed)), at.x, at.fixed)
        except Exception as error:
            shapes = ", ".join(f"{n} {a.dtype}{list(a.shape)}" for n, a in zip(self._layout.names, at.x, strict=True))
            raise CheckError(f"{self.name} itself fails at {shapes or 'its arguments'}: {reason(error)}") from error
        if not self._layout.names:
            kinds = ", ".join(f"{name} is {_described(leaf)}" for name, leaf in self.leaves)
            raise CheckError(f"{self.name}: no argument can be differentiated: {kinds}")
        if not output_names(out):
            kinds = ", ".join(map(_described, jax.tree.leaves(out))) or "empty"
            raise CheckError(f"{self.name}: its output is {kinds}, no float: there is nothing to differentiate")
        return out

    def _mounted(self) -> Fn:
        if self.formula is None:
            return self._called
        mode, candidate = self.formula
        return Formula(self._called, candidate, mode, tuple(self._argument_names())).mounted(self._args)

    def _reference(self) -> Modes:
        if self.reference is not None:
            return Modes(self._layout.flat(with_options(self.reference, self.static, self._options)), evaluated=True)
        primal = with_options(self.fn.primal, self.static, self._options) if isinstance(self.fn, Rule) else self._called
        return Modes(plain(self._layout.flat(primal)), evaluated=True)

    def _held_against(self, flat: Fn, at: Point) -> str:
        """What the reference is, in words; CheckError where the function gives its arguments' memory away."""
        with scope(at):
            jaxpr = jax.make_jaxpr(flat)(at.x, at.fixed).jaxpr
        if any(any(eqn.params.get("donated_invars", ())) for eqn in equations(jaxpr)):
            raise CheckError(
                f"{self.name} donates an argument (donate_argnums), and a check calls often: check it without"
            )
        if self.reference is not None:
            return "autodiff of the reference that was given"
        taken_out = custom_rules(jaxpr)
        return "autodiff of the primal" + (f", custom rules taken out: {', '.join(taken_out)}" if taken_out else "")

    def _points(self, subject: Modes) -> tuple[list[Point], list[Gap]]:
        """The drawn points, in float64 where the function runs in it."""
        point, gaps = self._layout.point(self._args), []
        try:
            subject.outputs(point)
        except Unavailable as error:
            point = self._layout.point(self._args, _widest(self._args))
            gaps = [Gap("all checks", "float64", f"the function fails in it, all is in {point.dtype}: {error}")]
        return (self._drawn(subject, point) if has_draws(self._specified) else [point]), gaps

    def _drawn(self, subject: Modes, first: Point) -> list[Point]:
        """Two points, and of some more those that wake an entry of the value that is zero at all before.

        What a rule does to such an entry, of sparsemax or of a hinge, is not seen while it is cut off.
        """
        every = (
            self._layout.point(drawn(self._specified, self.seed + n, jnp.float32), first.dtype)
            for n in range(1, CANDIDATES)
        )
        points = [first, next(every)]
        try:
            resting = _zeros(subject, points[0]) & _zeros(subject, points[1])
            while resting.any() and (another := next(every, None)) is not None:
                zeros = _zeros(subject, another)
                if (resting & ~zeros).any():
                    points.append(another)
                    resting &= zeros
        except Unavailable:  # which the checks say
            pass
        return points

    def _specials(self) -> list[Special]:
        return [s if isinstance(s, Special) else Special(tuple(s), "special point") for s in self.special]

    def _alike(self, special: Special) -> bool:
        """Whether a special point is one of the function on trial: the same options, arguments of the same kinds."""
        same = {**self.static, **special.static} == self.static and len(special.args) == len(self._args)
        return same and Layout.of(special.args, self._layout.called).like(self._layout)


def _widest(args: Sequence[Any]) -> str:
    """The widest dtype among the float leaves, as JAX would take it here."""
    leaves = [leaf for leaf in jax.tree.leaves(tuple(args)) if jnp.issubdtype(getattr(leaf, "dtype", int), jnp.inexact)]
    if not leaves:
        return "float32"
    widest = functools.reduce(jnp.promote_types, [jnp.finfo(leaf.dtype).dtype for leaf in leaves])
    return str(widest) if jax.config.read("jax_enable_x64") or widest != jnp.float64 else "float32"


def _described(leaf: Any) -> str:
    return f"{leaf.dtype}{list(leaf.shape)}" if hasattr(leaf, "dtype") else repr(leaf)


def _zeros(subject: Modes, at: Point) -> np.ndarray:
    """Which entries of the value are zero at a point."""
    return np.concatenate([np.ravel(y == 0) for y in subject.value(at)])
