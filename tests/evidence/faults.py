"""Genuine faults in functions of others that the checker found, each with the evidence; and where they never return."""

from __future__ import annotations

FAULTS: dict[str, str] = {
    "logsumexp, b": (
        "`jax.nn.logsumexp(x, b=b)` answers 0 for ∂/∂b wherever b = 0; it is e^x / Σ b e^x there, and finite "
        "differences agree: at x = (1, 2), b = (1, 0) jax.grad gives (1, 0), and the second is e = 2.718…"
    ),
    "sigmoid_focal_loss": (
        "The derivative by the labels is wrong where a label is 0 or 1, for it passes through `logsumexp(…, "
        "b=labels)`: at logit 0 the loss is ½² log 2 for every label, and jax.grad gives −0.347 for label 0."
    ),
    "safe_softmax_cross_entropy": (
        "At logits (1, 2, −∞) and labels (½, ½, 0) the loss is 0.813 and its gradient by the logits (−0.231, "
        "0.231, 0), as jax.vjp says; jax.jvp along the logits says NaN, for it multiplies label 0 by an infinite "
        "log-probability."
    ),
    "spence": (
        "Reverse mode is NaN for 1 < x ≲ 2.5: jax.grad(spence)(2.0) is NaN, jax.jvp gives −0.6931 there, and the "
        "derivative is log(x) / (1 − x) = −log 2."
    ),
    "exp1": (
        "Its second derivative does not compile: jax.jit(jax.grad(jax.grad(exp1))) raises TypeError, for a tracer "
        "is kept as a constant."
    ),
    "expn": "As exp1, which is expn(1, x).",
    "multiclass_sparsemax_loss": (
        "Cannot be differentiated in float64: the custom rule inside answers a float32 tangent for a float64 "
        "argument, and JAX refuses it."
    ),
    "wofz": (
        "No wrong formula, but a coarse one: the value is off by 4e-14 of SciPy's (170 eps), and autodiff of its "
        "series is off by 4e-13 of w′ = −2zw + 2i/√π, which its custom rule computes to 2e-13. The two differ by "
        "more than rounding, and the report says so."
    ),
}

HANGS: dict[str, str] = {
    "exp1": "in bfloat16 its series does not end for x near 1e-3: neither value nor derivative came within 25 s.",
    "expn": "as exp1.",
    "linalg.pinv": "the singular vectors of a matrix with an infinite entry, on the CPU: no answer within 20 s.",
    "linalg.lstsq": "as linalg.pinv; so does the derivative of the singular values.",
}
