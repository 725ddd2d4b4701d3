"""What kind of matrix a Jacobian is: proposed from its pattern, filled in by products, held against random probes.

A structure is what holds not at this point alone: `tanh` has a diagonal Jacobian where all its slopes happen to be one
number, too. Numbers that are alike mean something only where they are proven constant. The kinds are tried from the
narrowest to the widest; the first that agrees with the Jacobian on vectors that it has not seen is the answer. No
proposal asks for more products than `PRODUCTS`, and none forms an m × n array of a function that is large.
"""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Callable, Iterator
from typing import Any

import jax.numpy as jnp
import numpy as np

from vjpkit.jacobian.colouring import colour, entries, mirrored, star
from vjpkit.jacobian.operators import Dense, Diagonal, Identity, Operator, Outer, Scaled, Zero
from vjpkit.jacobian.patterned import BlockDiagonal, Kronecker, Selection, Sparse, Toeplitz

PRODUCTS = 512  # with the Jacobian, for one proposal
ENTRIES = 2**22  # of what these products may give
RANK = 8
STEPS = 2**23  # from neighbour to neighbour, for one colouring


class Structure(str):
    """The kind of a Jacobian, as a word: with its operator and, for a Kronecker product, its two factors.

    `J.structure == "diagonal"`; `.operator` is None where the matrix would have to be formed; `.axes` are the
    axes of output and input along which a block-diagonal Jacobian has its blocks.
    """

    operator: Operator | None
    axes: tuple[int, int] | None

    def __new__(cls, kind: str, operator: Operator | None = None, axes: tuple[int, int] | None = None) -> Structure:
        self = super().__new__(cls, kind)
        self.operator, self.axes = operator, axes
        return self

    @property
    def factors(self) -> tuple[Operator, Operator] | None:
        """A and B of A ⊗ B."""
        return (self.operator.left, self.operator.right) if isinstance(self.operator, Kronecker) else None


class Probe:
    """Products with a Jacobian of out × in, flat, and its pattern where that is known."""

    def __init__(self, J: Any, masks: np.ndarray | None) -> None:
        self.out, self.of, self.dtype = J.out_shape, J.in_shape, J.dtype
        self.m, self.n = math.prod(self.out), math.prod(self.of)
        self.masks = None if masks is None else [int(m) for m in masks]
        self.columns: Callable[[Any], np.ndarray] = J.columns  # J v for v [k, n], as [k, m]
        self.rows: Callable[[Any], np.ndarray] = J.rows  # gᵀ J for g [k, m], as [k, n]
        self.of_what, self.symmetric = J, J.symmetric

    @property
    def constant(self) -> bool:
        """Whether the numbers are the same at every point: only then does it mean something that some are alike."""
        return self.of_what.constant

    def ones_elsewhere(self) -> bool:
        """Whether the rows sum to 1 at another point too."""
        return bool(np.all(self.of_what.elsewhere().columns(np.ones((1, self.n))) == 1))

    @functools.cached_property
    def seen(self) -> tuple[np.ndarray, np.ndarray]:
        """Random vectors and what the Jacobian makes of them."""
        v = np.random.default_rng(0).standard_normal((2, self.n))
        return v, self.columns(v)

    def agrees(self, operator: Operator) -> bool:
        """Whether the operator gives what the Jacobian gives."""
        v, want = self.seen
        got = np.asarray(operator @ jnp.asarray(v.T, self.dtype)).T
        scale = np.abs(want).max(initial=0.0)
        return bool(np.abs(got - want).max(initial=0.0) <= 200 * math.sqrt(self.n) * jnp.finfo(self.dtype).eps * scale)

    def affordable(self, products: int) -> bool:
        return products <= PRODUCTS and products * (self.m + self.n) <= ENTRIES


def find(J: Any, masks: np.ndarray | None) -> Structure:
    """The structure of a Jacobian, with its pattern or without."""
    probe = Probe(J, masks)
    zero = Zero((probe.m, probe.n))
    if not probe.m * probe.n:
        return Structure("zero", zero)
    if not np.abs(probe.seen[1]).any():
        return Structure("zero", zero) if probe.constant else _zero_here(J, zero)
    for propose in PROPOSALS:
        for operator, axes in propose(probe):
            if probe.agrees(operator):
                return Structure(operator.kind, operator, axes)
    return _blocks_too_large(probe) or Structure("dense")


