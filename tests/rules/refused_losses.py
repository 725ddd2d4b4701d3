"""What the losses of numbers and scores refuse, and the softmaxes of choice."""

from __future__ import annotations

import jax

from vjpkit import losses, nn

from .refusals import FLOAT, REAL, B, C, F, I, U, dtype, shape, value

REALS = "floating or integer or bool"
ROBUST = ((losses.huber_loss, "delta"), (losses.quantile_loss, "quantile"))
BINARIES = (
    (losses.hinge_loss, "predictor_outputs", "targets"),
    (losses.perceptron_loss, "predictor_outputs", "targets"),
    (losses.sparsemax_loss, "logits", "labels"),
)
FOCAL, POLY, SMOOTH = losses.sigmoid_focal_loss, losses.poly_loss_cross_entropy, losses.smooth_labels
MARGINS = (losses.multiclass_hinge_loss, losses.multiclass_perceptron_loss, losses.multiclass_sparsemax_loss)
DIVERGENCES = (
    (losses.kl_divergence, "targets"),
    (losses.generalized_kl_divergence, "targets"),
    (losses.kl_divergence_with_log_targets, "log_targets"),
)
COSINES = (losses.cosine_similarity, losses.cosine_distance)
TRIPLET, NTXENT, DICE = losses.triplet_margin_loss, losses.ntxent, losses.dice_loss
POISSON, GAUSSIAN = losses.poisson_nll_loss, losses.gaussian_nll_loss
MORE_LOSSES = (
    *(row for r in (losses.huber_loss, losses.log_cosh, losses.quantile_loss, POISSON) for row in (
        dtype(r, I(2, 3), F(2, 3), says=("predictions", "floating", "int32[2,3]")),
        dtype(r, F(2, 3), C(2, 3), says=("targets", REALS, "complex64[2,3]")),
        shape(r, F(2, 1), F(2), says=("targets", "the shape of predictions, [2, 1]", "float32[2]")),
    )),
    *(shape(r, F(2, 3), **{o: F(2)}, says=(o, "[2, 3] of predictions", "[2]")) for r, o in ROBUST),
    *(dtype(r, F(2, 3), **{o: C()}, says=(o, REALS, "complex64[]")) for r, o in ROBUST),
    shape(GAUSSIAN, F(2, 3), F(2, 3), F(2), says=("variances", "[2, 3] of predictions", "[2]")),
    shape(GAUSSIAN, F(2, 1), F(2), F(), says=("targets", "the shape of predictions, [2, 1]", "float32[2]")),
    dtype(GAUSSIAN, F(2, 3), F(2, 3), I(), says=("variances", "floating", "int32[]")),
    *(row for r, outputs, targets in BINARIES for row in (
        dtype(r, I(2, 3), F(2, 3), says=(outputs, "floating", "int32[2,3]")),
        dtype(r, F(2, 3), C(2, 3), says=(targets, REALS, "complex64[2,3]")),
        shape(r, F(2, 1), F(2), says=(targets, f"the shape of {outputs}, [2, 1], or a number", "float32[2]")),
    )),
    dtype(FOCAL, I(2, 3), I(2, 3), says=("logits", "floating", "int32[2,3]")),
    dtype(FOCAL, F(2, 3), I(2, 3), gamma=C(), says=("gamma", REALS, "complex64[]")),
    shape(FOCAL, F(2, 3), I(2), says=("labels", "[2, 3] of logits", "[2]")),
    shape(FOCAL, F(2, 3), I(2, 3), alpha=F(2), says=("alpha", "[2, 3] of the loss", "[2]")),
    *(row for r in MARGINS for row in (
        dtype(r, I(2, 3), I(2), says=("scores", "floating", "int32[2,3]")),
        dtype(r, F(2, 3), F(2), says=("labels", "integer", "float32[2]")),
        shape(r, F(2, 3), I(3), says=("labels", "one for each row of scores, [2]", "int32[3]")),
        shape(r, F(), I(), says=("scores", "[..., C], C at least 1", "float32[]")),
    )),
    dtype(POLY, I(2, 3), F(2, 3), says=("logits", "floating", "int32[2,3]")),
    shape(POLY, F(2, 1), F(2, 3), says=("labels", "the classes of logits, [2, 1] along axis -1", "[2, 3]")),
    shape(POLY, F(2, 3), F(2, 3), epsilon=F(3), says=("epsilon", "[2] of the loss", "[3]")),
    dtype(POLY, F(2, 3), F(2, 3), epsilon=C(), says=("epsilon", REALS, "complex64[]")),
    dtype(SMOOTH, I(2, 3), F(), says=("labels", "floating", "int32[2,3]")),
    dtype(SMOOTH, F(2, 3), F(), where=I(2, 3), says=("where", "bool", "int32[2,3]")),
    shape(SMOOTH, F(2, 3), F(2), says=("alpha", "[2, 3] of labels", "[2]")),
    shape(SMOOTH, F(2, 3), F(), axis=2, says=("axis", "distinct axes of 2-dimensional", "2")),
    *(row for r, t in DIVERGENCES for row in (
        dtype(r, I(2, 3), F(2, 3), says=("log_predictions", "floating", "int32[2,3]")),
        dtype(r, F(2, 3), I(2, 3), says=(t, "floating", "int32[2,3]")),
        dtype(r, F(2, 3), F(2, 3), where=I(2, 3), says=("where", "bool", "int32[2,3]")),
        shape(r, F(2, 3), F(2), says=(t, "[2, 3] of log_predictions", "[2]")),
        shape(r, F(2, 3), F(2, 1), says=(t, "the classes of log_predictions, [2, 3] along axis -1", "[2, 1]")),
        shape(r, F(2, 3), F(2, 3), where=B(2), says=("where", "[2, 3] of log_predictions", "[2]")),
        shape(r, F(2, 3), F(2, 3), axis=2, says=("axis", "distinct axes of 2-dimensional", "2")),
    )),
    *(row for r in COSINES for row in (
        dtype(r, I(2, 3), F(2, 3), says=("predictions", "floating", "int32[2,3]")),
        dtype(r, F(2, 3), F(2, 3), where=I(2, 3), says=("where", "bool", "int32[2,3]")),
        shape(r, F(2, 3), F(2, 1), says=("targets", "vectors as of predictions, [2, 3] along axis -1", "float32[2,1]")),
        shape(r, F(2, 3), F(2), says=("targets", "[2, 3] of predictions", "[2]")),
        shape(r, F(2, 3), F(2, 3), where=B(2), says=("where", "[2, 3] of predictions", "[2]")),
    )),
    dtype(TRIPLET, F(2, 3), I(2, 3), F(2, 3), says=("positives", "floating", "int32[2,3]")),
    dtype(TRIPLET, F(2, 3), F(2, 3), F(2, 3), margin=C(), says=("margin", REALS, "complex64[]")),
    shape(TRIPLET, F(2, 3), F(2, 3), F(3), says=("negatives", "the shape of anchors, [2, 3]", "float32[3]")),
    shape(TRIPLET, F(2, 3), F(2, 3), F(2, 3), margin=F(3), says=("margin", "[2] of the loss", "[3]")),
    shape(TRIPLET, F(2, 3), F(2, 3), F(2, 3), axis=2, says=("axis", "distinct axes of 2-dimensional", "2")),
    dtype(NTXENT, I(2, 3), I(2), says=("embeddings", "floating", "int32[2,3]")),
    dtype(NTXENT, F(2, 3), F(2), says=("labels", "integer", "float32[2]")),
    shape(NTXENT, F(2), I(2), says=("embeddings", "[n, d]", "float32[2]")),
    shape(NTXENT, F(2, 3), I(3), says=("labels", "[2]", "int32[3]")),
    shape(NTXENT, F(2, 3), I(2), F(2), says=("temperature", "a number", "float32[2]")),
    dtype(DICE, I(2, 5, 3), F(2, 5, 3), says=("predictions", "floating", "int32[2,5,3]")),
    dtype(DICE, F(2, 5, 3), C(2, 5, 3), says=("targets", REALS, "complex64[2,5,3]")),
    shape(DICE, F(3), F(3), says=("predictions", "[n, ..., C]", "float32[3]")),
    shape(DICE, F(2, 5, 3), F(2, 3, 5), says=("targets", "the shape of predictions, [2, 5, 3]", "float32[2,3,5]")),
    shape(DICE, F(2, 5, 3), F(2, 5, 3), F(5), says=("class_weights", "[3]", "float32[5]")),
    shape(DICE, F(2, 5, 3), F(2, 5, 3), smooth=F(3), says=("smooth", "[] of a number", "[3]")),
    shape(DICE, F(2, 5, 3), F(2, 5, 3), axis=-1, says=("axis", "axes other than that of the classes", "-1")),
    value(DICE, F(2, 5, 3), F(2, 5, 3), reduction="all", says=("reduction", "'mean', 'sum' or 'none'", "'all'")),
)  # fmt: skip

