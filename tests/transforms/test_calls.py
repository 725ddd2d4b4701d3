"""The table: arguments and outputs, options, everything else."""

from __future__ import annotations

from .checks import matrix
from .rows import arguments, options, tools

test_value, test_provenance, test_opaque, test_stock = matrix(arguments.ROWS, options.ROWS, tools.ROWS)
