"""Every case of the library's own rules, by family."""

from __future__ import annotations

from vjpkit.core import Case
from vjpkit.losses.cases import CASES as LOSSES
from vjpkit.nn.cases import CASES as LAYERS
from vjpkit.nn.convolution_cases import CASES as CONVOLUTIONS
from vjpkit.nn.norms_cases import CASES as NORMS
from vjpkit.nn.unit_cases import CASES as UNITS

CASES: tuple[Case, ...] = (*LAYERS, *UNITS, *NORMS, *CONVOLUTIONS, *LOSSES)
