"""Losses with hand-written derivatives: names, arguments and shapes as in optax.losses."""

from vjpkit.losses.classification import sigmoid_binary_cross_entropy as sigmoid_binary_cross_entropy
from vjpkit.losses.classification import softmax_cross_entropy as softmax_cross_entropy
from vjpkit.losses.classification import (
    softmax_cross_entropy_with_integer_labels as softmax_cross_entropy_with_integer_labels,
)
from vjpkit.losses.regression import half_mean_squared_error as half_mean_squared_error
from vjpkit.losses.regression import l2_loss as l2_loss
from vjpkit.losses.regression import squared_error as squared_error
