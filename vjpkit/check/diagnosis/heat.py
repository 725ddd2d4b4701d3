"""Where an error sits: a map in text, its rank and size, and a picture where matplotlib is installed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from vjpkit.check.diagnosis.finding import Diagnosis

_SHADES = " ·░▒▓█"
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
    levels = np.ceil(np.nan_to_num(a / peak, nan=1.0, posinf=1.0) * (len(_SHADES) - 1)).astype(int)
    return ["  |" + "".join(_SHADES[n] for n in row) + "|" for row in levels]


def figure(diagnosis: Diagnosis, path: Any = None) -> Any:
    """One panel per argument: |error|, with the cause as its title where it is explained."""
    import matplotlib.pyplot as plt

    panels = [(name, np.abs(e)) for name, e in diagnosis.errors.items() if np.size(e)]
    fig, axes = plt.subplots(1, max(len(panels), 1), figsize=(4 * max(len(panels), 1), 3.4), squeeze=False)
    for ax, (name, error) in zip(axes[0], panels, strict=False):
        flat = np.atleast_2d(error) if error.ndim <= 2 else error.reshape(-1, error.shape[-1])
        shown = ax.imshow(flat, aspect="auto", cmap="magma")
        causes = [f.cause for f in diagnosis.of(name)][:2]
        explained = bool(causes) and causes[0] not in ("unexplained", "shape")
        ax.set_title(f"{name}: {', '.join(causes) or 'right'}", fontsize=9)
        for spine in ax.spines.values():
            spine.set_edgecolor("tab:green" if explained else "tab:red")
            spine.set_linewidth(2)
        fig.colorbar(shown, ax=ax, label="|error|")
    fig.tight_layout()
    if path is not None:
        fig.savefig(path)
        plt.close(fig)
    return fig
