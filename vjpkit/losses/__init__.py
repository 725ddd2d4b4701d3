"""Losses with hand-written derivatives: names, arguments and shapes as in optax.losses."""

from vjpkit.losses.angles import cosine_distance as cosine_distance
from vjpkit.losses.angles import cosine_similarity as cosine_similarity
from vjpkit.losses.batch_contrasts import clip_loss as clip_loss
from vjpkit.losses.binary import hinge_loss as hinge_loss
from vjpkit.losses.binary import perceptron_loss as perceptron_loss
from vjpkit.losses.binary import sigmoid_focal_loss as sigmoid_focal_loss
from vjpkit.losses.binary import sparsemax_loss as sparsemax_loss
from vjpkit.losses.classification import safe_softmax_cross_entropy as safe_softmax_cross_entropy
from vjpkit.losses.classification import sigmoid_binary_cross_entropy as sigmoid_binary_cross_entropy
from vjpkit.losses.classification import softmax_cross_entropy as softmax_cross_entropy
from vjpkit.losses.classification import (
    softmax_cross_entropy_with_integer_labels as softmax_cross_entropy_with_integer_labels,
)
from vjpkit.losses.contrasts import ntxent as ntxent
from vjpkit.losses.contrasts import triplet_margin_loss as triplet_margin_loss
from vjpkit.losses.cross_entropies import poly_loss_cross_entropy as poly_loss_cross_entropy
from vjpkit.losses.cross_entropies import ranking_softmax_loss as ranking_softmax_loss
from vjpkit.losses.cross_entropies import smooth_labels as smooth_labels
from vjpkit.losses.distillation import linear_divergence as linear_divergence
from vjpkit.losses.divergences import convex_kl_divergence as convex_kl_divergence
from vjpkit.losses.divergences import generalized_kl_divergence as generalized_kl_divergence
from vjpkit.losses.divergences import kl_divergence as kl_divergence
from vjpkit.losses.divergences import kl_divergence_with_log_targets as kl_divergence_with_log_targets
from vjpkit.losses.likelihoods import gaussian_nll_loss as gaussian_nll_loss
from vjpkit.losses.likelihoods import poisson_nll_loss as poisson_nll_loss
from vjpkit.losses.margins import multiclass_hinge_loss as multiclass_hinge_loss
from vjpkit.losses.margins import multiclass_perceptron_loss as multiclass_perceptron_loss
from vjpkit.losses.margins import multiclass_sparsemax_loss as multiclass_sparsemax_loss
from vjpkit.losses.overlaps import binary_dice_loss as binary_dice_loss
from vjpkit.losses.overlaps import dice_loss as dice_loss
from vjpkit.losses.overlaps import multiclass_generalized_dice_loss as multiclass_generalized_dice_loss
from vjpkit.losses.regression import half_mean_squared_error as half_mean_squared_error
from vjpkit.losses.regression import l2_loss as l2_loss
from vjpkit.losses.regression import squared_error as squared_error
from vjpkit.losses.robust import huber_loss as huber_loss
from vjpkit.losses.robust import log_cosh as log_cosh
from vjpkit.losses.robust import quantile_loss as quantile_loss
from vjpkit.losses.token_likelihoods import linear_cross_entropy as linear_cross_entropy
from vjpkit.losses.token_likelihoods import linear_log_probs as linear_log_probs
