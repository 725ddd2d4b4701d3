"""Every case of the library's own rules, by family."""

from __future__ import annotations

from vjpkit.core import Case
from vjpkit.losses.cases import CASES as LOSSES
from vjpkit.nn.cases import CASES as NN

CASES: tuple[Case, ...] = (*NN, *LOSSES)