ONE_KEY = jax.ShapeDtypeStruct((), jax.random.key(0).dtype)
SPARSE, GUMBEL = (nn.sparsemax, nn.entmax15), nn.gumbel_softmax
CHOICES = (
    *(shape(r, F(2, 3), where=B(2), says=("where", "[2, 3]", "bool[2]")) for r in SPARSE),
    *(shape(r, F(2, 3), axis=2, says=("axis", "axes of an array of 2", "2")) for r in SPARSE),
    *(dtype(r, F(2, 3), where=F(2, 3), says=("where", "bool", "float32[2,3]")) for r in SPARSE),
    *(dtype(r, C(2, 3), says=("x", REAL, "complex64[2,3]")) for r in SPARSE),
    dtype(GUMBEL, I(2, 3), ONE_KEY, says=("logits", FLOAT, "int32[2,3]")),
    dtype(GUMBEL, F(2, 3), F(2), says=("key", "a key or its uint32 data", "float32[2]")),
    shape(GUMBEL, F(2, 3), U(5, 2), says=("key", "one key, [2]", "uint32[5,2]")),
    shape(GUMBEL, F(2, 3), ONE_KEY, F(3), says=("temperature", "broadcasts to []", "float32[3]")),
    shape(GUMBEL, F(2, 3), ONE_KEY, axis=2, says=("axis", "axes of an array of 2", "2")),
    dtype(nn.top_k_mask, I(2, 3), k=2, says=("x", FLOAT, "int32[2,3]")),
    shape(nn.top_k_mask, F(2, 3), k=5, says=("x", "at least k = 5 entries along axis -1", "float32[2,3]")),
    shape(nn.top_k_mask, F(2, 3), k=2, axis=2, says=("axis", "axes of an array of 2", "2")),
)
