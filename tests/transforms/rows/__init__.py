"""All rows of the table, group by group."""

from __future__ import annotations

from ..row import Row
from . import arguments, batching, control, evaluation, forward, higher, options, remat, reverse, sharding, tools

MODULES = (evaluation, forward, reverse, higher, batching, control, remat, sharding, arguments, options, tools)
ROWS: tuple[Row, ...] = tuple(row for module in MODULES for row in module.ROWS)
