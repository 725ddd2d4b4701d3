"""A rule at a realistic size, to be measured."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import jax
import jax.numpy as jnp

from vjpkit.bench.contestants import Function
from vjpkit.core import Draw, Rule


@dataclass(frozen=True)
class Workload:
    """A rule at a realistic size, beside the functions of other libraries that it replaces."""

    rule: Rule
    args: tuple[Draw, ...]
    static: Mapping[str, Any] = field(default_factory=dict)
    against: Mapping[str, Function] = field(default_factory=dict)
    dtype: Any = jnp.float32
    label: str = ""  # what tells it from the rule's other workloads

    @property
    def name(self) -> str:
        return f"{self.rule.name} {self.label}".rstrip()

    def arguments(self) -> tuple[jax.Array, ...]:
        """The arguments, the same numbers at each call."""
        return tuple(draw.sample(seed, self.dtype) for seed, draw in enumerate(self.args))

    def specs(self) -> tuple[jax.ShapeDtypeStruct, ...]:
        """The arguments' shapes and dtypes, to compile for."""
        return tuple(jax.ShapeDtypeStruct(draw.shape, self._dtype(draw)) for draw in self.args)

    def _dtype(self, draw: Draw) -> Any:
        return self.dtype if draw.floating else draw.reshaped(*(2 for _ in draw.shape)).sample(0).dtype
