"""The table: vmap and control flow."""

from __future__ import annotations

from .checks import matrix
from .rows import batching, control

test_value, test_provenance, test_opaque, test_stock = matrix(batching.ROWS, control.ROWS)