def _zero_here(J: Any, zero: Zero) -> Structure:
    """A Jacobian that is zero at its point, and may be by accident: of the kind that it has at another one."""
    other = J.elsewhere()
    seen = Probe(other, None).seen[1]
    if not seen.any() or not np.isfinite(seen).all():
        return Structure("zero", zero)
    there = find(other, other.pattern)
    return Structure(str(there), zero, there.axes)


Proposals = Iterator[tuple[Operator, tuple[int, int] | None]]


def _one_entry_a_row(p: Probe) -> Proposals:
    """Identity, scaled, diagonal, and what only moves: at most one entry in a row."""
    if p.masks is not None and any(mask.bit_count() > 1 for mask in p.masks):
        return
    coefficients = p.columns(np.ones((1, p.n)))[0]
    if p.m == p.n:
        alike = bool(np.all(coefficients == coefficients[0])) and p.constant
        if alike and coefficients[0] == 1:
            yield Identity(p.n), None
        if alike:
            yield Scaled(jnp.asarray(coefficients[0]), p.n), None
        yield Diagonal(jnp.asarray(coefficients)), None
    if p.masks is not None and np.all(coefficients == 1) and all(p.masks) and (p.constant or p.ones_elsewhere()):
        yield Selection(np.array([mask.bit_length() - 1 for mask in p.masks]), p.n), None


def _toeplitz(p: Probe) -> Proposals:
    if len(p.out) == len(p.of) == 1 and min(p.m, p.n) > 2 and p.constant:
        column, row = p.columns(np.eye(1, p.n))[0], p.rows(np.eye(1, p.m))[0]
        yield Toeplitz(jnp.asarray(column), jnp.asarray(row)), None


def _kronecker(p: Probe) -> Proposals:
    """A ⊗ B for every cut of the output's axes and of the input's in two."""
    if min(p.m, p.n) < 2 or not p.constant:
        return
    for a, b in itertools.product(range(len(p.out) + 1), range(len(p.of) + 1)):
        m1, n1 = math.prod(p.out[:a]), math.prod(p.of[:b])
        m2, n2 = p.m // m1, p.n // n1
        trivial = 1 in (m1 * n1, m2 * n2, m1 * n2, n1 * m2)  # a factor of one entry, or an outer product
        if not trivial and p.affordable(n1 + n2):
            yield from _factors(p, m1, m2, n1, n2)


def _factors(p: Probe, m1: int, m2: int, n1: int, n2: int) -> Proposals:
    """The factors through the largest entry of some column."""
    start = np.random.default_rng(1).integers(p.n)
    pivot_column = p.columns(np.eye(1, p.n, start))[0]
    i1, i2 = divmod(int(np.abs(pivot_column).argmax()), m2)
    j1, j2 = divmod(int(start), n2)
    pivot = pivot_column[i1 * m2 + i2]
    if pivot == 0:
        return
    unit = np.zeros((n1 + n2, p.n))
    unit[np.arange(n1), np.arange(n1) * n2 + j2] = 1
    unit[n1 + np.arange(n2), j1 * n2 + np.arange(n2)] = 1
    found = p.columns(unit).reshape(-1, m1, m2)
    left, right = found[:n1, :, i2].T / pivot, found[n1:, i1, :].T
    yield Kronecker(*_with_identity(left, right)), None


def _with_identity(left: np.ndarray, right: np.ndarray) -> tuple[Operator, Operator]:
    """Both factors as operators, the number moved to the other where one of them is a multiple of I."""
    if _scalar(left):
        return Identity(len(left)), Dense(jnp.asarray(right * left[0, 0]))
    if _scalar(right):
        return Dense(jnp.asarray(left * right[0, 0])), Identity(len(right))
    return Dense(jnp.asarray(left)), Dense(jnp.asarray(right))


def _scalar(a: np.ndarray) -> bool:
    return a.shape[0] == a.shape[1] > 1 and np.allclose(a, a[0, 0] * np.eye(len(a)), atol=1e-5 * abs(a[0, 0]))


def _blocks(p: Probe) -> Proposals:
    """The batch in front, of output and input alike: a column of each block, all blocks at once."""
    if not (p.out and p.of and p.out[0] == p.of[0] > 1):
        return
    batch, rows, columns = p.out[0], p.m // p.out[0], p.n // p.of[0]
    if rows * columns > 1 and p.affordable(columns) and batch * rows * columns <= ENTRIES:
        found = p.columns(np.tile(np.eye(columns), batch)).reshape(columns, batch, rows)
        yield BlockDiagonal(jnp.asarray(found.transpose(1, 2, 0))), (0, 0)


