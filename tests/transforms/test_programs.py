"""The table: checkpoint and policies, sharding."""

from __future__ import annotations

from .checks import matrix
from .rows import remat, sharding

test_value, test_provenance, test_opaque, test_stock = matrix(remat.ROWS, sharding.ROWS)
