"""PyTorch on the same CPU: the same functions, of the same numbers, in the layout that it takes.

Its arrays have their channels in front, which is its default; they are moved there before any timing.
"""

from __future__ import annotations

import importlib
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from vjpkit.bench.workloads import Workload

Layout = Callable[[Any], Any]


class PeerError(ValueError):
    """PyTorch cannot stand beside a rule here."""


@dataclass(frozen=True)
class Peer:
    """A function, given `torch.nn.functional`, and how its first arguments are laid out there."""

    call: Callable[..., Any]
    layouts: tuple[Layout, ...] = ()


def _channels_first(x: Any) -> Any:
    return x.movedim(-1, 1)


def _window_last(w: Any) -> Any:  # [*window, i, o] to [o, i, *window]
    return w.movedim((-1, -2), (0, 1))


def _conv(F: Any, x: Any, w: Any, *, padding: str = "SAME", feature_group_count: int = 1) -> Any:
    if padding == "CAUSAL":
        x, padding = F.pad(x, (w.shape[-1] - 1, 0)), "VALID"
    convolution = getattr(F, f"conv{x.ndim - 2}d")
    return convolution(x, w, padding=padding.lower(), groups=feature_group_count)


def _max_pool(F: Any, x: Any, *, window_shape: tuple[int, ...], strides: tuple[int, ...]) -> Any:
    return getattr(F, f"max_pool{len(window_shape)}d")(x, window_shape, strides)


def _avg_pool(F: Any, x: Any, *, window_shape: tuple[int, ...], strides: tuple[int, ...]) -> Any:
    return getattr(F, f"avg_pool{len(window_shape)}d")(x, window_shape, strides)


def _layer_norm(F: Any, x: Any, scale: Any, bias: Any) -> Any:
    return F.layer_norm(x, x.shape[-1:], scale, bias, 1e-6)


def _group_norm(F: Any, x: Any, scale: Any, bias: Any, *, num_groups: int) -> Any:
    return F.group_norm(x, num_groups, scale, bias, 1e-6)


def _batch_norm(F: Any, x: Any, scale: Any, bias: Any) -> Any:
    return F.batch_norm(x, None, None, scale, bias, training=True, eps=1e-5)


def _mlp(F: Any, x: Any, w_in: Any, w_out: Any, b_in: Any, b_out: Any, scale: Any, bias: Any) -> Any:
    h = F.linear(_layer_norm(F, x, scale, bias), w_in, b_in)
    return F.linear(F.gelu(h, approximate="tanh"), w_out, b_out)


def _gated_mlp(F: Any, x: Any, w_gate: Any, w_value: Any, w_out: Any, scale: Any, *, unit: Any = None) -> Any:
    n = F.rms_norm(x, x.shape[-1:], scale, 1e-6)
    gate = F.linear(n, w_gate)
    return F.linear((F.silu(gate) if unit is None else F.gelu(gate, approximate="tanh")) * F.linear(n, w_value), w_out)


def _same(x: Any) -> Any:
    return x


def _out_first(w: Any) -> Any:
    return w.T


IMAGES = (_channels_first,)
PEERS = {
    "dense": Peer(lambda F, x, w, b: F.linear(x, w, b), (_same, _out_first)),
    "gelu": Peer(lambda F, x: F.gelu(x, approximate="tanh")),
    "silu": Peer(lambda F, x: F.silu(x)),
    "softmax": Peer(lambda F, x, *, axis: F.softmax(x, axis)),
    "log_softmax": Peer(lambda F, x, *, axis: F.log_softmax(x, axis)),
    "layer_norm": Peer(_layer_norm),
    "rms_norm": Peer(lambda F, x, scale: F.rms_norm(x, x.shape[-1:], scale, 1e-6)),
    "mlp": Peer(_mlp, (_same, _out_first, _out_first)),
    "gated_mlp": Peer(_gated_mlp, (_same, _out_first, _out_first, _out_first)),
    "embed": Peer(lambda F, ids, table: F.embedding(ids, table)),
    "batch_norm": Peer(_batch_norm, IMAGES),
    "group_norm": Peer(_group_norm, IMAGES),
    "conv": Peer(_conv, (*IMAGES, _window_last)),
    "max_pool": Peer(_max_pool, IMAGES),
    "avg_pool": Peer(_avg_pool, IMAGES),
    "sigmoid_binary_cross_entropy": Peer(
        lambda F, logits, labels: F.binary_cross_entropy_with_logits(logits, labels, reduction="none")
    ),
    "softmax_cross_entropy": Peer(lambda F, logits, labels: F.cross_entropy(logits, labels, reduction="none")),
    "softmax_cross_entropy_with_integer_labels": Peer(
        lambda F, logits, labels: F.cross_entropy(logits, labels, reduction="none")
    ),
}


def require() -> None:
    """PeerError where there is no torch, or JAX is not on the CPU where torch would be.

    Unless the environment says otherwise, torch's threads sleep between its loops, where they would spin by default:
    they would take the cores from whoever is timed next, and beside a busy neighbour they slow torch itself tenfold.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    try:
        importlib.import_module("torch")
    except ImportError as error:
        raise PeerError("--peers needs PyTorch, which is not installed: pip install torch") from error
    if jax.default_backend() != "cpu":
        raise PeerError(f"--peers compares on a CPU, and JAX runs on {jax.default_backend()}: set JAX_PLATFORMS=cpu")


def peers(workload: Workload, arguments: tuple[jax.Array, ...]) -> Mapping[str, Callable[[], Any]]:
    """What runs the workload forward and reverse, by the framework's name; empty where torch lacks the function."""
    if workload.rule.name not in PEERS:
        return {}
    torch = importlib.import_module("torch")
    call, inputs = prepared(workload, arguments)
    moving = [x for x in inputs if x.requires_grad]
    g = torch.full_like(call(), 0.7)
    return {f"torch {torch.__version__}": lambda: torch.autograd.grad(call(), moving, g)}


def prepared(workload: Workload, arguments: tuple[jax.Array, ...]) -> tuple[Callable[[], Any], list[Any]]:
    """The function as torch has it, called without arguments, and the arguments that it was given."""
    torch = importlib.import_module("torch")
    peer = PEERS[workload.rule.name]
    inputs = [_tensor(torch, x) for x in arguments]
    for i, layout in enumerate(peer.layouts):
        inputs[i] = layout(inputs[i]).contiguous()
    for x in inputs:
        x.requires_grad_(x.is_floating_point())
    return lambda: peer.call(torch.nn.functional, *inputs, **workload.static), inputs


def _tensor(torch: Any, x: jax.Array) -> Any:
    """The same numbers; NumPy has no bfloat16 that torch would read."""
    if x.dtype == jnp.bfloat16:
        return torch.from_numpy(np.array(x, np.float32)).to(torch.bfloat16)
    values = torch.from_numpy(np.array(x))
    return values if values.is_floating_point() else values.long()
