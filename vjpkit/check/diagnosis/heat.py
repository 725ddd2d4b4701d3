"""Where an error sits: a map in text, its rank and size, and a picture where matplotlib is installed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from vjpkit.check.diagnosis.maps import error_maps, shaded
from vjpkit.check.errors import CheckError

if TYPE_CHECKING:
    from vjpkit.check.diagnosis.finding import Diagnosis

WIDEST, TALLEST = 64, 16


def structure(got: np.ndarray, want: np.ndarray) -> str:
    """What can be said about an error that nothing explains."""
    error = np.abs(got - want)
    size = float(np.linalg.norm(want))
    cosine = float(np.real(np.vdot(got, want)) / max(float(np.linalg.norm(got)) * size, 1e-300))
    wrong = int((error > 1e-9 * np.abs(want).max(initial=1e-300)).sum())
    off = float(np.linalg.norm(error)) / max(size, 1e-300)
    lines = [
        f"{wrong} of {error.size} entries differ; error {off:.2g} of the right answer",
        f"cosine {cosine:.3f}, size {np.linalg.norm(got) / max(size, 1e-300):.3g} times the right one",
    ]
    if error.ndim == 2 and min(error.shape) > 1:
        lines.append(
            f"rank of the error {np.linalg.matrix_rank(got - want)}, of the right answer {np.linalg.matrix_rank(want)}"
        )
    for axis in range(error.ndim if 1 < error.ndim <= 4 else 0):
        others = tuple(i for i in range(error.ndim) if i != axis)
        energy = np.sqrt((error**2).sum(others))
        if energy.max(initial=0) > 0 and energy.size > 1:
            lines.append(f"along axis {axis}: " + " ".join(f"{e / energy.max():.1g}" for e in energy[:12]))
    return "\n".join([*lines, *heat_map(error)])


def heat_map(error: np.ndarray) -> list[str]:
    """The sizes of an array's entries, one character each; larger arrays in blocks."""
    flat = np.atleast_2d(error) if error.ndim <= 2 else error.reshape(-1, error.shape[-1])
    rows, columns = (max(1, -(-n // most)) for n, most in zip(flat.shape, (TALLEST, WIDEST), strict=True))
    blocks = [
        [flat[i : i + rows, j : j + columns].max(initial=0) for j in range(0, flat.shape[1], columns)]
        for i in range(0, flat.shape[0], rows)
    ]
    a = np.asarray(blocks)
    peak = a.max(initial=0) or 1.0
    return [f"  |{row}|" for row in shaded(a / peak)]


def text(diagnosis: Diagnosis) -> str:
    """The map of every argument that is wrong; of a large one, its error at a random vector."""
    maps = {m.name: m for m in error_maps(diagnosis)}
    parts = []
    for name, error in diagnosis.errors.items():
        if name in maps:
            parts.append(str(maps[name]))
        elif np.size(error):
            parts.append("\n".join([f"{name} {list(np.shape(error))}, at a random vector", *heat_map(np.abs(error))]))
    return "\n".join(parts)


def figure(diagnosis: Diagnosis, path: Any = None) -> Any:
    """One panel per argument that is wrong: its map, the explained entries outlined; of a large one, its error."""
    try:
        from matplotlib.collections import LineCollection
        from matplotlib.figure import Figure
    except ImportError as missing:
        raise CheckError("picture needs matplotlib: pip install 'vjpkit[bench]'; map() gives it as text") from missing
    maps = {m.name: m for m in error_maps(diagnosis)}
    names = [name for name, error in diagnosis.errors.items() if np.size(error)]
    whole = Figure(figsize=(4.6 * max(len(names), 1), 3.8), layout="constrained")
    panels = whole.subplots(1, max(len(names), 1), squeeze=False)[0]
    for panel, name in zip(panels, names, strict=False):
        m, error = maps.get(name), np.abs(diagnosis.errors[name])
        flat = np.atleast_2d(error) if error.ndim <= 2 else error.reshape(-1, error.shape[-1])
        shown = panel.imshow(flat if m is None else m.error, aspect="auto", cmap="magma")
        panel.set_title(f"{name}, at a random vector" if m is None else m.title, fontsize=8, wrap=True)
        if m is not None:
            panel.set(xlabel="entries of the output", ylabel=f"entries of {name}")
            panel.add_collection(LineCollection(outline(m.explained), colors="tab:green", linewidths=2, clip_on=False))
        whole.colorbar(shown, ax=panel, label="|error|")
    if path is not None:
        whole.savefig(path, dpi=150)
    return whole


def outline(inside: np.ndarray) -> list[tuple[tuple[float, float], tuple[float, float]]]:
    """The edges around the entries that are inside, as segments (x, y) of a picture whose entries are unit squares."""
    padded = np.pad(inside, 1)
    upright = np.argwhere(padded[1:-1, 1:] != padded[1:-1, :-1])
    level = np.argwhere(padded[1:, 1:-1] != padded[:-1, 1:-1])
    return [
        *(((j - 0.5, i - 0.5), (j - 0.5, i + 0.5)) for i, j in upright.tolist()),
        *(((j - 0.5, i - 0.5), (j + 0.5, i - 0.5)) for i, j in level.tolist()),
    ]
