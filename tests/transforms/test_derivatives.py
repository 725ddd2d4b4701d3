"""The table: evaluation, forward mode, reverse mode and transposes, higher orders."""

from __future__ import annotations

from .checks import matrix
from .rows import evaluation, forward, higher, reverse

test_value, test_provenance, test_opaque, test_stock = matrix(evaluation.ROWS, forward.ROWS, reverse.ROWS, higher.ROWS)
