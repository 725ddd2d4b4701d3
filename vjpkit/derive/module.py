"""A rule's module: the primal, its fwd, jvp and vjp, as one writes them by hand."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from vjpkit.derive.formatting import WIDTH, formatted
from vjpkit.derive.linearise import Derivation, floats
from vjpkit.derive.program import Equation, Value, alive
from vjpkit.derive.residuals import recomputed, residuals
from vjpkit.derive.text import Names
from vjpkit.derive.trees import Tree
from vjpkit.derive.writer import LETTERS, Writer, letter

RESERVED = {"jax", "jnp", "rule", "res", "g"}


@dataclass
class Module:
    """What is written: a derivation, its name, its parameters and its output as trees of values, and a sentence."""

    d: Derivation
    name: str
    params: Sequence[tuple[str, Tree]]
    out: Tree
    sentence: str

    def __post_init__(self) -> None:
        d = self.d
        read = [v for eqn in (*d.tangent, *d.cotangent) for v in eqn.inputs]
        ends = [v for v in (*d.out_dots, *d.bars) if v is not None]
        made = {v for eqn in d.primal for v in eqn.outputs} | set(d.args)
        self.read = [v for v in dict.fromkeys([*read, *ends]) if v in made]
        self._name_values()
        self.kept = residuals(d.primal, self.read, d.args)
        self._name_kept()

    def _name_values(self) -> None:
        """What is known of names before anything is written: arguments, outputs, tangents after their primals."""
        d = self.d
        taken = {param for param, _ in self.params}
        for param, tree in self.params:
            for v, wish in zip(tree.leaves, tree.wishes(param), strict=True):
                v.name = wish
        for v, y_dot, g in zip(d.out, d.out_dots, d.cotangents, strict=True):
            if v.constant is None and v not in d.args:
                v.hint = "y" if "y" not in taken or len(d.out) > 1 else "out"
            if y_dot is not None and g is not None:
                g.name = f"{v.name or v.hint or 'y'}_bar"
        for eqn in (*d.tangent, *d.cotangent):
            for v in eqn.outputs:
                if v.name and not v.name.endswith(("_dot", "_bar")):
                    v.name += "_dot" if eqn in d.tangent else "_bar"
        for v, dot, bar in zip(d.args, d.dots, d.bars, strict=True):
            if dot is not None:
                dot.name = f"{v.name}_dot"
            if bar is not None and bar.constant is None and bar not in d.cotangents:
                bar.hint = f"{v.name}_bar"

    def _name_kept(self) -> None:
        made = {v: eqn for eqn in self.d.primal for v in eqn.outputs}
        shared = {v for eqn in self.d.plain.equations for v in eqn.outputs}
        slopes = {v for eqn in self.d.tangent if eqn.op == "mul" for v in eqn.inputs} - shared
        for v in self.kept:
            if not v.name and v in made:
                v.hint = LETTERS.get(made[v].op, "slope" if v in slopes else v.hint)

    @property
    def source(self) -> str:
        blocks = [self._head(), self._primal(), self._fwd(), self._jvp(), self._vjp(), self._rule()]
        return "\n\n\n".join("\n".join(formatted(block)) for block in blocks) + "\n"

    def _head(self) -> list[str]:
        title = f'"""A rule for {self.name}, written by vjpkit.write_rule."""'
        return [title, "", "import jax", "import jax.numpy as jnp", "", "from vjpkit import rule"]

    # ------------------------------------------------------------------------------------------ functions

    def _primal(self) -> list[str]:
        w, head = self._start(self.name, annotate=True)
        alone = self.d.plain
        for v, own in zip(self.d.args, alone.inputs, strict=True):
            w.take(own, w.texts[v].code)
        w.write(alone.equations, alone.outputs)
        result = self._tree(w, self.out, alone.outputs)
        return ["@rule", head, *_indented([*self._told(), *self._unpacked(), *w.lines, f"return {result}"])]

    def _fwd(self) -> list[str]:
        w, head = self._start(f"{self.name}_fwd")
        ends = [*self.d.out, *self.kept]
        w.write(alive(self.d.primal, ends), ends)
        kept = _packed([w.text(v).code for v in self.kept])
        result = self._tree(w, self.out, self.d.out)
        result = (
            f"({result})" if "," in result and not result.startswith(("(", "[", "{")) and self.out.several else result
        )
        return [head, *_indented([*self._unpacked(), *w.lines, f"return {result}, {kept}"])]

    def _jvp(self) -> list[str]:
        d = self.d
        w, lines = self._maps()
        params = []
        for param, tree in self.params:
            dots = [dot for v, dot in zip(d.args, d.dots, strict=True) if v in set(tree.leaves)]
            params.append(w.names.fresh(f"{param}_dot"))
            lines += self._opened(w, tree, dots, params[-1])
        w.dtype = self._dtype([(dot, w) for dot in d.dots], w)
        ends = [v for v in d.out_dots if v is not None]
        self._write(w, d.tangent, ends)
        returned = self._tree(w, self.out, d.out_dots)
        return [f"def {self.name}_jvp(res, {', '.join(params)}):", *_indented([*lines, *w.lines, f"return {returned}"])]

    def _vjp(self) -> list[str]:
        d = self.d
        w, lines = self._maps()
        if self.out.several:
            lines += self._opened(w, self.out, d.cotangents, "g")
        elif d.cotangents[0] is not None:
            w.take(d.cotangents[0], "g")
        w.dtype = self._dtype([(g, w) for g in d.cotangents], w)
        ends = [v for v in d.bars if v is not None]
        self._write(w, d.cotangent, ends)
        bar = dict(zip(d.args, d.bars, strict=True))
        answers = [self._tree(w, tree, [bar[v] for v in tree.leaves]) for _, tree in self.params]
        answers = [f"({a})" if tree.bare_tuple else a for a, (_, tree) in zip(answers, self.params, strict=True)]
        one = len(answers) == 1 and not self.params[0][1].several
        returned = _listed(answers, one)
        if len(returned) > WIDTH - len("    return "):
            for k, (param, tree) in enumerate(self.params):
                if not (tree.several or answers[k].isidentifier()):
                    w.lines.append(f"{(name := w.names.fresh(f'{param}_bar'))} = {answers[k]}")
                    answers[k] = name
            returned = _listed(answers, one)
        return [f"def {self.name}_vjp(res, g):", *_indented([*lines, *w.lines, f"return {returned}"])]

    def _rule(self) -> list[str]:
        n = self.name
        return [f"{n}.defrule(fwd={n}_fwd, jvp={n}_jvp, vjp={n}_vjp)"]

    # ---------------------------------------------------------------------------------------------- parts

    def _start(self, name: str, annotate: bool = False) -> tuple[Writer, str]:
        """A writer that knows the arguments, and the `def` line."""
        params = [p for p, _ in self.params]
        w = Writer(Names({*params, "jax", "jnp", "rule", self.name}), self._main, "")
        for param, tree in self.params:
            for v, wish in zip(tree.leaves, tree.wishes(param), strict=True):
                w.take(v, param if not tree.several else w.names.fresh(wish))
        self._accesses = {v: w.texts[v].code for _, tree in self.params for v in tree.leaves}
        w.dtype = self._dtype([(v, w) for v in self.d.args], w)
        typed = [f"{p}: jax.Array" if annotate and not tree.several else p for p, tree in self.params]
        return w, f"def {name}({', '.join(typed)}):"

    def _told(self) -> list[str]:
        """The docstring: the sentence, its shapes not broken."""
        whole = re.sub(r"(?<=[\d\w]) (?=\w+\[|\()|(?<=\d), (?=\d)", _joined, f'"""{self.sentence}"""')
        return [line.replace("\N{NO-BREAK SPACE}", " ") for line in textwrap.wrap(whole, 106)]

    def _unpacked(self) -> list[str]:
        """The arguments that are trees, taken apart."""
        return [
            f"{self._accesses[v]} = {param}{path}"
            for param, tree in self.params
            if tree.several
            for v, path in zip(tree.leaves, tree.paths, strict=True)
        ]

    def _maps(self) -> tuple[Writer, list[str]]:
        """A writer that knows the residuals, and the line that unpacks them."""
        w = Writer(Names({*RESERVED, self.name}), self._main, "")
        names = []
        for v in self.kept:
            names.append(w.names.fresh(v.name or v.hint or letter(w.names)))
            w.take(v, names[-1])
        return w, [f"{_packed(names) if len(names) == 1 else ', '.join(names)} = res"] if names else []

    def _opened(self, w: Writer, tree: Tree, values: Sequence[Value | None], param: str) -> list[str]:
        """Vectors laid out as a tree, under names of their own."""
        if not tree.several:
            if values[0] is not None:
                w.take(values[0], param)
            return []
        lines = []
        for v, path in zip(values, tree.paths, strict=True):
            if v is not None:
                name = w.names.fresh(v.name)
                lines.append(f"{name} = {param}{path}")
                w.take(v, name)
        return lines

    def _write(self, w: Writer, equations: Sequence[Equation], ends: Sequence[Value]) -> None:
        body = alive(equations, ends)
        read = [v for eqn in body for v in eqn.inputs] + list(ends)
        w.write([*recomputed(self.d.primal, read, self.kept), *body], ends)

    def _tree(self, w: Writer, tree: Tree, values: Sequence[Value | None]) -> str:
        return tree.code(["None" if v is None else w.text(v).code for v in values])

    @property
    def _main(self) -> Any:
        return next(v.dtype for v in self.d.args if floats(v))

    def _dtype(self, candidates: Sequence[tuple[Value | None, Writer]], w: Writer) -> str:
        """How this function says the main dtype: as that of a value at hand."""
        known = [v for v, _ in candidates if v is not None] + list(self.kept)
        found = next((v for v in known if v.dtype == self._main and v in w.texts), None)
        return f"{w.texts[found].code}.dtype" if found else "float"


def _listed(answers: Sequence[str], one: bool) -> str:
    return answers[0] if one else f"{', '.join(answers)}{',' if len(answers) == 1 else ''}"


def _packed(items: Sequence[str]) -> str:
    return f"({', '.join(items)}{',' if len(items) == 1 else ''})"


def _indented(lines: Sequence[str]) -> list[str]:
    return [f"    {line}" for line in lines]


def _joined(found: re.Match[str]) -> str:
    return found.group().replace(" ", "\N{NO-BREAK SPACE}")
