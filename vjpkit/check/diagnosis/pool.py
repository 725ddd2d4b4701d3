"""The values that a formula could have used by mistake: arguments, intermediate values, slopes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from vjpkit.check.diagnosis.spelling import turned

NAMELESS = "a factor"
Function = Callable[[Any], Any]
# Slopes and values of functions that a formula may have taken for the right one, or for one that is not there.
SLOPES: dict[str, Function] = {
    "sigmoid": lambda z: 0.25 * (1 - np.tanh(z / 2) ** 2),
    "tanh": lambda z: 1 - np.tanh(z) ** 2,
    "relu": lambda z: (z > 0).astype(float),
}
VALUES: dict[str, Function] = {"sigmoid": lambda z: 0.5 * (1 + np.tanh(z / 2)), "tanh": np.tanh}


@dataclass(frozen=True)
class Value:
    """A named array, at each place where the question is looked at."""

    name: str
    role: str
    at: tuple[Any, ...]

    @property
    def shape(self) -> tuple[int, ...]:
        return np.shape(self.at[0])


@dataclass(frozen=True)
class Series:
    """A named array of every step of a loop, at each place."""

    name: str
    at: tuple[tuple[Any, ...], ...]


class Pool:
    """Values by shape, equal ones once, the shortest name first."""

    def __init__(self) -> None:
        self.values: list[Value] = []

    def add(self, name: str, role: str, at: Sequence[Any]) -> None:
        a = at[0]
        if not isinstance(a, np.ndarray) or a.dtype.kind not in "fc" or a.size == 0 or not np.isfinite(a).all():
            return
        if (a.size > 1 and np.ptp(a.real) == 0) or self.find(a) is not None:
            return
        self.values.append(Value(name, role, tuple(at)))

    def find(self, a: Any) -> Value | None:
        """The value that an array is, perhaps with axes of size one more or fewer."""
        squeezed = np.squeeze(a)
        return next(
            (
                v
                for v in self.values
                if np.squeeze(v.at[0]).shape == squeezed.shape and _same(np.squeeze(v.at[0]), squeezed)
            ),
            None,
        )

    def named(self, a: Any) -> str:
        """What to call an array."""
        if np.size(a) == 1 or (np.size(a) and np.ptp(np.real(a)) == 0):
            return f"{np.ravel(a)[0]:.6g}"
        if (found := self.find(a)) is not None:
            return found.name
        if np.ndim(a) == 2 and (found := self.find(np.transpose(a))) is not None:
            return turned(found.name)
        return NAMELESS

    def of_shape(self, shape: tuple[int, ...]) -> Iterator[Value]:
        """Values of a shape, perhaps with axes of size one more or fewer; of vectors, columns too."""
        packed = tuple(n for n in shape if n > 1)
        for v in self.values:
            if v.shape == shape:
                yield v
            elif packed and tuple(n for n in v.shape if n > 1) == packed:
                yield replace(v, at=tuple(np.reshape(a, shape) for a in v.at))

    def fitting(self, shape: tuple[int, ...]) -> Iterator[tuple[str, str, tuple[Any, ...]]]:
        """Values that multiply an array of this shape: of that shape, or along some of its axes."""
        for v in self.values:
            if len(v.shape) == len(shape) and all(n in (1, m) for n, m in zip(v.shape, shape, strict=True)):
                yield v.name, v.role, v.at
            elif v.shape == ():
                yield v.name, v.role, tuple(np.reshape(a, (1,) * len(shape)) for a in v.at)
            elif len(v.shape) < len(shape):
                yield from (
                    (v.name, v.role, tuple(np.expand_dims(a, axes) for a in v.at)) for axes in _places(v.shape, shape)
                )


def _places(small: tuple[int, ...], large: tuple[int, ...]) -> Iterator[tuple[int, ...]]:
    """The axes to add so that the small shape lies along axes of the large one, in order."""
    if small == () or len(large) > 4:
        return
    if len(small) == len(large) - 1:
        for k in range(len(large)):
            if large[:k] + large[k + 1 :] == small:
                yield (k,)
    elif len(small) == 1:
        for k, n in enumerate(large):
            if n == small[0]:
                yield tuple(i for i in range(len(large)) if i != k)


def _same(a: np.ndarray, b: np.ndarray) -> bool:
    if a.ravel()[:1] != b.ravel()[:1] and not np.allclose(a.ravel()[:1], b.ravel()[:1], 1e-9, 1e-300):
        return False
    return bool(np.allclose(a, b, 1e-9, 1e-12 * float(np.abs(b).max(initial=0))))
