"""Every case of the library's own rules, by family."""

from __future__ import annotations

from vjpkit.core import Case
from vjpkit.losses.cases import CASES as LOSSES
from vjpkit.losses.comparison_cases import CASES as COMPARISONS
from vjpkit.losses.linear_cases import CASES as LINEAR_LOSSES
from vjpkit.losses.number_cases import CASES as NUMBERS
from vjpkit.losses.score_cases import CASES as SCORES
from vjpkit.nn.attention_cases import CASES as ATTENTION
from vjpkit.nn.block_cases import CASES as BLOCKS
from vjpkit.nn.cases import CASES as LAYERS
from vjpkit.nn.convolution_cases import CASES as CONVOLUTIONS
from vjpkit.nn.embedding_cases import CASES as EMBEDDINGS
from vjpkit.nn.norms_cases import CASES as NORMS
from vjpkit.nn.regularization_cases import CASES as REGULARIZATION
from vjpkit.nn.softmax_cases import CASES as SOFTMAXES
from vjpkit.nn.unit_cases import CASES as UNITS

CASES: tuple[Case, ...] = (
    *LAYERS,
    *UNITS,
    *EMBEDDINGS,
    *NORMS,
    *BLOCKS,
    *ATTENTION,
    *CONVOLUTIONS,
    *REGULARIZATION,
    *SOFTMAXES,
    *LOSSES,
    *NUMBERS,
    *SCORES,
    *COMPARISONS,
    *LINEAR_LOSSES,
)
