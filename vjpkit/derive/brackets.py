"""In which order to multiply the Jacobians of a chain: the factors' order is fixed, their brackets are free.

Every factor is known by its structure and its sizes alone; `compose` says what a product of two is and costs.
The optimum is found by dynamic programming over the intervals of the chain, where an interval may also be
computed without its factors: by a JVP for each of its inputs, or a VJP for each of its outputs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Factor:
    """A matrix m × n of a kind.

    The kinds: zero, identity, diagonal, selection, kronecker (of two factors), block-diagonal (of so many), dense.
    """

    kind: str
    m: int
    n: int
    left: Factor | None = None
    right: Factor | None = None
    blocks: int = 1

    @property
    def stored(self) -> int:
        """Numbers that are kept."""
        if self.left and self.right:
            return self.left.stored + self.right.stored
        few = {"zero": 0, "identity": 0, "diagonal": self.n, "selection": min(self.m, self.n)}
        return few.get(self.kind, self.m * self.n // self.blocks)

    @property
    def apply(self) -> int:
        """FLOPs of a product with one vector."""
        a, b = self.left, self.right
        if a and b:
            return min(a.n * b.apply + b.m * a.apply, b.n * a.apply + a.m * b.apply)
        few = {"zero": 0, "identity": 0, "diagonal": self.n, "selection": 0}
        return few.get(self.kind, 2 * self.m * self.n // self.blocks)

    @property
    def T(self) -> Factor:
        a, b = self.left, self.right
        return Factor(self.kind, self.n, self.m, a and a.T, b and b.T, self.blocks)


def zero(m: int, n: int) -> Factor:
    return Factor("zero", m, n)


def selection(m: int, n: int) -> Factor:
    """Zeros and ones, one in a row or one in a column."""
    return Factor("selection", m, n)


def dense(m: int, n: int) -> Factor:
    return Factor("dense", m, n)


def identity(n: int) -> Factor:
    return Factor("identity", n, n)


def diagonal(n: int) -> Factor:
    return Factor("diagonal", n, n)


def kronecker(a: Factor, b: Factor) -> Factor:
    """A ⊗ B; where one of them is 1 × 1 the other alone."""
    if (a.m, a.n) == (1, 1):
        return b
    if (b.m, b.n) == (1, 1):
        return a
    return Factor("kronecker", a.m * b.m, a.n * b.n, a, b)


def block_diagonal(blocks: int, m: int, n: int) -> Factor:
    return Factor("block-diagonal", m, n, blocks=blocks) if blocks > 1 else dense(m, n)


def compose(a: Factor, b: Factor) -> tuple[Factor, int]:
    """a b, and the FLOPs of forming it."""
    if "zero" in (a.kind, b.kind):
        return zero(a.m, b.n), 0
    if a.kind == "identity":
        return b, 0
    if b.kind == "identity":
        return a, 0
    if a.kind == b.kind == "diagonal":
        return a, a.n
    if a.kind == b.kind == "kronecker" and a.left and b.left and a.right and b.right:
        meets = a.left.n == b.left.m and a.right.n == b.right.m
        if meets:
            (left, one), (right, two) = compose(a.left, b.left), compose(a.right, b.right)
            return kronecker(left, right), one + two
    for x, y in ((a, b), (b, a)):
        if x.kind == "diagonal" and y.kind in ("dense", "block-diagonal"):
            return Factor(y.kind, a.m, b.n, blocks=y.blocks), y.stored
    if a.kind == b.kind == "block-diagonal" and a.blocks == b.blocks:
        return block_diagonal(a.blocks, a.m, b.n), 2 * a.m * a.n * b.n // a.blocks**2
    return dense(a.m, b.n), min(b.n * a.apply, a.m * b.T.apply)


@dataclass(frozen=True)
class Bracketing:
    """FLOPs of a whole product, the largest matrix met, and where the brackets stand."""

    flops: int
    largest: int
    text: str


def left_to_right(chain: Sequence[Factor], *, structured: bool = True) -> Bracketing:
    """From the output to the input: reverse; the chain is given as it is multiplied, J_K … J_1."""
    return _fold(chain if structured else [dense(f.m, f.n) for f in chain], forward=False)


def right_to_left(chain: Sequence[Factor], *, structured: bool = True) -> Bracketing:
    """From the input to the output: forward."""
    return _fold(chain if structured else [dense(f.m, f.n) for f in chain], forward=True)


def _fold(chain: Sequence[Factor], forward: bool) -> Bracketing:
    order = list(chain)[::-1] if forward else list(chain)
    done, total, largest = order[0], 0, 0
    for factor in order[1:]:
        done, cost = compose(factor, done) if forward else compose(done, factor)
        total, largest = total + cost, max(largest, done.stored)
    return Bracketing(total, largest, "forward" if forward else "reverse")


def optimum(chain: Sequence[Factor], names: Sequence[str]) -> Bracketing:
    """The cheapest brackets, and what they cost."""
    k = len(chain)
    best: dict[tuple[int, int], tuple[int, Factor, int, str]] = {}
    for i in range(k):
        best[i, i] = (0, chain[i], 0, names[i])
    for width in range(1, k):
        for i in range(k - width):
            j = i + width
            options = [_split(best[i, s], best[s + 1, j]) for s in range(i, j)]
            span = " ".join(names[i : j + 1])
            jvps = chain[j].n * sum(f.apply for f in chain[i : j + 1])
            vjps = chain[i].m * sum(f.T.apply for f in chain[i : j + 1])
            whole = dense(chain[i].m, chain[j].n)
            options += [(jvps, whole, whole.stored, f"jvps({span})"), (vjps, whole, whole.stored, f"vjps({span})")]
            best[i, j] = min(options, key=lambda o: o[0])
    total, _, largest, text = best[0, k - 1]
    return Bracketing(total, largest, text)


def _split(a: tuple[int, Factor, int, str], b: tuple[int, Factor, int, str]) -> tuple[int, Factor, int, str]:
    made, cost = compose(a[1], b[1])
    return a[0] + b[0] + cost, made, max(a[2], b[2], made.stored), f"({a[3]} {b[3]})"
