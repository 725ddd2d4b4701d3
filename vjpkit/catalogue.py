"""Every case of the library's own rules, by family."""

from __future__ import annotations

from vjpkit.core import Case
from vjpkit.losses.cases import CASES as LOSSES
from vjpkit.nn.block_cases import CASES as BLOCKS
from vjpkit.nn.cases import CASES as LAYERS
from vjpkit.nn.convolution_cases import CASES as CONVOLUTIONS
from vjpkit.nn.embedding_cases import CASES as EMBEDDINGS
from vjpkit.nn.norms_cases import CASES as NORMS
from vjpkit.nn.regularization_cases import CASES as REGULARIZATION
from vjpkit.nn.unit_cases import CASES as UNITS

CASES: tuple[Case, ...] = (
    *LAYERS,
    *UNITS,
    *EMBEDDINGS,
    *NORMS,
    *BLOCKS,
    *CONVOLUTIONS,
    *REGULARIZATION,
    *LOSSES,
)
