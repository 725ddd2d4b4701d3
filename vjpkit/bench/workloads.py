"""The shapes at which the library's own rules are measured, and the function that each of them mirrors."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import jax
import jax.numpy as jnp

from vjpkit import losses, nn
from vjpkit.core import Draw, Rule
from vjpkit.core.draw import integers, normal, probabilities


@dataclass(frozen=True)
class Workload:
    """A rule at a realistic size, with the function of another library that it replaces."""

    rule: Rule
    args: tuple[Any, ...]
    static: Mapping[str, Any] = field(default_factory=dict)
    mirrors: Mapping[str, Callable[..., Any]] = field(default_factory=dict)
    dtype: Any = jnp.float32

    def draw(self) -> tuple[Any, ...]:
        """The arguments, the same at each call."""
        keys = jax.random.split(jax.random.key(0), len(self.args))
        return tuple(
            a.sample(k, self.dtype) if isinstance(a, Draw) else a for a, k in zip(self.args, keys, strict=True)
        )


ACTIVATIONS = ("relu", "relu6", "hard_tanh", "leaky_relu", "elu", "selu", "celu", "gelu", "silu", "sigmoid", "tanh",
               "softplus", "log_sigmoid", "squareplus", "mish")  # fmt: skip


def _mirror(module: Any, label: str, name: str) -> dict[str, Callable[..., Any]]:
    return {f"{label}.{name}": getattr(module, name)}


def _optax() -> Any:
    """optax.losses where optax is installed: the losses are measured without it else."""
    try:
        from optax import losses as optax_losses
    except ImportError:
        return None
    return optax_losses


def workloads() -> tuple[Workload, ...]:
    """All of them, in the order of the families."""
    optax = _optax()

    def loss(name: str, *args: Draw) -> Workload:
        mirrors = _mirror(optax, "optax", name) if hasattr(optax, name) else {}
        return Workload(getattr(losses, name), args, mirrors=mirrors)

    return (
        Workload(nn.dense, (normal(512, 512), normal(512, 2048, scale=0.05), normal(2048))),
        Workload(nn.affine, (normal(2048, 512, scale=0.05), normal(512, 512), normal(2048))),
        *(Workload(getattr(nn, n), (normal(1024, 2048),), mirrors=_mirror(jax.nn, "jax.nn", n)) for n in ACTIVATIONS),
        *(
            Workload(getattr(nn, n), (normal(1024, 2048),), {"axis": -1}, _mirror(jax.nn, "jax.nn", n))
            for n in ("softmax", "log_softmax", "logsumexp")
        ),
        loss("half_mean_squared_error", normal(1024, 2048), normal(1024, 2048)),
        loss("squared_error", normal(1024, 2048), normal(1024, 2048)),
        loss("l2_loss", normal(1024, 2048), normal(1024, 2048)),
        loss("sigmoid_binary_cross_entropy", normal(1024, 2048), probabilities(1024, 2048)),
        loss("softmax_cross_entropy", normal(512, 4096), probabilities(512, 4096)),
        loss("softmax_cross_entropy_with_integer_labels", normal(512, 4096), integers(512, high=4096)),
    )
