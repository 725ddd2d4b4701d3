"""The causes by name, and what each means, in the words of every message."""

from __future__ import annotations

CAUSES: dict[str, str] = {
    "correct": "the derivative is right",
    "structure": "the wrong number or nesting of cotangents, or None for an argument that has one",
    "shape": "the wrong shape, and no operation was found that mends it",
    "missing_sum": "a sum over an axis is missing, as over the batch of a bias",
    "mean_for_sum": "a mean is taken where a sum belongs",
    "sum_for_mean": "a sum is taken where a mean belongs",
    "transposed_operand": "an operand of a product is transposed, or is not where it should be",
    "transposed_result": "the answer is the transpose of the right one",
    "jvp_for_vjp": "J g is computed in place of Jᵀ g, or the other way round",
    "missing_slope": "an elementwise slope σ′ is left out",
    "extra_slope": "an elementwise slope σ′ stands there twice",
    "slope_at_output": "a slope is evaluated at the output a = σ(z) in place of the input z",
    "value_for_slope": "a function's value stands where its slope belongs",
    "slope_at_wrong_point": "a slope is evaluated at another point than the input of its function",
    "wrong_operand": "another value stands where an operand belongs",
    "wrong_order": "steps or operands are in the wrong order",
    "mixed_layout": "numerator and denominator layout are mixed along a chain",
    "diagonal_only": "the diagonal of a Jacobian is used as if it were all of it",
    "dense_for_diagonal": "a product of matrices stands where a product entry by entry belongs",
    "sign": "the sign is flipped",
    "scale": "a constant factor is wrong",
    "term_sign": "one term has the wrong sign",
    "dropped_path": "one path from the argument to the output is left out",
    "counted_twice": "one term is counted twice, or is one too many",
    "missing_factor": "a factor is left out",
    "extra_factor": "a factor stands there that does not belong, or twice",
    "wrong_axis": "a sum, a mean or a broadcast runs along another axis",
    "positions_ignored": "a mask, an index or a position is ignored or shifted",
    "overwritten_for_accumulated": "equal indices overwrite each other where they add up",
    "ignores_cotangent": "the cotangent that arrives is not used",
    "ignores_output": "the cotangent of one of several outputs is not used",
    "nonlinear_in_cotangent": "the answer is not linear in the cotangent",
    "zero": "the derivative is zero everywhere",
    "conjugate": "a complex conjugate is missing or too many",
    "real_part": "the imaginary part is lost",
    "swapped_arguments": "the cotangents are handed back in another order",
    "flipped": "an axis is reversed, or is not where it should be",
    "symmetrised": "the answer is symmetrised, or is not where it should be",
    "triangle_only": "only one triangle of the answer is there",
    "stale": "it answers for arguments of an earlier call",
    "random_mask": "randomness is drawn anew, not kept from the forward pass",
    "nonfinite": "NaN or infinity where the derivative is finite",
    "precision": "right, but in a lower precision than its arguments",
    "wrong_primal": "the value of the function itself is wrong",
    "unexplained": "it is wrong, and no single mistake, nor two, explains how",
}


def sentence(cause: str, argument: str, detail: str, kind: str) -> str:
    """One sentence about an argument: what is wrong, and the particulars."""
    subject = f"the cotangent of `{argument}`" if kind == "vjp" else f"the tangent along `{argument}`"
    if not argument:
        subject = "the derivative"
    if cause == "correct":
        return "the derivative is right at every random point"
    if cause == "zero":
        return f"{subject} is zero everywhere"
    return f"in {subject}, {CAUSES[cause]}" + (f": {detail}" if detail else "")
