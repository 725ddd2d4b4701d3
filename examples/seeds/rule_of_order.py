"""The rule that knows no layout: how each operation moves to the other side of ⟨ , ⟩, in three forms.

(i)   Write dC = ⟨G, dZ⟩, put in dZ, and move every operation over by its adjoint; what then stands beside dX is X̄.
(ii)  Exchange subscripts: an operand's cotangent is the einsum in which it and the output have changed places.
(iii) Give every space its own name: then one order of the maps composes, and only one.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from attempts import Array, draw, relative
from page import section, table

# ------------------------------------------------------------------------------------------- (i) adjoint moves

_A, _S, _ROWS = draw(5, 3), draw(3, 7), np.array([2, 0, 2, 1])


class Move(NamedTuple):
    """An operation on X, 3 × 7, and its adjoint: ⟨G, f(X)⟩ = ⟨adjoint(G), X⟩."""

    name: str
    becomes: str
    f: Callable[[Array], Array]
    adjoint: Callable[[Array], Array]

    def gap(self) -> float:
        x = draw(3, 7, seed=1)
        y = self.f(x)
        g = draw(*np.shape(y), seed=2)
        left, right = np.vdot(g, y), np.vdot(self.adjoint(g), x)
        return float(abs(left - right) / abs(left))


MOVES = [
    Move("A X", "Aᵀ G", lambda x: _A @ x, lambda g: _A.T @ g),
    Move("X B", "G Bᵀ", lambda x: x @ _S.T, lambda g: g @ _S),
    Move("S ⊙ X", "S ⊙ G", lambda x: _S * x, lambda g: _S * g),
    Move("Xᵀ", "Gᵀ", lambda x: x.T, lambda g: g.T),
    Move("Σ_n X_in", "broadcast over n", lambda x: x.sum(1), lambda g: np.broadcast_to(g[:, None], (3, 7))),
    Move("broadcast of X", "sum", lambda x: np.broadcast_to(x, (5, 3, 7)), lambda g: g.sum(0)),
    Move("X[rows]", "added at the rows", lambda x: x[_ROWS], lambda g: _added(g)),
    Move("reshape", "reshape back", lambda x: x.reshape(7, 3), lambda g: g.reshape(3, 7)),
    Move("reversed", "reversed", lambda x: x[:, ::-1], lambda g: g[:, ::-1]),
    Move("convolved with k", "correlated with k", lambda x: _convolved(x), lambda g: _correlated(g)),
]
_K = draw(3, seed=4)


def _added(g: Array) -> Array:
    x_bar = np.zeros((3, 7))
    np.add.at(x_bar, _ROWS, g)
    return x_bar


def _convolved(x: Array) -> Array:
    return np.stack([np.convolve(row, _K) for row in x])


def _correlated(g: Array) -> Array:
    return np.stack([np.correlate(row, _K, "valid") for row in g])


# ------------------------------------------------------------------------------------- (ii) exchange of subscripts


def exchanged(subscripts: str, k: int) -> str:
    """The einsum of operand k's cotangent: of the operands, with the output's cotangent in the place of k.

    ValueError where an index of the operand stands nowhere else: it was summed alone, and must be broadcast.
    """
    left, _, out = subscripts.partition("->")
    terms = left.split(",")
    own = terms[k]
    terms[k] = out
    if alone := set(own) - set("".join(terms)):
        raise ValueError(f"{', '.join(sorted(alone))} of {own} was summed alone: its cotangent is a broadcast over it")
    if len(set(own)) < len(own):
        raise ValueError(f"{own} has an index twice: its cotangent is a diagonal")
    return f"{','.join(terms)}->{own}"


EXCHANGES = [  # forward, and what people call the cotangents
    ("ij,j->i", ("outer product δ aᵀ", "transpose: Wᵀ δ")),
    ("ij,jn->in", ("G Xᵀ", "Wᵀ G")),
    ("i,i->i", ("Hadamard: the index is shared, and kept", "Hadamard")),
    ("nj,ji->ni", ("G Wᵀ", "Xᵀ G")),
    ("bhqd,bhkd->bhqk", ("the keys, weighted", "the queries, weighted")),
]


def exchange_errors(subscripts: str) -> list[float]:
    """Of each operand's cotangent, beside autodiff's."""
    left, _, out = subscripts.partition("->")
    primes = dict(zip(sorted(set(left) - {","}), (2, 3, 5, 7, 11), strict=False))
    operands = [draw(*(primes[i] for i in term), seed=n) for n, term in enumerate(left.split(","))]
    g = draw(*(primes[i] for i in out), seed=9)
    vjp = jax.jit(lambda g, *xs: jax.vjp(lambda *xs: jnp.einsum(subscripts, *xs), *xs)[1](g))
    errors = []
    for k, truth in enumerate(vjp(g, *operands)):
        with_g = [g if n == k else x for n, x in enumerate(operands)]
        errors.append(relative(np.einsum(exchanged(subscripts, k), *with_g), truth))
    return errors


# ----------------------------------------------------------------------------------------------- (iii) named spaces


class Map(NamedTuple):
    """A linear map between spaces, which have names and sizes."""

    name: str
    source: str
    target: str

    @property
    def T(self) -> Map:
        return Map(f"{self.name}ᵀ", f"{self.target}*", f"{self.source}*")


CHAIN = [Map("W1", "x", "z1"), Map("f′1", "z1", "a1"), Map("W2", "a1", "z2"), Map("f′2", "z2", "a2")]


def orders(maps: Sequence[Map], start: str, end: str, sizes: dict[str, int] | None = None) -> list[str]:
    """The products of the maps, each transposed or not, that lead from start to end; by sizes where these are given."""

    def same(one: str, other: str) -> bool:
        return one == other if sizes is None else sizes[one.rstrip("*")] == sizes[other.rstrip("*")]

    found = []
    for order in itertools.permutations(maps):
        for chosen in itertools.product(*((m, m.T) for m in order)):
            ends = [(start, chosen[-1].source), *((b.target, a.source) for a, b in itertools.pairwise(chosen))]
            if all(same(*pair) for pair in ends) and same(chosen[0].target, end):
                found.append(" ".join(m.name for m in chosen))
    return found


def counts() -> dict[str, int]:
    """Ways to lead ∂C/∂a2 back to ∂C/∂x with the four maps of `CHAIN`."""
    different = {"x": 7, "z1": 3, "a1": 3, "z2": 5, "a2": 5}
    return {
        "by the names of spaces": len(orders(CHAIN, "a2*", "x*")),
        "by sizes 7-3-5": len(orders(CHAIN, "a2*", "x*", different)),
        "by sizes 4-4-4": len(orders(CHAIN, "a2*", "x*", dict.fromkeys(different, 4))),
    }


def main() -> None:
    section("The rule, (i): what moves to the other side of ⟨ , ⟩, and as what")
    table([("in dZ", "beside dX", "gap"), *((m.name, m.becomes, f"{m.gap():.0e}") for m in MOVES)])

    section("The rule, (ii): exchange the subscripts")
    for subscripts, names in EXCHANGES:
        errors = exchange_errors(subscripts)
        for k, (name, error) in enumerate(zip(names, errors, strict=True)):
            print(f"  {subscripts:16} operand {k}: {exchanged(subscripts, k):16} {name} (error {error:.0e})")

    section("The rule, (iii): name the spaces", "Ways to multiply f′2, W2, f′1, W1, transposed or not, that fit:")
    table(counts().items())
    print(f"By names: {orders(CHAIN, 'a2*', 'x*')[0]}.")


if __name__ == "__main__":
    main()
