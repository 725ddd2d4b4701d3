"""All that a diagnosis computes once: points, probes, the right answers, the candidate's, and the programs of both."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Sequence
from typing import Any

import jax
import numpy as np

from vjpkit.check.diagnosis.answers_read import read_answer
from vjpkit.check.diagnosis.derived import Derived, real, series
from vjpkit.check.diagnosis.drawing import another, remasked, vectors
from vjpkit.check.diagnosis.lifted import in_jax
from vjpkit.check.diagnosis.pool import SLOPES, VALUES, Pool
from vjpkit.check.diagnosis.programs import UNROLLED, Program, trace
from vjpkit.check.diagnosis.question import Asked, Probe
from vjpkit.check.diagnosis.slopes import Region, regions, with_slopes
from vjpkit.check.diagnosis.spelling import spelled
from vjpkit.check.diagnosis.stateless import stateless

RIGHT = 1e-9  # relative error up to which an answer is the right one
ENDLESS = 1e30  # what stands for infinity where something is masked
PER_PLACE = 2


class Workings:
    """Probes lie first at a redrawn point, then at the given one: the given one may be special."""

    def __init__(
        self,
        asked: Asked,
        seed: int = 0,
        places: Sequence[Sequence[Any]] | None = None,
        unrolled: int = UNROLLED,
        traced: bool = False,
    ) -> None:
        self.asked, self.unrolled, self.traced = asked, unrolled, traced
        self.rng = np.random.default_rng(seed)
        self.places = [list(p) for p in places] if places else self._places()
        shapes = asked.vector_shapes()
        self.vector_names = (
            (["g"] if len(shapes) == 1 else [f"g[{j}]" for j in range(len(shapes))])
            if asked.kind == "vjp"
            else [f"{a}_dot" for a in asked.arms]
        )
        self.probes: list[Probe] = []
        for place in range(len(self.places)):
            for _ in range(PER_PLACE):
                v = vectors(shapes, self.rng)
                if asked.kind == "vjp":
                    self.probes.append(Probe(place, v))
                else:
                    self.probes += [Probe(place, _alone(v, k), k) for k in range(len(asked.arms))]
        self._other: Program | None = None
        self._multiplied: list[Any] | None = None
        self._repeated: dict[int, list[Any]] = {}
        self.candidate_program: Derived | None = None
        self._candidates: tuple[Any, ...] = (asked.candidate, in_jax(asked.candidate))  # to be traced
        self._truth()
        self.regions: list[Region] = []
        self.pool = Pool()

    def of_arm(self, k: int) -> list[int]:
        """The probes that say something about an arm."""
        return [i for i, p in enumerate(self.probes) if p.arm in (None, k)]

    def inputs(self, probe: int) -> list[Any]:
        p = self.probes[probe]
        return [*self.places[p.place], *p.vectors]

    def _places(self) -> list[list[Any]]:
        given = self.asked.point
        redrawn = [another(a, self.rng) for a in given]
        masked = [remasked(a, self.rng) for a in redrawn]
        program = trace(self.asked.value, given, len(given))

        def finite(place: list[Any]) -> bool:
            values = program.run(place)
            return all(np.isfinite(np.asarray(values[v])).all() for v in program.outputs)

        first = next((p for p in (masked, redrawn) if finite(p)), None)
        if first is None:
            return [given]
        return [first, given] if finite(given) else [first]

    # ------------------------------------------------------------------------------------ the right answers

    def _truth(self) -> None:
        asked, n = self.asked, len(self.asked.arrays)
        self.plain = asked.flat_function()
        try:
            self.truth = self._derived(asked.derivative(self.plain), n)
        except Exception:  # a loop that only its custom rule can differentiate
            self.plain = asked.value
            self.truth = self._derived(asked.derivative(self.plain), n)
        self.want = [[asked.select(k, self.truth.answers(i)) for i in self.of_arm(k)] for k in range(len(asked.arms))]
        self.scale = [max(float(np.linalg.norm(np.ravel(a))) for a in arm) for arm in self.want]
        linear = [self.truth.base[0][v] for v in self.truth.program.linear]
        peaks = [float(np.max(np.abs(a), initial=0)) for a in linear if real(a)]
        self.floor = 1e-3 * RIGHT * max((peak for peak in peaks if peak < ENDLESS), default=1.0)

    def _derived(
        self, f: Any, n_point: int, extra: Sequence[Sequence[Any]] = (), unrolled: int | None = None
    ) -> Derived:
        def inputs(i: int) -> list[Any]:
            p = self.probes[i]
            return [*self.places[p.place], *(extra[p.place] if extra else ()), *p.vectors]

        program = trace(f, inputs(0), n_point, self.unrolled if unrolled is None else unrolled)
        return Derived(program, [program.run(inputs(i)) for i in range(len(self.probes))])

    # -------------------------------------------------------------------------------- the candidate's answers

    def ask(self) -> None:
        """`got` by arm, probe by probe; raises what the candidate raises, Misread where the structure is wrong.

        The candidate itself is called once; where its program says the same, that answers from then on. `traced`:
        it is known that the program says the same, as of a function of JAX that can remember nothing.
        """
        self.traced |= stateless(self.asked.candidate) and self._traces_alike()
        derived = self.trace_candidate() if self.traced else None
        first = self.answer(0) if derived is None else derived.answers(0)
        if derived is None and not all(_alike(a, b) for a, b in zip(first, self.repeated(0), strict=True)):
            self._candidates = ()  # it has a state, which tracing would spoil
        derived = derived or self.trace_candidate()
        if derived is not None and all(_alike(a, b) for a, b in zip(first, derived.answers(0), strict=True)):
            answers = [derived.answers(i) for i in range(len(self.probes))]
        else:
            self.candidate_program, self._candidates = None, ()
            answers = [first, *(self.answer(i) for i in range(1, len(self.probes)))]
        self.got = [[self.asked.select(k, answers[i]) for i in self.of_arm(k)] for k in range(len(self.asked.arms))]

    def _traces_alike(self) -> bool:
        """Whether the candidate can be traced as it is, and twice gives the same: it draws nothing at random."""
        every, self._candidates = self._candidates, self._candidates[:1]
        first, self.candidate_program = self.trace_candidate(), None
        second = self.trace_candidate() if first is not None else None
        self._candidates = every
        if first is None or second is None or not all(map(_alike, first.answers(0), second.answers(0))):
            self.candidate_program = None
        return self.candidate_program is not None

    def answer(self, probe: int) -> list[Any]:
        """The candidate's own answer at a probe: one array per arm, or per output."""
        p = self.probes[probe]
        return [np.asarray(a) for a in read_answer(self.asked, call(self.asked, self.places[p.place], p.vectors))]

    def repeated(self, probe: int) -> list[Any]:
        """The candidate's own answer, asked for again."""
        if self.traced and self.candidate_program is not None:
            return self.candidate_program.answers(probe)
        if probe not in self._repeated:
            self._repeated[probe] = self.answer(probe)
        return self._repeated[probe]

    def answer_to(self, arrays: Sequence[Any], vectors_: Sequence[Any]) -> list[Any]:
        """The candidate's answer anywhere."""
        if self.candidate_program is not None:
            program = self.candidate_program.program
            values = program.run([*arrays, *vectors_])
            return [values[v] for v in program.outputs]
        return [np.asarray(a) for a in read_answer(self.asked, call(self.asked, arrays, vectors_))]

    def trace_candidate(self) -> Derived | None:
        """The candidate's own program, None where it cannot be traced or does not say what it says when called."""
        asked, n = self.asked, len(self.asked.arrays)

        def f(candidate: Any, *inputs: Any) -> list[Any]:
            raw = candidate(asked.vector(inputs[n:]), *asked.rebuilt(inputs[:n]))
            return [jax.numpy.asarray(a) for a in read_answer(asked, raw)]

        if self.candidate_program is not None:
            return self.candidate_program
        for candidate, unrolled in itertools.product(self._candidates, (self.unrolled, 0)):
            try:
                self.candidate_program = self._derived(lambda *inputs, c=candidate: f(c, *inputs), n, (), unrolled)
                break
            except Exception:  # written in NumPy's own ways, or with Python control flow on values
                continue
        return self.candidate_program

    def multiplies(self, a: Any) -> bool:
        """Whether the candidate multiplies by a value; else a factor too many is a division that is missing."""
        if self._multiplied is None:
            d = self.candidate_program
            operands = [d.base[0][v] for e in d.program.equations if e.name == "mul" for v in e.inputs] if d else []
            self._multiplied = [np.ravel(b) for b in operands]
        flat = np.ravel(a)
        return any(b.size == flat.size and np.allclose(b, flat, 1e-9) for b in self._multiplied)

    def right_at(self, arrays: Sequence[Any], vectors_: Sequence[Any]) -> list[Any]:
        """The right answer anywhere."""
        values = self.truth.program.run([*arrays, *vectors_])
        return [values[v] for v in self.truth.program.outputs]

    def near(self, a: Any, b: Any) -> bool:
        """Whether an answer is the right one b but for roundings."""
        return np.shape(a) == np.shape(b) and np.allclose(
            a, b, 1e-6, 1e-6 * float(np.abs(b).max(initial=0)) + self.floor
        )

    def forward_mode(self, place: int, tangents: Sequence[Any]) -> list[Any]:
        """J ẋ."""
        if self.asked.kind == "vjp":
            return self.other_mode(place, tangents)
        values = self.truth.program.run([*self.places[place], *tangents])
        return [values[v] for v in self.truth.program.outputs]

    def other_mode(self, place: int, vectors_: Sequence[Any]) -> list[Any]:
        """The right answer in the mode that was not asked about."""
        asked = self.asked
        if self._other is None:
            other = dataclasses.replace(asked, kind="jvp" if asked.kind == "vjp" else "vjp")
            self._other = trace(other.derivative(self.plain), [*self.places[place], *vectors_], len(asked.arrays))
        values = self._other.run([*self.places[place], *vectors_])
        return [values[v] for v in self._other.outputs]

    # --------------------------------------------------------------------------------------- what hands use

    def prepare(self) -> None:
        """The forward values by name, and the derivative with its slopes as factors."""
        asked = self.asked
        forward = trace(self.plain, self.places[0], len(asked.arrays), self.unrolled, whole=True)
        self.forward = [forward.run(p) for p in self.places]
        said = self.said = spelled(forward, asked.array_names, self.forward[0])
        self.regions = regions(forward, self.forward[0], set(asked.active), said)
        for v, name in enumerate(asked.array_names):
            self.pool.add(name, "argument", [env[v] for env in self.forward])
        for i, v in enumerate(forward.outputs):
            name = said[v] if len(forward.outputs) == 1 else f"output {i}"
            self.pool.add(name, "output", [env[v] for env in self.forward])
        self._pool(forward, said, self.forward)
        self.series = list(series(forward, self.forward, said))
        self.bent = {said[v] for r in self.regions for v in (r.z, r.a)}  # what slopes are evaluated at
        self.outputs = {said[r.a] for r in self.regions} | {said[v] for v in forward.outputs}
        for name, v in zip(asked.array_names, range(len(asked.arrays)), strict=True):
            for axis in range(np.ndim(self.forward[0][v])) if 2 <= np.ndim(self.forward[0][v]) <= 3 else ():
                self.pool.add(f"sum({name}, {axis})", "value", [np.sum(env[v], axis) for env in self.forward])
        self.slopes = [[r.at(env, env[r.z])[1] for env in self.forward] for r in self.regions]
        for r, slope in zip(self.regions, self.slopes, strict=True):
            self.pool.add(r.name, "slope", slope)
        n = len(asked.arrays)
        extra = [[s[p] for s in self.slopes] for p in range(len(self.places))]
        f = with_slopes(forward, self.regions)

        def sloped(*inputs: Any) -> list[Any]:
            arrays, slopes, rest = inputs[:n], inputs[n : n + len(extra[0])], inputs[n + len(extra[0]) :]
            return asked.derivative(lambda *a: f(*a, *slopes))(*arrays, *rest)

        self.sloped = self._derived(sloped, n + len(self.regions), extra)
        self.sloped.program.like(forward)
        self.sloped.slopes = {n + i: i for i in range(len(self.regions))}
        inputs = [*asked.array_names, *(r.name for r in self.regions), *self.vector_names]
        named = spelled(self.sloped.program, inputs, self.sloped.base[0])
        first = {p.place: i for i, p in reversed(list(enumerate(self.probes)))}
        self._pool(self.sloped.program, named, [self.sloped.base[first[place]] for place in range(len(self.places))])

        for r in self.regions:
            for word, f in SLOPES.items():
                self.pool.add(f"{word}′({said[r.z]})", "slope", [f(env[r.z]) for env in self.forward])
            for word, f in VALUES.items():
                self.pool.add(f"{word}({said[r.z]})", "value", [f(env[r.z]) for env in self.forward])

    def _pool(self, program: Program, said: dict[int, str], values: Sequence[Sequence[Any]]) -> None:
        """What a program computes of the point alone; of a loop the first step's values and the last one's."""
        for k, steps in program.sites():
            eqn = program.equations[k]
            for v in {*eqn.outputs, *program.equations[steps[-1]].outputs}:
                if v not in program.linear:
                    self.pool.add(said[v], "value", [env[v] for env in values])


def call(asked: Asked, arrays: Sequence[Any], vectors_: Sequence[Any]) -> Any:
    """The candidate called with JAX arrays, or with NumPy's where it cannot take those."""
    as_jax = [jax.numpy.asarray(a) if isinstance(a, np.ndarray) else a for a in (*arrays, *vectors_)]
    n = len(arrays)
    try:
        return asked.candidate(asked.vector(as_jax[n:]), *asked.rebuilt(as_jax[:n]))
    except Exception as first:
        try:
            copies = [np.array(a) if isinstance(a, np.ndarray) else a for a in (*arrays, *vectors_)]
            return asked.candidate(asked.vector(copies[n:]), *asked.rebuilt(copies[:n]))
        except Exception:
            raise first from None


def _alone(v: Sequence[np.ndarray], k: int) -> tuple[np.ndarray, ...]:
    return tuple(a if i == k else np.zeros_like(a) for i, a in enumerate(v))


def _alike(a: Any, b: Any) -> bool:
    return np.shape(a) == np.shape(b) and bool(
        np.allclose(a, b, 1e-6, 1e-9 * float(np.max(np.abs(b), initial=0)), equal_nan=True)
    )
