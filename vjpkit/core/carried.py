"""What the equations of a jaxpr carry for us: functions and linear maps, hashable, on flat leaves."""

from __future__ import annotations

import functools
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Any

import jax

Leaves = Sequence[Any]


class Carried(ABC):
    """A hashable callable on flat leaves; equal ones share one compiled program."""

    @property
    @abstractmethod
    def name(self) -> str:
        """What jaxprs, HLO and profiles call it."""

    @property
    @abstractmethod
    def primitive(self) -> Any:
        """The primitive whose equations carry it."""

    @abstractmethod
    def __call__(self, *leaves: Any) -> Any: ...

    @property
    def program(self) -> Any:
        """It, jitted."""
        return _jitted(self)

    def __repr__(self) -> str:
        return self.name


class Function(Carried):
    """From leaves to leaves (or a pytree of them), with a derivative."""

    @abstractmethod
    def jvp(self, primals: Leaves, dots: Leaves, perturbed: tuple[bool, ...]) -> tuple[Leaves, Leaves]:
        """Outputs, and the tangents of those that have one, from the tangents of the perturbed primals."""


class Map(Carried):
    """From residuals and vectors to vectors, linear in the vectors."""

    @property
    @abstractmethod
    def n_res(self) -> int:
        """How many of the leaves are residuals."""

    @property
    @abstractmethod
    def T(self) -> Map:
        """Its transpose at the same residuals."""


def named(f: Callable[..., Any], name: str) -> Callable[..., Any]:
    """`f` under another name."""
    f.__name__ = f.__qualname__ = name
    return f


@functools.lru_cache(maxsize=4096)
def _jitted(carried: Carried) -> Any:
    return jax.jit(named(lambda *leaves: carried(*leaves), carried.name))
