"""What the examples share: devices, the curve of a loss and its picture, and the numbers of a command line."""

from __future__ import annotations

import argparse
import contextlib
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import jax
import numpy as np
from jax.sharding import Mesh
from matplotlib.figure import Figure


class Curve(NamedTuple):
    """The loss of each step's batch, and now and then that of what is held out."""

    batch: list[float]
    held_out: list[tuple[int, float]]


def row_of_devices(count: int) -> Mesh:
    """The first `count` devices; where the machine has fewer, CPU devices are simulated."""
    if count > 1:
        with contextlib.suppress(RuntimeError):  # JAX has started already, with the devices that it has
            jax.config.update("jax_num_cpu_devices", count)
    devices = jax.devices() if len(jax.devices()) >= count else jax.devices("cpu")
    if len(devices) < count:
        raise ValueError(f"JAX had already started with {len(devices)} devices; {count} cannot be simulated any more")
    return Mesh(np.array(devices[:count]), ("batch",))


def picture_of_loss(curve: Curve, unit: str, held_out: str, title: str) -> Figure:
    """Both losses against the step, on a logarithmic scale."""
    figure = Figure(figsize=(7, 4.2), layout="constrained")
    axes = figure.subplots()
    axes.semilogy(range(1, len(curve.batch) + 1), curve.batch, color="#a9c4e4", lw=0.7, label="each batch")
    axes.semilogy(*zip(*curve.held_out, strict=True), color="#c8501e", lw=1.8, marker="o", ms=3.5, label=held_out)
    axes.set(xlabel="step", ylabel=f"cross-entropy ({unit})", xlim=(0, len(curve.batch)))
    axes.set_title(title, loc="left")
    axes.grid(color="#e6e6e6", lw=0.7)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False)
    return figure


def whole(least: int) -> Callable[[str], int]:
    """Reads a whole number."""

    def read(text: str) -> int:
        if not least <= int(text) < 2**31:
            raise argparse.ArgumentTypeError(f"expected a whole number of at least {least}, got {text}")
        return int(text)

    read.__name__ = "whole number"
    return read


def positive(text: str) -> float:
    """Reads a number above zero."""
    if not 0 < float(text) < float("inf"):
        raise argparse.ArgumentTypeError(f"expected a number above 0, got {text}")
    return float(text)


def folder(text: str) -> Path:
    """Reads a folder, which may not exist yet."""
    if Path(text).exists() and not Path(text).is_dir():
        raise argparse.ArgumentTypeError(f"expected a folder, got the file {text}")
    return Path(text)