def _low_rank(p: Probe) -> Proposals:
    k = min(RANK, min(p.m, p.n) // 2)
    if k < 1:
        return
    draws = np.random.default_rng(2).standard_normal((k + 1, p.n))
    u, s, _ = np.linalg.svd(p.columns(draws).T.astype(float), full_matrices=False)
    rank = int(np.sum(s > s[0] * 1e3 * jnp.finfo(p.dtype).eps))
    if rank <= k:
        q = u[:, :rank].T
        yield Outer(jnp.asarray(q.T, p.dtype), jnp.asarray(p.rows(q).T)), None


def _listed(p: Probe) -> Proposals:
    """Banded, triangular or sparse, as the pattern says."""
    if p.masks is None or sum(mask.bit_count() for mask in p.masks) > ENTRIES:
        return
    i, j = entries(p.masks)
    if len(i) > 0.6 * p.m * p.n:
        return
    band = int((j - i).max() + (i - j).max() + 1)
    if len(p.out) == len(p.of) == 1 and min(p.m, p.n) > 2 and abs(p.m - p.n) < p.n / 2 and band <= p.n / 2:
        kind = "banded"
    elif p.m == p.n > 2 and (np.all(j <= i) or np.all(j >= i)):
        kind = "triangular"
    else:
        kind = "sparse"
    yield compressed(p, i, j, kind), None


PROPOSALS: tuple[Callable[[Probe], Proposals], ...] = (
    _one_entry_a_row,
    _toeplitz,
    _kronecker,
    _blocks,
    _low_rank,
    _listed,
)


def _blocks_too_large(p: Probe) -> Structure | None:
    """Block-diagonal along some pair of axes, without its blocks: what enters at one index leaves at that one."""
    v, _ = p.seen
    for a, b in itertools.product(range(len(p.out)), range(len(p.of))):
        if p.out[a] != p.of[b] or p.out[a] < 2 or (p.m, p.n) == (p.out[a], p.of[b]):
            continue
        at = p.out[a] // 2
        masked = np.zeros((1, *p.of))
        place = (slice(None),) * (b + 1) + (at,)
        masked[place] = v[:1].reshape(1, *p.of)[place]
        out = p.columns(masked.reshape(1, -1)).reshape(p.out)
        rest = np.delete(out, at, axis=a)
        if not rest.any() and out.any():
            return Structure("block-diagonal", None, (a, b))
    return None


def compressed(p: Probe, i: np.ndarray, j: np.ndarray, kind: str = "sparse") -> Sparse:
    """The entries at those places, by as few products as colours are needed, in the mode that needs fewer."""
    if p.symmetric:
        found = _symmetric(p, *mirrored(i, j), kind)
        if found is not None:
            return found
    forward, reverse = colour(i, j, p.n), colour(j, i, p.m)
    if forward.max(initial=0) <= reverse.max(initial=0):
        seeds = (forward[None] == np.arange(forward.max(initial=0) + 1)[:, None]).astype(float)
        values = p.columns(seeds)[forward[j], i]
    else:
        seeds = (reverse[None] == np.arange(reverse.max(initial=0) + 1)[:, None]).astype(float)
        values = p.rows(seeds)[reverse[i], j]
    return Sparse(i, j, jnp.asarray(values), (p.m, p.n), kind)


def _symmetric(p: Probe, i: np.ndarray, j: np.ndarray, kind: str) -> Sparse | None:
    """The same of a symmetric matrix, each entry from the one of its two places where it stands alone.

    None where that needs no fewer products, or too many steps, or where the matrix is not symmetric after all.
    """
    degrees = np.bincount(i, minlength=p.n)
    if int((degrees[i] * degrees[j]).sum()) > STEPS:
        return None
    colours = star(i, j, p.n)
    count = int(colours.max(initial=0)) + 1
    if count >= int(colour(i, j, p.n).max(initial=0)) + 1:
        return None
    found = p.columns((colours[None] == np.arange(count)[:, None]).astype(float))
    crowd = np.zeros((count, p.n), int)
    np.add.at(crowd, (colours[j], i), 1)  # how many entries of row i a colour adds up
    here = crowd[colours[j], i] == 1
    values = np.where(here, found[colours[j], i], found[colours[i], j])
    sparse = Sparse(i, j, jnp.asarray(values), (p.m, p.n), kind)
    return sparse if p.agrees(sparse) else None
