"""The sizes at which the losses of numbers and scores, and the softmaxes of choice, are measured."""

from __future__ import annotations

from typing import Any

from vjpkit import losses, nn
from vjpkit.bench import mirrors
from vjpkit.bench.workload import Workload
from vjpkit.core import Draw
from vjpkit.core.draw import booleans, integers, keys, normal, probabilities, uniform

MATRIX = normal(1024, 2048)
POSITIVE = uniform(1024, 2048, low=0.1, high=3.0)
LOGITS = normal(1024, 4096)
CLASSES = integers(1024, high=4096)
VECTORS = normal(4096, 256)
PIXELS = normal(16, 64, 64, 7)


def losses_of_scores_and_numbers() -> tuple[Workload, ...]:
    def loss(name: str, *args: Draw, **static: Any) -> Workload:
        return Workload(getattr(losses, name), args, static, mirrors.optax_losses(name))

    distributions = probabilities(1024, 4096)
    return (
        loss("huber_loss", MATRIX, MATRIX),
        loss("log_cosh", MATRIX, MATRIX),
        loss("quantile_loss", MATRIX, MATRIX),
        loss("poisson_nll_loss", MATRIX, POSITIVE),
        loss("gaussian_nll_loss", MATRIX, MATRIX, POSITIVE),
        loss("hinge_loss", MATRIX, MATRIX),
        loss("perceptron_loss", MATRIX, MATRIX),
        loss("sparsemax_loss", MATRIX, booleans(1024, 2048)),
        loss("sigmoid_focal_loss", MATRIX, booleans(1024, 2048)),
        loss("multiclass_hinge_loss", LOGITS, CLASSES),
        loss("multiclass_perceptron_loss", LOGITS, CLASSES),
        loss("multiclass_sparsemax_loss", LOGITS, CLASSES),
        loss("poly_loss_cross_entropy", LOGITS, distributions),
        loss("smooth_labels", distributions, uniform()),
        loss("kl_divergence", LOGITS, distributions),
        loss("kl_divergence_with_log_targets", LOGITS, LOGITS),
        loss("generalized_kl_divergence", LOGITS, distributions),
        loss("cosine_similarity", VECTORS, VECTORS),
        loss("cosine_distance", VECTORS, VECTORS),
        loss("triplet_margin_loss", VECTORS, VECTORS, VECTORS),
        loss("ntxent", normal(512, 128), integers(512, high=64)),
        loss("dice_loss", PIXELS, PIXELS),
    )


def softmaxes() -> tuple[Workload, ...]:
    return (
        Workload(nn.sparsemax, (MATRIX,)),
        Workload(nn.entmax15, (MATRIX,)),
        Workload(nn.gumbel_softmax, (MATRIX, keys())),
        Workload(nn.gumbel_softmax, (MATRIX, keys()), {"hard": True}, label="hard"),
        Workload(nn.top_k_mask, (normal(4096, 64),), {"k": 2}),
    )
