"""The check of the table is checked: with a stock mount that runs the other map, it fails."""

from __future__ import annotations

import pytest

from .checks import check_provenance, check_value
from .rows import ROWS

pytestmark = pytest.mark.usefixtures("quick_compilation")

ROW = {(row.group, row.name): row for row in ROWS}
REVERSE = [
    ("reverse mode, transposes", "grad"),
    ("reverse mode, transposes", "jit of grad"),
    ("reverse mode, transposes", "jacrev in x"),
    ("reverse mode, transposes", "linear_transpose of linearize"),
    ("vmap", "of grad, over x"),
    ("vmap", "grad of, over x: w's cotangent is a sum"),
    ("control flow", "scan, grad of, stacked outputs"),
    ("control flow", "cond, true, grad of"),
    ("checkpoint and policies", "no policy, grad of"),
    ("checkpoint and policies", "dots_saveable, jit of grad of"),
    ("sharding", "shard_map, check_vma, grad outside, both operands"),
    ("higher order", "Hessian rev(rev)"),
    ("other", "export of grad"),
]
FORWARD = [
    ("forward mode, linearize", "jvp"),
    ("forward mode, linearize", "linearize"),
    ("vmap", "of jvp"),
    ("control flow", "while_loop, jvp of"),
]


@pytest.mark.parametrize("key", REVERSE, ids=" / ".join)
def test_a_custom_jvp_mount_fails_in_reverse_mode(key: tuple[str, str]) -> None:
    """Stock custom_jvp transposes the jvp, so the factor is 2 where the row demands 3."""
    row = ROW[key]
    with pytest.raises(AssertionError, match="error"):
        check_provenance(row, "custom_jvp", row.factor)


@pytest.mark.parametrize("key", FORWARD, ids=" / ".join)
def test_a_custom_jvp_mount_passes_in_forward_mode(key: tuple[str, str]) -> None:
    """The failures above are those of the map, not of the mount."""
    row = ROW[key]
    check_provenance(row, "custom_jvp", row.factor)


@pytest.mark.parametrize("key", FORWARD, ids=" / ".join)
def test_a_custom_vjp_mount_refuses_forward_mode(key: tuple[str, str]) -> None:
    with pytest.raises(TypeError, match="forward-mode"):
        check_value(ROW[key], "stock")


@pytest.mark.parametrize("key", [*REVERSE, *FORWARD], ids=" / ".join)
def test_a_wrong_map_fails_the_value(key: tuple[str, str]) -> None:
    with pytest.raises(AssertionError, match="error"):
        check_value(ROW[key], "planted rule")
